import sys

import numpy as np
import pytest
import torch

from benchmarks import device
from evonas.errors import ConfigError, WorkError
from evonas.problems.split_cnn import problem
from evonas.problems.split_cnn.supernet import Supernet


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
