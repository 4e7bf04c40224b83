from pathlib import Path

import pandas as pd
import pytest

from benchmarks import rounds
from evonas import DataError
from evonas.problems.nasbench201 import EDGES


def test_every_round_is_timed_and_those_with_a_plan_apart(table):
    (result,) = rounds.run(Path(table), "cifar10", "latency_ms.toy", list(EDGES), 60, report=str)
    found = result.table
    assert list(found["known"]) == list(range(20, 60, 5))
    assert (found["seconds"] > 0).all()
    # The first ones with at least 19, 24, 30, 38 and 47 designs, powers of 1.25.
    assert list(found["known"][found["plan"]]) == [20, 25, 35, 40, 50]
    assert len(result.figure.axes[0].collections) == 2


def test_a_table_that_the_first_batch_takes_whole_has_no_round(table, tmp_path):
    small = tmp_path / "small.csv"
    pd.read_csv(table).iloc[::60].to_csv(small, index=False)
    with pytest.raises(DataError, match=r"has 13 designs, all in the first batch"):
        rounds.run(small, "cifar10", "latency_ms.toy", list(EDGES), 60, report=str)
