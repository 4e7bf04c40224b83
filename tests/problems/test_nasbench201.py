"""What a cell of NAS-Bench-201 computes and costs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evonas import DataError
from evonas.memory import Memory
from evonas.problems.nasbench201 import (
    EDGES,
    OPERATIONS,
    NASBench201,
    cell_features,
    flow_features,
    live_part,
    network_cost,
    signature,
)
from evonas.records import Candidate, Evaluation, Status

TABLE = Path(__file__).parents[3] / "shared" / "data" / "nasbench201.parquet"

cells = st.fixed_dictionaries({edge: st.sampled_from(OPERATIONS) for edge in EDGES})


@pytest.fixture(scope="module")
def table():
    if not TABLE.exists():
        pytest.skip(f"{TABLE} is not there")
    return pd.read_parquet(TABLE)


@given(cells)
def test_dead_edges_compute_nothing(cell):
    live = live_part(cell)
    assert signature(live) == signature(cell)
    assert live_part(live) == live
    assert all(live[edge] in ("none", cell[edge]) for edge in EDGES)
    assert network_cost(live).macs <= network_cost(cell).macs


@given(cells)
def test_swapping_unconnected_middle_nodes_changes_nothing(cell):
    cell = cell | {"e12": "none"}
    swapped = cell | {"e01": cell["e02"], "e02": cell["e01"]}
    swapped |= {"e13": cell["e23"], "e23": cell["e13"]}
    assert signature(swapped) == signature(cell)
    assert network_cost(swapped) == network_cost(cell)


@given(cells)
def test_a_cell_without_an_open_path_computes_nothing(cell):
    features = cell_features(cell)
    flows = features["summary"][-1]
    assert (signature(cell) == "") == (flows == 0)
    nothing = cell_features(dict.fromkeys(EDGES, "none"))
    assert {k: len(f) for k, f in features.items()} == {k: len(f) for k, f in nothing.items()}


@given(cells)
def test_isomorphic_cells_share_what_flows(cell):
    cell = cell | {"e12": "none"}
    swapped = cell | {"e01": cell["e02"], "e02": cell["e01"]}
    swapped |= {"e13": cell["e23"], "e23": cell["e13"]}
    assert flow_features(swapped) == flow_features(cell)
    assert flow_features(live_part(cell)) == flow_features(cell)


def test_costs_are_the_published_ones():
    # Dong and Yang 2020: the largest network has 1.531546 million parameters and 220.12 million
    # multiply-adds; the smallest 0.073306 million parameters and 7.78 million.
    assert network_cost(dict.fromkeys(EDGES, "nor_conv_3x3")) == (220_119_680, 1_531_546)
    smallest = network_cost(dict.fromkeys(EDGES, "none"))
    assert smallest.params == 73_306
    assert round(smallest.macs / 1e6, 2) == 7.78


def test_isomorphic_cells_differ_by_training_noise_only(table):
    frame = table.assign(name=[signature(c) for c in table[list(EDGES)].to_dict("records")])
    within = frame.groupby("name")["cifar10"].std().median()
    assert within < 0.05 * frame["cifar10"].std()


def test_features_tell_designs_apart_and_come_from_the_problem(table):
    problem = NASBench201(str(TABLE), maximise="cifar10", minimise="latency_ms.fpga")
    genomes = [problem.space.decode(c) for c in problem.space.sample(200, np.random.default_rng(0))]
    features = problem.features(genomes)
    views = problem.views(genomes)
    distinct = len({tuple(g.items()) for g in genomes})
    assert {len(kind) for kind in features.values()} == {200}
    assert len(np.unique(np.hstack([*features.values(), *views.values()]), axis=0)) == distinct
    assert len(problem) == 15_625


def test_another_operation_is_refused(tmp_path):
    rows = [dict.fromkeys(EDGES, o) | {"cifar100": 1.0, "latency_ms.raspi4": 2.0}
            for o in ("none", "conv_9x9")]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="gene 'e01' holds 'conv_9x9'; it must be one of none"):
        NASBench201(str(tmp_path / "t.csv"))


DEAD = {"e01": "nor_conv_1x1", "e23": "nor_conv_3x3"}


def dead_cells(tmp_path, accuracies):
    rows = [dict.fromkeys(EDGES, "skip_connect") | {"cifar100": 60.0, "latency_ms.raspi4": 5.0}]
    for edges, accuracy in zip(({}, DEAD), accuracies, strict=True):
        times = {"cifar100": accuracy, "latency_ms.raspi4": 1.0 + len(edges)}
        rows.append(dict.fromkeys(EDGES, "none") | edges | times)
    # Every edge must have every operation for the cells to be in the space.
    rows += [dict.fromkeys(EDGES, o) | {"cifar100": 50.0, "latency_ms.raspi4": 9.0}
             for o in ("nor_conv_1x1", "nor_conv_3x3")]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    return NASBench201(str(tmp_path / "t.csv"))


def test_a_network_that_guesses_tells_the_accuracy_of_all_that_do(tmp_path):
    problem = dead_cells(tmp_path, [1.0, 1.0])
    nothing, dead = dict.fromkeys(EDGES, "none"), dict.fromkeys(EDGES, "none") | DEAD
    live = dict.fromkeys(EDGES, "skip_connect")
    memory = Memory(problem)
    memory.add(Evaluation(Candidate(0, nothing, 0), Status.OK, problem.evaluate(nothing, [])))
    assert memory.recall(dead) == {"cifar100": (0, 1.0)}
    assert memory.recall(live) == {}


def test_what_differs_among_them_is_measured_for_each(tmp_path):
    problem = dead_cells(tmp_path, [1.0, 1.1])
    dead = dict.fromkeys(EDGES, "none") | DEAD
    assert problem.memory_key("cifar100", dead) == dead
    assert problem.memory_key("latency_ms.raspi4", dead) == dead
