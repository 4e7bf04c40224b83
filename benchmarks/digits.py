"""How many evaluations surrogates spare on the digits supernet.

``python -m benchmarks digits`` searches the problem ``digits`` with plain NSGA-II and with
surrogates, and writes ``results/digits_prune.csv`` and ``results/digits_prune.png``. All searches
share one trained supernet. A design is measured once for all of them, and each of its times is the
median of several, so that the noise of timing is the same for both methods and a design has one
latency.

The objectives are scaled to the ideal and nadir point of the front of everything that was
evaluated, and hypervolume is that with the reference point 1.1 in every objective, as a share of
that front's.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.volume import curve, scale
from evonas import references
from evonas.engine.api import search
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
        measured: What is known.
        settings: Of :class:`evonas.runners.serial.SerialRunner`.
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
    out: Path,
    *,
    seeds: int = 3,
    evaluations: int = 400,
    budget: int = 140,
    options: Mapping[str, object] | None = None,
    problem: str = "digits",
    report: Report = print,
) -> dict[str, Any]:
    """Compare, and write ``digits_prune.csv`` and ``digits_prune.png``.

    Args:
        out: Folder to write to; made if it is not there. The searches are kept in ``runs`` below
            it.
        seeds: Searches of each method.
        evaluations: Of plain NSGA-II.
        budget: Evaluations of EvoNAS.
        options: Of the problem.
        problem: What is searched.
        report: Told of every search.

    Returns:
        ``seeds``, a row for each: shares of the hypervolume that plain NSGA-II has at ``budget``
        and in the end (``plain_at_budget``, ``plain_at_end``) and EvoNAS at ``budget``
        (``evonas_at_budget``); the evaluations that EvoNAS ``needed`` for what plain NSGA-II has
        in the end, ``None`` if that is more than its budget; wall ``seconds`` of both, as if each
        had measured all of its designs itself; and what the surrogates were worth. Then
        ``seeds_reached``, and ``needed``, the median in which a seed that does not reach it counts
        its budget.

    Raises:
        UsageError: An option is wrong.
        WorkError: A search was stopped, or none found a feasible design.
    """
    import pandas as pd

    made = references.load_problem(problem, options)
    made.prepare(report)
    measured = Measured(made)
    runs: dict[tuple[str, int], tuple[Run, FloatArray, float]] = {}
    for seed in range(seeds):
        for method, limit in {"plain": evaluations, "evonas": budget}.items():
            directory = out / "runs" / "digits_prune" / f"{method}-{seed}"
            shutil.rmtree(directory, ignore_errors=True)
            before, start = measured.seconds, time.perf_counter()
            ended = search(
                made,
                evaluations=limit,
                seed=seed,
                asynchronous=False,
                surrogate=None if method == "plain" else "default",
                runner=partial(LookingUp, measured=measured),
                out=directory,
                reference=problem,
                options=options,
                report=lambda text: None,
            )
            if ended.meta["state"] == "stopped":
                raise WorkError(f"the search {directory.name} was stopped; nothing was compared")
            seconds = time.perf_counter() - start - (measured.seconds - before)
            found = Journal.read(directory).evaluations()
            seconds += sum(evaluation.seconds for evaluation in found)
            runs[method, seed] = ended, _costs(made, found), seconds
            report(f"{method}, seed {seed}: {seconds:.0f} s; {len(measured)} designs measured")
    curves = dict(zip(runs, shares([costs for _, costs, _ in runs.values()]), strict=True))
    rows = []
    for seed in range(seeds):
        (_, _, plain_seconds), (ended, _, own_seconds) = runs["plain", seed], runs["evonas", seed]
        plain, own = curves["plain", seed], curves["evonas", seed]
        reached = np.flatnonzero(own >= plain[-1] - 1e-12)
        status = ended.status()
        rows.append(
            {
                "seed": seed,
                "plain_at_budget": plain[:budget][-1],
                "plain_at_end": plain[-1],
                "evonas_at_budget": own[-1],
                "needed": int(reached[0]) + 1 if len(reached) else None,
                "plain_seconds": plain_seconds,
                "evonas_seconds": own_seconds,
                "pruned": status["pruned"],
                "wrong_prune_rate": status["wrong_prune_rate"],
                **{f"spearman.{name}": r for name, r in status["spearman"].items()},
            }
        )
    out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows).astype({"needed": "Int64"})
    table.to_csv(out / "digits_prune.csv", index=False, float_format="%.5g", lineterminator="\n")
    draw(out / "digits_prune.png", curves, seeds)
    return {
        "evaluations": evaluations,
        "budget": budget,
        "seeds": rows,
        "seeds_reached": sum(row["needed"] is not None for row in rows),
        "needed": float(np.median([row["needed"] or budget for row in rows])),
    }


def _costs(problem: Problem, evaluations: Sequence[Evaluation]) -> FloatArray:
    """Costs in the order of evaluation, shape (evaluations, objectives); see :func:`shares`."""
    costs = np.full((len(evaluations), len(problem.objectives)), np.inf)
    ok = [row for row, evaluation in enumerate(evaluations) if evaluation.status is Status.OK]
    costs[ok] = cost_array(problem.describe(), [evaluations[row] for row in ok])
    return costs


def draw(path: Path, curves: Mapping[tuple[str, int], FloatArray], seeds: int) -> None:
    """Draw the curves of both methods, one panel a seed."""
    from matplotlib.figure import Figure

    columns = min(3, seeds)
    rows = -(-seeds // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    top = [own[-1] for own in curves.values()]
    for seed in range(seeds):
        axes = figure.add_subplot(rows, columns, seed + 1)
        for method, title in TITLES.items():
            own = curves[method, seed]
            axes.plot(np.arange(1, len(own) + 1), own, label=title)
        axes.axhline(curves["plain", seed][-1], color="#9aa0a6", lw=1, ls="--")
        axes.set(
            title=f"seed {seed}", xlabel="evaluations", ylabel="share of hypervolume",
            ylim=(1 - 4 * (1 - min(top)), 1.0) if min(top) < 1 else None,
        )  # fmt: skip
        axes.grid(alpha=0.25)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
