import numpy as np

from problems.nasbench201 import EDGES, OPERATIONS, NASBench201, live_part


def test_readings_of_a_graph():
    rng = np.random.default_rng(0)
    cells = [dict(zip(EDGES, rng.choice(OPERATIONS, 6).tolist(), strict=True)) for _ in range(300)]
    views = NASBench201.views(None, cells)
    one_hot = {
        reading: views[f"edges:{reading}"].reshape(-1, 6, 5)
        for reading in ("whole", "reaching", "live")
    }
    for reading, edges in one_hot.items():
        assert (edges.sum(axis=1) == views[f"operations:{reading}"]).all()
    assert (one_hot["whole"].sum(axis=2) == 1).all()
    # What is live reaches the output, and what reaches it is there.
    assert (one_hot["live"] <= one_hot["reaching"]).all()
    assert (one_hot["reaching"] <= one_hot["whole"]).all()
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
