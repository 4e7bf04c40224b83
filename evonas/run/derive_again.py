"""Evaluations of a run under other options of its problem."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evonas.derived import complete
from evonas.errors import ProblemError, RunError, UsageError
from evonas.problem import Problem, check_problem
from evonas.records import Evaluation, Status


def derive_again(
    description: Mapping[str, Any], evaluations: Sequence[Evaluation], problem: Problem
) -> list[Evaluation]:
    """Compute derived metrics and judge constraints again.

    Args:
        description: Description of the run's problem, see :meth:`evonas.Problem.describe`.
        evaluations: Evaluations of the run.
        problem: The problem with other options.

    Returns:
        The evaluations that have values; final metrics keep theirs.

    Raises:
        UsageError: The problem has other genes than the run's, measures other metrics, or cannot
            derive any design's.
    """
    check_problem(problem)
    now = json.loads(json.dumps(problem.describe()))
    if now["space"] != description["space"]:
        raise UsageError(
            f"problem '{now['problem']}' has other genes than the run; make it with the options of "
            "the run, but for the link and the devices"
        )
    if now.get("kits", {}) != description.get("kits", {}):
        run, here = (" and ".join(d.get("kits", ())) or "no device" for d in (description, now))
        raise UsageError(
            f"the run's times are predicted for {run}, and the problem's for {here}; make the "
            "problem with the profiles that the run keeps, or search with it instead"
        )
    measured = [metric.name for metric in problem.measured_metrics]
    before = [m["name"] for m in description["metrics"] if not m.get("derived_from")]
    if missing := [name for name in measured if name not in before]:
        raise UsageError(
            f"the run has no '{missing[0]}', from which problem '{now['problem']}' derives its "
            "metrics; search with that problem instead"
        )
    kept = set(measured) | {metric.name for metric in problem.final_metrics}
    found = []
    for evaluation in evaluations:
        if all(name in evaluation.values for name in measured):
            own = {name: value for name, value in evaluation.values.items() if name in kept}
            found.append(complete(problem, evaluation, own))
    if found and all(evaluation.status is Status.FAILED for evaluation in found):
        raise ProblemError(found[0].error)
    return found


def check_derived_alike(
    directory: Path,
    description: Mapping[str, Any],
    evaluations: Sequence[Evaluation],
    problem: Problem,
) -> None:
    """Check that a problem derives metrics as a run did: a front is not one of two links.

    Args:
        directory: Directory of the run, for the message.
        description: Description of the run's problem, see :meth:`evonas.Problem.describe`.
        evaluations: Evaluations of the run.
        problem: The problem that the run is to go on with.

    Raises:
        RunError: A design has another value now.
    """
    if len(problem.measured_metrics) == len(problem.metrics):
        return
    before = {e.candidate.id: e.values for e in evaluations if e.status is not Status.FAILED}
    kept = [e for e in evaluations if e.candidate.id in before]
    for evaluation in derive_again(description, kept, problem):
        for name, value in before[evaluation.candidate.id].items():
            now = evaluation.values.get(name, math.nan)
            if not math.isclose(now, value, rel_tol=1e-9):
                raise RunError(
                    f"'{name}' of design {evaluation.candidate.id} is {value:g} in run "
                    f"'{directory}', and the problem derives {now:g}; resume with the options of "
                    "the run, or make its front for others with Run.front_for"
                )
