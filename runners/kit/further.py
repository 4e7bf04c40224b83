"""Make a further kit for a device: designs that its kits describe and nobody measured there yet."""

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
from evonas.runners.kit.formats import Kit, Measured, Result
from evonas.runners.kit.merge import merge

MORE = 10
"""Designs of a further kit, unless said otherwise."""

LEAST = 4
"""Designs that are worth a further kit."""


def further_designs(
    kit: Kit, groups: Sequence[Sequence[Measured]], count: int | None = None
) -> list[int]:
    """Choose the designs that tell most beside those that are measured.

    A device's profile lists them and a further kit holds them, so that both are the same.

    Args:
        kit: Of all results, as :func:`evonas.runners.kit.merge.merge` gives it.
        groups: What was measured, likewise.
        count: How many; left out, ten or as many as are left.

    Returns:
        Rows of designs that have models of all kinds; none if fewer than four are left that are
        worth measuring.

    Raises:
        DataError: Fewer than ``count`` are left.
    """
    known = _survey(kit)
    measured = sorted({model.design for group in groups for model in group})
    left = len(np.setdiff1d(known.usable, measured))
    wanted = min(MORE, left) if count is None else count
    if wanted > left:
        raise DataError(
            f"{wanted} further designs are asked for, and {left} of the results' kits have models "
            "of all kinds and are not measured; ask for fewer, or make a kit with another --seed"
        )
    chosen = kits.choose(known, wanted, measured=measured) if wanted >= LEAST else []
    return chosen if len(chosen) >= LEAST else []


def further_kit(
    results: Sequence[Result], out: Path, count: int | None = None, report: Report = print
) -> dict[str, Any]:
    """Write a kit of the designs that tell most beside those that are measured.

    Nothing is measured here again. The kit has the reference model of the first one, so that all
    can be fitted together.

    Args:
        results: Of one device, that of its own kit first.
        out: A folder that is not there yet, or empty.
        count: How many; left out, ten or as many as are left.
        report: Receives progress.

    Returns:
        The content of ``kit.json``.

    Raises:
        UsageError: Results do not go together, no design is left, or the problem has changed.
    """
    kit, groups = merge(results)
    problem = references.load_problem(kit.problem, kit.options)
    kits.check(problem, kit.problem, out)
    _check_unchanged(problem, kit)
    chosen = further_designs(kit, groups, count)
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
