"""Make a follow-up kit for a device: known designs that were not measured there yet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evonas import references
from evonas.errors import DataError
from evonas.problem import Problem, Report
from evonas.runners.kit import make as kits
from evonas.runners.kit.combine import combine_results
from evonas.runners.kit.formats import Kit, Measured, Result

DESIGNS = 10
"""Designs of a follow-up kit, by default."""

LEAST = 4
"""Designs that are worth a follow-up kit."""


def follow_up_designs(
    kit: Kit, groups: Sequence[Sequence[Measured]], count: int | None = None
) -> list[int]:
    """Choose the most informative designs beside those that were measured.

    A device's profile lists them and a follow-up kit holds them, so that both are the same.

    Args:
        kit: Kit of all results, as :func:`evonas.runners.kit.combine.combine_results` gives it.
        groups: Measured models of each result, as the same function gives them.
        count: Number of designs; left out, ten or as many as are left.

    Returns:
        Rows of designs that have models of all kinds; none if fewer than four are left that are
        worth measuring.

    Raises:
        DataError: Fewer than ``count`` are left.
    """
    known = _survey(kit)
    measured = sorted({model.design for group in groups for model in group})
    left = len(np.setdiff1d(known.usable, measured))
    wanted = min(DESIGNS, left) if count is None else count
    if wanted > left:
        raise DataError(
            f"{wanted} further designs are asked for, and {left} of the results' kits have models "
            "of all kinds and are not measured; ask for fewer, or make a kit with another --seed"
        )
    chosen = kits.choose(known, wanted, measured=measured) if wanted >= LEAST else []
    return chosen if len(chosen) >= LEAST else []


def follow_up_kit(
    results: Sequence[Result], out: Path, count: int | None = None, report: Report = print
) -> dict[str, Any]:
    """Write a kit of the most informative designs beside those that were measured.

    Nothing is measured here again. The kit has the reference model of the first one, so that all
    can be fitted together.

    Args:
        results: Results of one device, that of its own kit first.
        out: Folder of the kit, which is not there yet, or empty.
        count: Number of designs; left out, ten or as many as are left.
        report: Receives progress.

    Returns:
        The content of ``kit.json``.

    Raises:
        UsageError: Results do not go together, no design is left, or the problem has changed.
    """
    kit, groups = combine_results(results)
    problem = references.load_problem(kit.problem, kit.options)
    kits.check(problem, kit.problem, out)
    _check_unchanged(problem, kit)
    chosen = follow_up_designs(kit, groups, count)
    if not chosen:
        raise DataError(
            f"fewer than {LEAST} designs of the results' kits are left that are worth measuring; "
            "make a kit of others, with another --seed"
        )
    kits.report_fewer(report, len(chosen), count or 0)
    problem.prepare(report)
    reference = kit.reference_model
    return kits.write(
        problem,
        kit.problem,
        kit.options,
        out,
        _survey(kit),
        [*chosen, reference.design],
        labels=[*map(str, chosen), "reference"],
        reference_model=(reference.design, reference.kind),
        report=report,
    )


def _survey(kit: Kit) -> kits.Survey:
    rows = list(range(len(kit.designs)))
    costs = {kind: np.array(ms, dtype=float) for kind, ms in kit.proxy_ms.items()}
    return kits.Survey(kit.designs, costs, kit.views_of(rows), kit.made_on)


def _check_unchanged(problem: Problem, kit: Kit) -> None:
    """Check that a problem still has the designs and the models of a kit."""
    space = json.loads(json.dumps(problem.space.describe()))  # As it is read from a kit.
    if (space, dict(problem.timed_models)) != (kit.space, kit.kinds):
        raise DataError(
            f"problem '{kit.problem}' has another space or other models than when the first kit "
            "was made; make a new kit"
        )
