import os

from hypothesis import settings

# As in workers: tests that run at the same time would otherwise fight for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says something about the machine, not about the code.
settings.register_profile("evonas", deadline=None)
settings.load_profile("evonas")
