"""The benchmark of surrogates, on a table small enough to know."""

import itertools

import numpy as np
import pandas as pd
import pytest

from evonas import UsageError
from problems.nasbench201 import EDGES, OPERATIONS, network_cost
from problems.table import TableProblem
from runners.bench import prune


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
def oracle(table):
    return prune.Oracle(TableProblem(table, maximise="cifar10", minimise="latency_ms.toy"))


@pytest.mark.parametrize("method", ["plain", "random", "local"])
def test_every_row_is_evaluated_once_and_all_of_them_are_the_true_front(oracle, method):
    order = list(prune.METHODS[method](oracle, 0))
    assert sorted(order) == list(range(3**6))
    curve = oracle.curve(order)
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("method", ["optuna_nsga2", "optuna_tpe"])
def test_optuna_joins_when_it_is_installed(oracle, method):
    pytest.importorskip("optuna")
    order = list(itertools.islice(prune.METHODS[method](oracle, 0), 60))
    assert len(set(order)) == 60


def test_surrogates_need_fewer_evaluations_and_prune_rightly(oracle):
    prunes = prune.Prunes()
    order = list(itertools.islice(prune.evonas(oracle, 0, prunes), 80))
    assert len(set(order)) == 80
    assert oracle.curve(order)[-1] > oracle.curve(list(prune.plain(oracle, 0))[:160])[-1]
    assert prunes.total > 80
    assert prunes.wrong / prunes.total < 0.05


def test_the_command_writes_a_table_and_a_figure(table, tmp_path):
    options = {"maximise": ["cifar10"], "minimise": ["latency_ms.toy"], "seeds": 1, "budget": 40}
    options["genes"] = list(EDGES)
    methods = ["random", "evonas"]
    found = prune.run(table, tmp_path, methods=methods, report=lambda line: None, **options)
    (pair,) = found["pairs"]
    assert pair["maximise"] == "cifar10"
    assert pair["needed_at_350"] == pair["methods"]["evonas"]["needed_at_350"] <= 40
    assert set(pair["methods"]) == set(methods)
    assert list(pd.read_csv(tmp_path / "prune.csv")["method"]) == methods
    assert (tmp_path / "prune.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_method_is_named(table, tmp_path):
    with pytest.raises(UsageError, match="unknown method 'evonsa'; did you mean 'evonas'"):
        prune.run(table, tmp_path, methods=["evonsa"])
