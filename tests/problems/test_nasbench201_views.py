import numpy as np
import pytest

from evonas.problems.nasbench201 import (
    EDGES,
    OPERATIONS,
    NASBench201,
    folded_part,
    live_part,
    signature,
)


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
