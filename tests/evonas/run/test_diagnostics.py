"""Figures about what a gate did."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from evonas.run.diagnostics import wilson_interval


@given(st.integers(1, 400), st.data())
def test_the_interval_of_a_rate_is_wilsons_and_holds_the_rate(trials, data):
    hits = data.draw(st.integers(0, trials) | st.sampled_from([0, trials]))
    low, high = wilson_interval(hits, trials)
    expected = binomtest(hits, trials).proportion_ci(method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)
    assert 0 <= low <= hits / trials <= high <= 1
