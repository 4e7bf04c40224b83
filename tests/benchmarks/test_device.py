import sys

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from benchmarks import device
from benchmarks.simulated import DEVICES, OVERHEAD_MS, Simulated
from evonas.errors import ConfigError, WorkError
from evonas.problems.split_cnn import problem
from evonas.problems.split_cnn.supernet import Supernet


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


@pytest.fixture
def untrained(monkeypatch, tmp_path):
    monkeypatch.setenv("EVONAS_CACHE", str(tmp_path / "cache"))

    def arrays(config, *_):
        return Supernet(config, torch.Generator().manual_seed(0)).arrays()

    monkeypatch.setattr(problem, "load_or_train", arrays)


@pytest.mark.slow
def test_the_bench_fits_real_and_simulated_devices(untrained, monkeypatch):
    # Times on two threads are refused where both cores are busy.
    monkeypatch.setattr(device, "THREADS", (1,))
    sizes = {"probes": 6, "held_out": 8, "proxy_designs": 40, "seconds_per_model": 0.0}
    lines = []
    (found,) = device.run(sys.executable, **sizes, report=lines.append)
    table = found.table
    assert list(table["target"].unique()) == ["threads_1", "slow_pointwise", "slow_depthwise"]
    assert set(table["kind"]) == {"head", "tail"}
    methods = ["evonas", "proxy_scaled", "proxy_isotonic", "ridge_counts"]
    assert list(table["method"].unique()) == methods
    own = table[table["method"] == "evonas"].set_index(["target", "kind"])
    assert (own["probes"] == 6).all()
    assert own["designs"].between(1, 8).all()
    assert own["spearman"].between(-1, 1).all()
    assert own["coverage"].between(0, 1).all()
    # The noise of measurements is known on the simulated devices.
    assert own.loc[("slow_depthwise", "head"), "noise"] == pytest.approx(1.4, rel=0.5)
    assert len(found.figure.axes) == 2 * 3
    assert f"'numpy': '{np.__version__}'" in lines[0]


def test_designs_that_take_next_to_nothing_are_scored_beside_the_median():
    costs, predicted = np.array([0.001, 0.05, 1.0, 1.0, 2.0]), np.array([0.1, 0.06, 1.1, 1.0, 2.0])
    scored = device._score(predicted, costs, None)
    assert scored["cheap_error"] == pytest.approx(100 * (0.099 + 0.01) / 2)
    assert scored["error"] == pytest.approx(100 * 0.1 / 3)
    assert device._score(costs[2:], costs[2:], None)["cheap_error"] is None


def test_interpreters_that_cannot_measure_are_refused(tmp_path):
    for wrong in (str(tmp_path / "none"), "/bin/ls"):
        with pytest.raises(ConfigError, match="not a Python interpreter"):
            device.look_at(wrong)
    (tmp_path / "measure.py").write_text("import sys; sys.exit('no module named numpy')")
    with pytest.raises(WorkError, match="no module named numpy"):
        device.measure(sys.executable, tmp_path, 1, 0.0)
