"""Tables small enough to know."""

import itertools

import numpy as np
import pandas as pd
import pytest

from benchmarks.tabular import Tabular
from evonas.problems.nasbench201 import EDGES, OPERATIONS, network_cost
from evonas.problems.table import TableProblem


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Cells over three operations; skips on the first edges are bad for both made-up metrics."""
    rng = np.random.default_rng(0)
    rows = []
    for operations in itertools.product(OPERATIONS[1:4], repeat=len(EDGES)):
        cell = dict(zip(EDGES, operations, strict=True))
        cost = network_cost(cell)
        skips = operations[:3].count("skip_connect")
        accuracy = 60 + 5 * np.log(cost.params / 1e5) - 2 * skips + rng.normal(0, 0.2)
        latency = cost.macs / 1e7 + 2 * skips
        rows.append({**cell, "cifar10": accuracy, "latency_ms.toy": latency})
    path = tmp_path_factory.mktemp("table") / "table.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return str(path)


@pytest.fixture(scope="module")
def tabular(table):
    return Tabular(TableProblem(table, maximise="cifar10", minimise="latency_ms.toy"))


@pytest.fixture
def part(tmp_path):
    """Next to nothing of a space, its path and its genes."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.integers(0, 10, (60, 15)), columns=[f"g{i}" for i in range(15)])
    genes = list(rows.columns)
    rows["ms"], rows["accuracy"] = rows.sum(axis=1), rows["g0"] + rng.normal(0, 1, 60)
    rows.to_csv(tmp_path / "part.csv", index=False)
    return tmp_path / "part.csv", genes
