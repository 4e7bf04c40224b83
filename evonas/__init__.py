"""EvoNAS: evolve convolutional networks split between an edge device and a server.

Importing it is light; pymoo is loaded when a search starts.

>>> import evonas
>>> class Parabola(evonas.Problem):
...     space = evonas.Space(evonas.Real("x", -4.0, 4.0))
...     metrics = [evonas.Metric("left"), evonas.Metric("right")]
...     objectives = [evonas.Objective("left"), evonas.Objective("right")]
...
...     def evaluate(self, genome, metrics):
...         return {"left": (genome["x"] + 1) ** 2, "right": (genome["x"] - 1) ** 2}
>>> run = evonas.search(Parabola(), evaluations=40, seed=0)
>>> bool(run.front.to_frame()["x"].abs().max() < 1.5)
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evonas.errors import (
    ConfigError,
    DataError,
    EvonasError,
    InfeasibleError,
    PluginError,
    ProblemError,
    RunError,
    RunLockedError,
    SpaceError,
    UsageError,
    WorkError,
)
from evonas.problem import Constraint, Metric, Objective, Problem
from evonas.records import Candidate, Evaluation, Prediction, Status, Task, Verdict
from evonas.space import Choice, Genome, Integer, Real, Space

if TYPE_CHECKING:
    from evonas.engine.api import resume, search
    from evonas.engine.settings import SearchSettings
    from evonas.run.front import Front
    from evonas.run.run import Run

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "Choice",
    "ConfigError",
    "Constraint",
    "DataError",
    "Evaluation",
    "EvonasError",
    "Front",
    "Genome",
    "InfeasibleError",
    "Integer",
    "Metric",
    "Objective",
    "PluginError",
    "Prediction",
    "Problem",
    "ProblemError",
    "Real",
    "Run",
    "RunError",
    "RunLockedError",
    "SearchSettings",
    "Space",
    "SpaceError",
    "Status",
    "Task",
    "UsageError",
    "Verdict",
    "WorkError",
    "resume",
    "search",
]

_LAZY = {
    "Front": "evonas.run.front",
    "Run": "evonas.run.run",
    "SearchSettings": "evonas.engine.settings",
    "resume": "evonas.engine.api",
    "search": "evonas.engine.api",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'evonas' has no attribute '{name}'")
