"""Model files of a front, one directory for each design."""

from __future__ import annotations

import shutil
from errno import EDQUOT, ENOSPC
from pathlib import Path

from evonas.errors import PluginError, WorkError
from evonas.plugins import extras_named
from evonas.problem import Problem, Report
from evonas.run.front import Front


def is_full_disk(error: Exception) -> bool:
    """Whether an error says that a disk is full."""
    return isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT)


def export_models(models: Path, front: Front, problem: Problem, report: Report) -> list[Path]:
    """Write ``models/ID/`` for every member of a front, each in one step, and remove the others.

    Args:
        models: The directory ``models``, made if need be.
        front: The front.
        problem: The problem, prepared.
        report: Function that is called with lines of text about what is going on.

    Returns:
        The directories of the members.

    Raises:
        PluginError: A package is missing that an extra of evonas brings.
        WorkError: Some models are wrong or were not written; all others are written first.
    """
    wanted = {models / str(design.id): design for design in front.designs}
    models.mkdir(exist_ok=True)
    for old in models.iterdir():
        if old not in wanted:
            shutil.rmtree(old)
    problems: list[str] = []
    for directory, design in wanted.items():
        partial = directory.with_name(directory.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            with extras_named("an export of models"):
                problem.export(design.genes, partial)
        except Exception as error:
            if is_full_disk(error) or isinstance(error, PluginError):
                raise  # The next design would fare no better.
            shutil.rmtree(partial)
            said = (
                str(error) if isinstance(error, WorkError) else f"{type(error).__name__}: {error}"
            )
            problems.append(f"design {design.id}: {said}")
            continue
        shutil.rmtree(directory, ignore_errors=True)
        partial.rename(directory)
    if problems:
        raise WorkError(f"{len(problems)} of {len(wanted)} models failed: " + "; ".join(problems))
    report(f"{len(wanted)} models exported and verified.")
    return list(wanted)
