"""Link functions."""

import numpy as np
import pytest

from evonas.surrogates.transfer.link_functions import LINKS, apply_link, invert_link, link_slope


@pytest.mark.parametrize("link", range(len(LINKS)), ids=LINKS)
def test_a_link_function_comes_back_and_has_the_slope_of_small_steps(link):
    costs = np.array([0.05, 0.7, 1.0, 30.0])
    np.testing.assert_allclose(invert_link(link, apply_link(link, costs)), costs)
    above, below = (apply_link(link, costs + step) for step in (1e-6, -1e-6))
    np.testing.assert_allclose(link_slope(link, costs), (above - below) / 2e-6, rtol=1e-6)
    assert (invert_link(link, np.array([-1e6, 0.0])) > 0).all()
