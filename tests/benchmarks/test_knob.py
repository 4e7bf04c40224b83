import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import knob
from evonas.problems.split_cnn import weights
from evonas.problems.split_cnn.supernet import Supernet


def test_the_fit_of_known_curves():
    x = np.linspace(0, 1, 16)
    curves = {
        "macs": 3 * x + 1,
        "params": -2 * x,
        "payload_bytes": x**3,
        "latency_ms": np.abs(x - 0.5),
        "validation_loss": -(x**3),
        "validation_accuracy": np.tile([0.0, 1.0, 1.0, 0.0], 4),
    }
    summary = knob.fit(pd.DataFrame({"architecture": "one", "knob": x, **curves}))
    found = summary.set_index("quantity")
    assert found.loc["macs", "r2"] == pytest.approx(1)
    assert found.loc["params", "spearman"] == pytest.approx(-1)
    # Monotone, and not linear.
    assert found.loc["payload_bytes", "spearman"] == pytest.approx(1)
    assert found.loc["payload_bytes", "r2"] < 0.9
    # Symmetric: neither.
    assert found.loc["latency_ms", "r2"] == pytest.approx(0)
    assert found.loc["validation_accuracy", "spearman"] == pytest.approx(0, abs=0.1)


def test_the_bench_measures_every_width(tmp_path, monkeypatch):
    monkeypatch.setenv("EVONAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(knob, "VALUES", 4)
    monkeypatch.setattr(knob, "LATENCY_ROUNDS", 1)

    def untrained(config, *_):
        return Supernet(config, torch.Generator().manual_seed(0)).arrays()

    monkeypatch.setattr(weights, "load_or_train", untrained)
    lines = []
    found, fit = knob.run(report=lines.append)
    table = found.table
    assert len(table) == 3 * 4
    assert set(table["architecture"]) == set(fit.table["architecture"])
    assert (table.groupby("architecture")["macs"].diff().dropna() > 0).all()
    assert (table["latency_ms"] > 0).all()
    assert len(found.figure.axes) == len(knob.QUANTITIES)
    assert len(lines) == 3
