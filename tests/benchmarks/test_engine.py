import numpy as np
import pytest

from benchmarks.engine import WINDOWS, Clock, run, with_evonas, with_pymoo


@pytest.mark.parametrize("engine", [with_evonas, with_pymoo])
def test_an_engine_evaluates_as_often_as_it_should(engine, tmp_path):
    clock = Clock(200)
    engine(clock, 200, 0, tmp_path)
    assert [count for count, _, _ in clock.marks] == list(range(0, 201, 200 // WINDOWS))
    assert (np.diff([cpu for _, cpu, _ in clock.marks]) >= 0).all()


def test_the_table_has_a_row_for_each_window_of_each_engine():
    pytest.importorskip("optuna")
    (found,) = run(120, 20, report=lambda text: None)
    assert (found.table.groupby("engine").size() == WINDOWS).all()
    assert len(found.figure.axes[0].lines) == 3 + 1  # and the mark
