import pytest

from evonas.devices.profile import FittedCost, Probe, Profile


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
