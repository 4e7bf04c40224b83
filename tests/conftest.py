import os
import signal

import pytest
from hypothesis import settings

from evonas.devices.profile import FittedCost, Probe, Profile

# As in workers: tests that run at the same time would otherwise fight for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell ignores Ctrl-C on behalf of what it runs in the background, which the tests may be.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something about the machine, not about the code.
settings.register_profile("evonas", deadline=None)
settings.load_profile("evonas")


@pytest.fixture(autouse=True)
def own_data_directory(tmp_path, monkeypatch):
    """Keep tests away from the device profiles of whoever runs them."""
    monkeypatch.delenv("EVONAS_DEVICES", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))


@pytest.fixture
def make_profile():
    """A function that makes the profile of a device that was not measured."""

    def cost(genomes=(), **changes):
        probes = [
            Probe(
                label=str(number),
                genome=genome,
                kit=0,
                measured=1.0,
                uncertainty=0.01,
                predicted=1.0,
                lower=0.9,
                upper=1.1,
            )
            for number, genome in enumerate(genomes)
        ]
        fitted = {
            "metric": "ms",
            "unit": "ms",
            "method": "adapt",
            "error": 0.1,
            "spearman": 1.0,
            "trusted": True,
            "probes": probes,
            "predictor": {},
        }
        return FittedCost(**fitted | changes)

    def make(probes=None, kind=Profile, **changes):
        kinds = {name: cost(genomes) for name, genomes in (probes or {"head": []}).items()}
        content = {
            "name": "board",
            "kits": ["one"],
            "problem": "net.py:Net",
            "options": {},
            "space": [],
            "reference": ("head", {}),
            "host": {},
            "threads": 1,
            "proxies": [],
            "kinds": kinds,
            "arrays": {},
        }
        return kind(**content | changes)

    return make
