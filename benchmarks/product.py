"""Synchronous searches by the product itself, for the benchmarks that look into their journals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import evonas
from evonas.errors import WorkError
from evonas.problem import Problem
from evonas.run.run import Run


def search(problem: Problem, directory: Path, **settings: Any) -> Run:
    """Search batch by batch, and keep the run in a directory; one that is there is replaced.

    Args:
        problem: Problem to search.
        directory: The run's directory.
        settings: Further arguments of :func:`evonas.search`; ``surrogate`` and ``runner`` must be
            among them.

    Raises:
        WorkError: The search was stopped.
    """
    settings |= {"asynchronous": False, "overwrite": True, "report": lambda text: None}
    ended = evonas.search(problem, out=directory, **settings)
    if ended.meta["state"] == "stopped":
        raise WorkError(f"the search {directory.name} was stopped; nothing was compared")
    return ended
