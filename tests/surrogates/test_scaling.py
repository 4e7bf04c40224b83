"""Scalings of metrics."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evonas.surrogates.scaling import SCALINGS


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40),
    st.sampled_from(SCALINGS),
)
def test_scalings_rise_and_come_back(values, kind):
    values = np.unique(np.round(values, 3))
    scaling = kind.fit(values)
    scores = scaling.to_scores(values)
    assert (np.diff(scores) > 0).all()
    np.testing.assert_allclose(scaling.to_values(scores), values, rtol=1e-6, atol=1e-3)
