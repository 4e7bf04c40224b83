import numpy as np
import pandas as pd
import pytest

from benchmarks.engine import PARTS, WINDOWS, Clock, parts, run, with_evonas, with_pymoo


@pytest.mark.parametrize("engine", [with_evonas, with_pymoo])
def test_an_engine_evaluates_as_often_as_it_should(engine, tmp_path):
    clock = Clock(200)
    engine(clock, 200, 0, tmp_path)
    assert [count for count, _, _ in clock.marks] == list(range(0, 201, 200 // WINDOWS))
    assert (np.diff([cpu for _, cpu, _ in clock.marks]) >= 0).all()


def test_the_parts_of_the_engine_add_up():
    table = parts(200)
    assert set(table["part"]) == {*PARTS, "everything else"}
    assert table["share"].sum() == pytest.approx(1.0)
    assert (table["share"] > 0).all()


def test_the_table_has_a_row_for_each_window_of_each_engine(tmp_path):
    pytest.importorskip("optuna")
    summary = run(tmp_path, 120, 20, report=lambda text: None)
    table = pd.read_csv(tmp_path / "engine.csv")
    assert (table.groupby("engine").size() == WINDOWS).all()
    assert list(summary["engine"]) == list(table["engine"].unique())
    assert (tmp_path / "engine.png").stat().st_size > 1000
