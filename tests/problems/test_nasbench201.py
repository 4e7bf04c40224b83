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
    folded_part,
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


def test_variants_of_a_graph():
    rng = np.random.default_rng(0)
    cells = [dict(zip(EDGES, rng.choice(OPERATIONS, 6).tolist(), strict=True)) for _ in range(300)]
    views = NASBench201.views(None, cells)
    one_hot = {
        variant: views[f"edges:{variant}"].reshape(-1, 6, 5)
        for variant in ("whole", "reaching", "live", "summed", "folded")
    }
    for variant, edges in one_hot.items():
        operations = views[f"operations:{variant}"]
        assert (edges.sum(axis=1) == operations[:, :-1]).all()
        assert (operations[:, -1] == edges.any(axis=(1, 2))).all()
    assert (one_hot["whole"].sum(axis=2) == 1).all()
    # What is live reaches the output, and what reaches it is there.
    assert (one_hot["live"] <= one_hot["reaching"]).all()
    assert (one_hot["reaching"] <= one_hot["whole"]).all()
    assert (one_hot["folded"] <= one_hot["whole"]).all()
    assert (one_hot["live"] <= one_hot["summed"]).all()
    assert (one_hot["summed"] <= one_hot["reaching"]).all()
    # Folding keeps what is live, and drops a network that computes a constant.
    assert (one_hot["live"] <= one_hot["folded"]).all()
    # Apart from edges without an operation, live edges are those on open paths.
    for cell, edges in zip(cells, one_hot["live"], strict=True):
        expected = [
            [name == operation for name in OPERATIONS] for operation in live_part(cell).values()
        ]
        assert (edges[:, 1:] == np.array(expected)[:, 1:]).all()


def test_a_branch_that_ends_nowhere_does_not_reach_the_output():
    cell = dict.fromkeys(EDGES, "none") | {"e03": "skip_connect", "e01": "nor_conv_3x3"}
    views = NASBench201.views(None, [cell])
    conv = OPERATIONS.index("nor_conv_3x3")
    assert views["operations:whole"][0, conv] == 1
    assert views["operations:reaching"][0, conv] == 0
    # A convolution of what is zero reaches the output, and is not live.
    cell = dict.fromkeys(EDGES, "none") | {"e03": "skip_connect", "e23": "nor_conv_3x3"}
    views = NASBench201.views(None, [cell])
    assert views["operations:reaching"][0, conv] == 1
    assert views["operations:live"][0, conv] == 0


@pytest.mark.parametrize(
    ("operations", "runs"),
    [
        # Nothing but zeros reaches either inner node: only their sum is kept.
        ({"e03": "skip_connect", "e23": "nor_conv_3x3", "e13": "nor_conv_3x3"}, 1),
        ({"e03": "skip_connect", "e23": "nor_conv_3x3", "e12": "nor_conv_3x3"}, 1),
        # The sum is fed, and its edge is live.
        ({"e02": "nor_conv_3x3", "e23": "nor_conv_3x3"}, 2),
        # A network that computes a constant is dropped as a whole.
        ({"e23": "nor_conv_3x3", "e01": "nor_conv_3x3"}, 0),
    ],
)
def test_what_follows_a_sum_of_zeros_may_run(operations, runs):
    views = NASBench201.views(None, [cell(**operations)])
    assert views["operations:summed"][0, OPERATIONS.index("nor_conv_3x3")] == runs


def cell(**operations):
    return dict.fromkeys(EDGES, "none") | operations


CONV, POOL, SKIP = "nor_conv_3x3", "avg_pool_3x3", "skip_connect"


@pytest.mark.parametrize(
    ("cell", "runs"),
    [
        # A lone convolution that is multiplied by zero takes the zero in, and runs.
        (cell(e03=CONV, e01=CONV), {"e03", "e01"}),
        (cell(e03=CONV, e02=CONV), {"e03", "e02"}),
        (cell(e03=CONV, e01=POOL, e12=CONV), {"e03", "e01", "e12"}),
        (cell(e03=CONV, e01=CONV, e12=SKIP), {"e03", "e01", "e12"}),
        (cell(e03=CONV, e13=CONV, e01=CONV, e02=CONV), {"e03", "e13", "e01", "e02"}),
        # Anything else that is multiplied by zero is dropped: a pooling, a sum.
        (cell(e03=CONV, e01=POOL), {"e03"}),
        (cell(e03=CONV, e01=CONV, e12=POOL), {"e03"}),
        (cell(e03=CONV, e01=CONV, e02=CONV, e12=CONV), {"e03"}),
        (cell(e03=CONV, e01=CONV, e02=POOL), {"e03"}),
        # A convolution of zeros runs, too.
        (cell(e03=CONV, e23=CONV), {"e03", "e23"}),
        # Nothing is left of a network that computes a constant.
        (cell(e23=CONV), set()),
        (cell(e01=POOL), set()),
        # It does not when the zeros sit in a convolution's weights.
        (cell(e02=CONV), {"e02"}),
    ],
)
def test_multiplications_by_zero_are_folded(cell, runs):
    assert {edge for edge in folded_part(cell) if cell[edge] != "skip_connect"} == {
        edge for edge in runs if cell[edge] != "skip_connect"
    }


def test_cells_without_dead_ends_run_as_a_whole():
    rng = np.random.default_rng(1)
    for operations in rng.choice(OPERATIONS[1:], (50, 6)).tolist():
        cell = dict(zip(EDGES, operations, strict=True))
        assert folded_part(cell) == set(EDGES)
        assert signature(cell)
