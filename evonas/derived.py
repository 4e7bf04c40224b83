"""Derived metrics: computed from others, which are measured and predicted in their place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from graphlib import TopologicalSorter
from types import MappingProxyType

import numpy as np

from evonas.errors import ProblemError
from evonas.evaluation import describe_exception
from evonas.problem import Metric, Problem, judge, problem_name
from evonas.records import Evaluation, Status
from evonas.space import FloatArray, Genome


def derivation_order(problem: Problem, metrics: Iterable[str] | None = None) -> list[Metric]:
    """Sort metrics so that each comes after those that it is derived from.

    Args:
        problem: The problem that declares them.
        metrics: Names of the metrics that are wanted; ``None`` means all that are searched.

    Returns:
        The wanted metrics, and all that these are derived from.
    """
    by_name = {metric.name: metric for metric in problem.metrics}
    graph: dict[str, Sequence[str]] = {}
    wanted = list(by_name if metrics is None else metrics)
    while wanted:
        name = wanted.pop(0)
        graph[name] = by_name[name].derived_from
        wanted += [part for part in graph[name] if part not in graph]
    return [by_name[name] for name in TopologicalSorter(graph).static_order()]


def add_derived(problem: Problem, values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Add the metrics that follow from those that are known.

    Args:
        problem: The problem that says how they follow.
        values: Metric -> array of shape (n,), in the metric's unit.

    Returns:
        ``values`` and every derived metric whose parts are all there; NaN for a design of several
        of which the problem cannot derive it.

    Raises:
        ProblemError: The problem cannot derive a metric of a single design.
    """
    found = dict(values)
    for metric in derivation_order(problem):
        parts = {part: found[part] for part in metric.derived_from if part in found}
        if parts and len(parts) == len(metric.derived_from):
            found[metric.name] = _derived(problem, metric.name, parts)
    return found


def _derived(problem: Problem, metric: str, parts: Mapping[str, FloatArray]) -> FloatArray:
    """Derive one metric; of several designs, those that have no value get NaN."""
    designs = len(next(iter(parts.values())))
    try:
        # Copies, so that a problem that changes its arguments does not change what was measured.
        copies = {part: values.copy() for part, values in parts.items()}
        derived = np.asarray(problem.derive(metric, copies), dtype=float)
        if derived.shape != (designs,):
            raise ValueError(f"it returned shape {derived.shape} for parts of shape ({designs},)")
        return derived
    except Exception as error:
        if designs == 1:
            raise ProblemError(
                f"problem '{problem_name(problem)}' cannot derive '{metric}': "
                f"{describe_exception(error)}"
            ) from error
    found = np.full(designs, np.nan)
    for row in range(designs):
        with suppress(ProblemError):
            one = {part: values[row : row + 1] for part, values in parts.items()}
            found[row] = _derived(problem, metric, one)[0]
    return found


def add_derived_values(problem: Problem, values: Mapping[str, float]) -> dict[str, float]:
    """Add the metrics that follow from those that are known of one design.

    Args:
        problem: The problem that says how they follow.
        values: Metric -> value in the metric's unit.

    Returns:
        ``values`` and every derived metric whose parts are all there.

    Raises:
        ProblemError: The problem cannot derive a metric, or derives a value that is not finite.
    """
    arrays = {name: np.array([value]) for name, value in values.items()}
    found = {name: float(array[0]) for name, array in add_derived(problem, arrays).items()}
    for name, value in found.items():
        if not math.isfinite(value):
            raise ProblemError(
                f"problem '{problem_name(problem)}' derives {value} for '{name}'; it must be finite"
            )
    return found | dict(values)


def complete(problem: Problem, evaluation: Evaluation, values: Mapping[str, float]) -> Evaluation:
    """Add derived metrics to what was measured of a design, and judge its constraints.

    Args:
        problem: The problem that was evaluated.
        evaluation: The evaluation, whose status is ``ok``.
        values: Measured metric -> value in the metric's unit.

    Returns:
        The evaluation with all values: ``ok``, ``infeasible``, or ``failed`` without values where a
        metric cannot be derived.
    """
    try:
        found = add_derived_values(problem, values)
    except ProblemError as failure:
        return replace(evaluation, values={}, status=Status.FAILED, error=str(failure))
    broken = judge(problem, found)
    status = Status.INFEASIBLE if broken else Status.OK
    return replace(evaluation, values=found, status=status, error=broken)


def all_values(problem: Problem, genome: Genome) -> dict[str, float]:
    """Evaluate a design in this process: all metrics, those that are derived included.

    Args:
        problem: The problem, prepared.
        genome: The design, in canonical form.

    Returns:
        Metric -> value in the metric's unit.
    """
    measured = problem.evaluate(genome, [metric.name for metric in problem.measured_metrics])
    return add_derived_values(problem, measured)


def propagate(
    problem: Problem,
    metrics: Iterable[str],
    means: Mapping[str, FloatArray],
    deviations: Mapping[str, FloatArray],
    least: Mapping[str, float] = MappingProxyType({}),
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Compute derived metrics and their standard deviations from those of their parts.

    The errors of the parts are taken to be independent. Each part is raised and lowered by its
    standard deviation; half the difference is what it contributes, and contributions add in
    quadrature. This is the law of propagation of uncertainty with sensitivities from finite
    differences (JCGM 100:2008, eq. 10 and the note to 5.1.3). It is exact for sums.

    Args:
        problem: The problem that says how metrics follow from others.
        metrics: Names of the metrics that are wanted.
        means: Measured metric -> expected values of shape (n,), in the metric's unit.
        deviations: Measured metric -> standard deviations of shape (n,); 0 for a known value.
        least: Measured metric -> bound that its values do not fall below, if it has one.

    Returns:
        Means and standard deviations of the wanted metrics, shape (n,) each.
    """
    order = derivation_order(problem, metrics)
    measured = [metric.name for metric in order if not metric.derived_from]
    own = {name: means[name] for name in measured}
    if len(measured) == len(order):
        return own, {name: deviations[name] for name in measured}

    def bounded(part: str, values: FloatArray) -> FloatArray:
        return np.maximum(values, least[part]) if part in least else values

    expected = {part: bounded(part, values) for part, values in own.items()}
    centre = add_derived(problem, expected)
    squares = {metric.name: np.zeros_like(centre[metric.name]) for metric in order}
    for part in measured:
        if not deviations[part].any():
            continue
        ends = [
            add_derived(
                problem, expected | {part: bounded(part, means[part] + side * deviations[part])}
            )
            for side in (1.0, -1.0)
        ]
        for name, square in squares.items():
            square += np.square((ends[0][name] - ends[1][name]) / 2)
    spread = {name: np.sqrt(square) for name, square in squares.items()}
    means = {name: centre[name] for name in squares} | own
    return means, spread | {name: deviations[name] for name in measured}
