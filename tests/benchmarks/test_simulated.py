import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.simulated import DEVICES, OVERHEAD_MS, Simulated


@pytest.fixture
def model(tmp_path):
    """A dense convolution with its Relu, a pointwise and a depthwise one."""
    rng = np.random.default_rng(0)
    shapes = {"a": (16, 3, 3, 3), "b": (8, 16, 1, 1), "c": (8, 1, 3, 3)}
    weights = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["image", "a"], ["x1"], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["x1"], ["x2"]),
        helper.make_node("Conv", ["x2", "b"], ["x3"]),
        helper.make_node("Conv", ["x3", "c"], ["y"], group=8, pads=[1] * 4),
    ]
    start = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 32, 32])
    end = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8, 16, 16])
    graph = helper.make_graph(nodes, "model", [start], [end], weights)
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def test_a_simulated_device_takes_what_its_docstring_says(model):
    slow = {"dense": 1000.0, "pointwise": 2000.0, "depthwise": 3000.0}
    work = {"dense": 16 * 256 * 27, "pointwise": 8 * 256 * 16, "depthwise": 8 * 256 * 9}
    computing = sum(slow[kind] * work[kind] / 1e6 for kind in work)
    assert Simulated(slow).milliseconds(model) == pytest.approx(computing + 3 * OVERHEAD_MS)
    # So fast that only what is moved counts: image, weights and features, 4 bytes each.
    fast = Simulated(dict.fromkeys(slow, 0.0))
    moved = 3 * 1024 + 432 + 4096 + 4096 + 128 + 2048 + 2048 + 72 + 2048
    assert fast.milliseconds(model) == pytest.approx(4e-6 * moved + 3 * OVERHEAD_MS)


def test_simulated_measurements_scatter_about_the_truth(model):
    rng = np.random.default_rng(0)
    one = DEVICES["slow_depthwise"]
    found = pd.DataFrame([one.measure(model, rng) for _ in range(200)])
    relative = found["ms"] / one.milliseconds(model) - 1
    # The median of 20 values that deviate by 5%: 1.25 * 5% / sqrt(20).
    assert relative.std() == pytest.approx(0.014, rel=0.2)
    assert abs(relative.mean()) < 0.004
    assert found["spread"].mean() == pytest.approx(0.05, rel=0.15)
