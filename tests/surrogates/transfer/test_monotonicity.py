"""Whether a proxy orders designs as a new device does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evonas.surrogates.transfer import check_monotonicity
from evonas.surrogates.transfer.monotonicity import Calibration


def test_monotonicity_is_told_from_disorder():
    rng = np.random.default_rng(0)
    proxy = np.linspace(1, 10, 12)
    rising = check_monotonicity(proxy, proxy**2, rng)
    assert rising.holds
    assert rising.spearman == pytest.approx(1)
    assert rising.lower == pytest.approx(1)
    falling = check_monotonicity(proxy, 1 / proxy, rng)
    assert not falling.holds
    assert falling.p_value < 0.05
    assert falling.kendall == pytest.approx(-1)


@given(
    st.lists(
        st.tuples(st.floats(0.1, 100), st.floats(0.1, 100)),
        min_size=3,
        max_size=20,
        unique_by=lambda pair: pair[0],
    )
)
def test_a_calibration_never_falls(pairs):
    proxy, costs = np.array(pairs).T
    curve = Calibration(proxy, costs)
    line = curve(np.linspace(0.05, 200, 300))
    assert (np.diff(line) >= -1e-9 * line[1:]).all()
    assert (line > 0).all()
