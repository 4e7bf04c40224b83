"""How many evaluations surrogates spare on the digits supernet.

The problem ``digits`` is searched with plain NSGA-II and with surrogates. All searches share one
trained supernet. A design is measured once for all of them, and each of its times is the median of
several, so that the noise of timing is the same for both methods and a design has one latency.

The objectives are scaled to the ideal and nadir point of the front of everything that was
evaluated, and hypervolume is that with the reference point 1.1 in every objective, as a share of
that front's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import product, results
from benchmarks.volume import curve, evaluations_until, scale
from evonas import references
from evonas.errors import WorkError
from evonas.evaluation import evaluate
from evonas.pareto import non_dominated
from evonas.problem import Problem, Report
from evonas.records import Candidate, Evaluation, Status, Task
from evonas.run.front import cost_array
from evonas.run.journal import Journal
from evonas.run.run import Run
from evonas.runners.serial import SerialRunner
from evonas.space import FloatArray, genome_key

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIMINGS = 3
"""How often a design is timed; the medians count."""

TITLES = {"plain": "plain NSGA-II", "evonas": "EvoNAS with surrogates"}


class Measured:
    """Designs that have been measured, each once for all searches.

    Args:
        problem: Prepared.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._known: dict[str, Evaluation] = {}
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self._known)

    def look_up(self, task: Task) -> Evaluation:
        """Evaluate a task, unless its design has been measured; ``seconds`` are those it took."""
        key = genome_key(task.candidate.genome)
        if key not in self._known:
            self._known[key] = self._measure(task.candidate)
            self.seconds += self._known[key].seconds
        known = self._known[key]
        values = {name: known.values[name] for name in task.metrics if name in known.values}
        return replace(known, candidate=task.candidate, values=values)

    def _measure(self, candidate: Candidate) -> Evaluation:
        metrics = tuple(metric.name for metric in self._problem.measured_metrics)
        found = [evaluate(self._problem, Task(candidate, metrics))]
        timed = tuple(name for name in metrics if name in self._problem.timed_models.values())
        if timed and found[0].status is Status.OK:
            found += [evaluate(self._problem, Task(candidate, timed)) for _ in range(TIMINGS - 1)]
        medians = {
            name: float(np.median([e.values[name] for e in found if name in e.values]))
            for name in found[0].values
        }
        return replace(found[0], values=medians, seconds=sum(e.seconds for e in found))


class LookingUp(SerialRunner):
    """Evaluates in this process what no search has evaluated before.

    Args:
        problem: Prepared.
        measured: Measurements so far.
        settings: See :class:`evonas.runners.serial.SerialRunner`.
    """

    def __init__(self, problem: Problem, *, measured: Measured, **settings: Any) -> None:
        super().__init__(problem, **settings)
        self._measured = measured

    def wait(self, timeout: float | None = None) -> list[Evaluation]:
        return [self._measured.look_up(self._queue.popleft())] if self._queue else []


def shares(runs: Sequence[FloatArray]) -> list[FloatArray]:
    """Scale the costs of searches alike, and compute their curves.

    Args:
        runs: Costs of each in the order of evaluation, shape (evaluations, objectives); infinite
            for designs without values.

    Returns:
        For each the share, after every evaluation, of the hypervolume of the front of all.

    Raises:
        WorkError: No design has values.
    """
    together = np.vstack(runs)
    together = together[np.isfinite(together).all(axis=1)]
    if not len(together):
        raise WorkError("no search found a feasible design; loosen the constraints")
    front = together[non_dominated(together)]
    full = curve(scale(front, front))[-1]
    return [curve(scale(costs, front)) / full for costs in runs]


def run(
    runs: Path,
    *,
    seeds: int = 3,
    evaluations: int = 400,
    budget: int = 140,
    options: Mapping[str, object] | None = None,
    problem: str = "digits",
    report: Report = print,
) -> list[results.Result]:
    """Compare plain NSGA-II and EvoNAS.

    Args:
        runs: The directory in which the searches are kept.
        seeds: Searches of each method.
        evaluations: Evaluations of plain NSGA-II.
        budget: Evaluations of EvoNAS.
        options: Options of the problem.
        problem: Problem to search.
        report: Told of every search.

    Returns:
        A row a seed: shares of the hypervolume that plain NSGA-II has at the budget of EvoNAS and
        in the end (``plain_at_budget``, ``plain_at_end``) and EvoNAS (``evonas_at_budget``); the
        evaluations that EvoNAS ``needed`` for what plain NSGA-II has in the end, missing if that
        is more than its ``budget``; wall ``seconds`` of both, as if each had measured all of its
        designs itself; and what the surrogates were worth.

    Raises:
        UsageError: An option is wrong.
        WorkError: A search was stopped, or none found a feasible design.
    """
    import pandas as pd

    made = references.load_problem(problem, options)
    made.prepare(report)
    measured = Measured(made)
    ended: dict[tuple[str, int], tuple[Run, FloatArray, float]] = {}
    for seed in range(seeds):
        for method, limit in {"plain": evaluations, "evonas": budget}.items():
            directory = runs / "digits_prune" / f"{method}-{seed}"
            before, start = measured.seconds, time.perf_counter()
            run = product.search(
                made,
                directory,
                evaluations=limit,
                seed=seed,
                surrogate=None if method == "plain" else "default",
                runner=partial(LookingUp, measured=measured),
                reference=problem,
                options=options,
            )
            seconds = time.perf_counter() - start - (measured.seconds - before)
            with Journal.read(directory) as journal:
                found = journal.evaluations()
            seconds += sum(evaluation.seconds for evaluation in found)
            ended[method, seed] = run, _costs(made, found), seconds
            report(f"{method}, seed {seed}: {seconds:.0f} s; {len(measured)} designs measured")
    curves = dict(zip(ended, shares([costs for _, costs, _ in ended.values()]), strict=True))
    rows = []
    for seed in range(seeds):
        plain, own = curves["plain", seed], curves["evonas", seed]
        status = ended["evonas", seed][0].status()
        rows.append(
            {
                "seed": seed,
                "plain_at_budget": plain[:budget][-1],
                "plain_at_end": plain[-1],
                "evonas_at_budget": own[-1],
                "budget": budget,
                "needed": evaluations_until(own, plain[-1]),
                "plain_seconds": ended["plain", seed][2],
                "evonas_seconds": ended["evonas", seed][2],
                "pruned": status["pruned"],
                "wrong_prune_rate": status["wrong_prune_rate"],
                **{f"spearman.{name}": r for name, r in status["spearman"].items()},
            }
        )
    table = pd.DataFrame(rows).astype({"needed": "Int64"})
    return [results.Result("digits_prune", table, draw(curves, seeds))]


def _costs(problem: Problem, evaluations: Sequence[Evaluation]) -> FloatArray:
    """Costs in the order of evaluation, shape (evaluations, objectives); see :func:`shares`."""
    costs = np.full((len(evaluations), len(problem.objectives)), np.inf)
    ok = [row for row, evaluation in enumerate(evaluations) if evaluation.status is Status.OK]
    costs[ok] = cost_array(problem.describe(), [evaluations[row] for row in ok])
    return costs


def draw(curves: Mapping[tuple[str, int], FloatArray], seeds: int) -> Figure:
    """Draw the curves of both methods, one panel a seed."""
    figure, panels = results.panels(seeds, columns=3, size=(4.2, 3.4))
    lowest = min(curve[-1] for curve in curves.values())
    for seed, axes in enumerate(panels):
        for method, title in TITLES.items():
            own = curves[method, seed]
            axes.plot(np.arange(1, len(own) + 1), own, label=title)
        results.draw_mark(axes, float(curves["plain", seed][-1]))
        axes.set(title=f"seed {seed}", xlabel="evaluations", ylabel="share of hypervolume")
        axes.set(ylim=(1 - 4 * (1 - lowest), 1.0) if lowest < 1 else None)
    results.legend_below(figure, columns=2)
    return figure
