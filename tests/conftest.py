import os
import signal

from hypothesis import settings

# As in workers: tests that run at the same time would otherwise fight for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell ignores Ctrl-C on behalf of what it runs in the background, which the tests may be.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something about the machine, not about the code.
settings.register_profile("evonas", deadline=None)
settings.load_profile("evonas")
