"""Make a kit of a run's front, to measure what the search predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evonas import references
from evonas.devices.problem import DeviceProblem
from evonas.errors import DataError
from evonas.problem import Report
from evonas.run.run import Run, run_problem
from evonas.runners.kit import make as kits


def front_kit(
    directory: Path, out: Path, most: int | None = None, report: Report = print
) -> dict[str, Any]:
    """Write a kit of the designs on a run's front, named ``idID`` as in the front's files.

    If the run searched on a fitted device, the kit is made with the options of that device's own
    kit, and measured against the same reference model, so that both can be fitted together.

    Args:
        directory: Directory of the run.
        out: Folder of the kit, which is not there yet, or empty.
        most: Number of designs to take, evenly over the front; left out, all.
        report: Receives progress.

    Returns:
        The content of ``kit.json``.

    Raises:
        UsageError: There is no front, its problem has no timed models, or some designs fail.
        WorkError: All designs fail.
    """
    run = Run.open(directory)
    designs = run.front.designs
    if not designs:
        raise DataError(f"run '{directory}' has no design on its front yet")
    problem, options = run_problem(directory, run.meta), run.meta["options"]
    profile = problem.profiles[0] if isinstance(problem, DeviceProblem) else None
    if profile is not None:
        options = profile.options
        problem = references.load_problem(run.meta["reference"], options)
    kits.check(problem, run.meta["reference"], out)
    rows = np.linspace(0, len(designs) - 1, min(most or len(designs), len(designs))).round()
    taken = [designs[int(row)] for row in rows]
    genomes = [dict(design.genes) for design in taken]
    labels = [f"id{design.id}" for design in taken]
    against = None
    if profile is not None:
        kind, genome = profile.reference
        if genome not in genomes:
            genomes.append(genome)
            labels.append("reference")
        against = (genomes.index(genome), kind)
    problem.prepare(report)
    known = kits.survey(problem, genomes, report)
    if len(known.designs) < len(genomes):
        lost = len(genomes) - len(known.designs)
        raise DataError(f"{lost} of {len(genomes)} designs of the front have no times here")
    return kits.write(
        problem,
        run.meta["reference"],
        options,
        out,
        known,
        range(len(genomes)),
        labels=labels,
        reference_model=against,
        report=report,
    )
