import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scale import MODES, busy_share, run


@given(st.integers(1, 8), st.integers(2, 20))
def test_workers_that_never_wait_are_all_busy(workers, rounds):
    begins = np.repeat(np.arange(rounds, dtype=float), workers)
    times = np.stack([begins, begins + 1.0], axis=1)
    assert busy_share(times, workers) == pytest.approx(1.0)


@given(st.integers(1, 8), st.floats(0.1, 10.0))
def test_a_pause_after_each_evaluation_is_not_busy(workers, pause):
    begins = np.repeat(np.arange(5) * (1.0 + pause), workers)
    times = np.stack([begins, begins + 1.0], axis=1)
    assert busy_share(times, workers) == pytest.approx(1.0 / (1.0 + pause))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray Tune's own
def test_every_mode_makes_all_evaluations():
    pytest.importorskip("optuna")
    (found,) = run(workers=[2], evaluations=4, seconds=0.05, report=lambda text: None)
    assert list(found.table["mode"]) == list(MODES)
    assert (found.table["evaluations"] == 8).all()
    assert found.table["busy"].between(0.0, 1.0).all()
    assert len(found.figure.axes[0].lines) == len(MODES) + 1  # and the mark
