import os
import signal

import pytest
from hypothesis import settings

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
