"""What proxies teach about a new device."""

import numpy as np
import pytest

from evonas.surrogates.transfer import Transfer


@pytest.mark.parametrize("designs", [3, 4, 6, 9])
def test_nothing_is_learnt_from_devices_that_agree_on_too_few_designs(designs, additive):
    views, _ = additive(designs)
    rng = np.random.default_rng(designs)
    known = np.exp(4 * rng.standard_normal((designs, 3)))
    transfer = Transfer(views, known)
    assert transfer.prior.empirical.weights == {}
    found = transfer.fit([0, 1, 2], [1.0, 2.0, 3.0]).predict()
    assert np.isfinite(found.upper).all()
