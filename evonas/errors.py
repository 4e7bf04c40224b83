"""The errors of EvoNAS, as one tree.

::

    EvonasError                 everything raised on purpose
    ├── UsageError              the call was wrong (exit code 2)
    │   ├── SpaceError          a gene, a genome or a condition
    │   ├── ProblemError        a problem's declaration
    │   ├── ConfigError         a configuration file or a ``--set`` option
    │   ├── PluginError         a plug-in that is unknown or does not load
    │   ├── RunError            a run directory: missing, corrupt, of another version
    │   │   └── RunLockedError  another process is writing to the run
    │   └── DataError           a user's data: missing, empty, of the wrong shape
    ├── WorkError               the work itself failed (exit code 1)
    └── InfeasibleError         raised by ``Problem.evaluate``: this genome has no values

A message is one sentence: what was wrong, where, and what would be right.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EvonasError(Exception):
    """Base of every error that EvoNAS raises on purpose."""


class UsageError(EvonasError):
    """The call was wrong; the command line exits with code 2."""


class SpaceError(UsageError):
    """A gene, a genome or a condition is not valid."""


class ProblemError(UsageError):
    """A problem is declared inconsistently."""


class ConfigError(UsageError):
    """A configuration holds an unknown key or a value of the wrong type."""


class PluginError(UsageError):
    """A plug-in is unknown or does not load."""


class RunError(UsageError):
    """A run directory is missing, corrupt, or of another version."""


class RunLockedError(RunError):
    """Another process is writing to the run."""


class DataError(UsageError):
    """A user's data is missing, empty, or of the wrong shape."""


class WorkError(EvonasError):
    """The work failed; the command line exits with code 1."""


class InfeasibleError(EvonasError):
    """Raise in ``Problem.evaluate`` for a genome that has no values (status ``infeasible``)."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name, or list what is known.

    >>> did_you_mean("latncy_ms", ["latency_ms", "error"])
    "; did you mean 'latency_ms'?"
    >>> did_you_mean("x", ["error", "latency_ms"])
    '; known: error, latency_ms'
    """
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(word), names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""
