"""Figures of a run. matplotlib is loaded only when one is drawn."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas.problem import Metric
from evonas.records import Evaluation, Status
from evonas.run.front import Front, say_designs
from evonas.space import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection

GREY, RED, BLUE = "#9aa0a6", "#d9776b", "#1a5fb4"


def draw_front(path: Path, front: Front, evaluations: Sequence[Evaluation]) -> None:
    """Draw the front among all evaluations, with one panel for each pair of objectives.

    A single objective is drawn over the order of evaluation.

    Args:
        path: PNG file to write.
        front: Front of the evaluations.
        evaluations: Evaluations, in the order in which they ended.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    objectives = [o["metric"] for o in front.description["objectives"]]
    pairs = list(itertools.combinations(objectives, 2)) or [("", objectives[0])]
    figure = Figure(figsize=(1.0 + 6.0 * len(pairs), 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (x, y) in enumerate(pairs, start=1):
        axes = figure.add_subplot(1, len(pairs), number)
        # With more than two objectives the front is a surface: a line would join distant points.
        members = _draw_pair(axes, x, y, front, evaluations, line=len(objectives) == 2)
        gene = front.description.get("highlight")
        if gene and number == len(pairs) and len(front):
            figure.colorbar(members, ax=axes, label=gene, pad=0.01)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    title = f"{front.description['problem']}: {say_designs(len(front))} on the front"
    notes = "; ".join(note.partition(":")[0] for note in front.description.get("notes", []))
    figure.suptitle("\n".join([title, *textwrap.wrap(notes, 85 * len(pairs))]), fontsize=10)
    partial = path.with_name(path.name + ".partial")
    figure.savefig(partial, dpi=150, format="png")
    partial.replace(path)


def _draw_pair(
    axes: Axes, x: str, y: str, front: Front, evaluations: Sequence[Evaluation], line: bool
) -> PathCollection:
    members = {design.id: design for design in front.designs}

    def points(chosen: list[tuple[int, Evaluation]]) -> FloatArray:
        rows = [(e.values[x] if x else number, e.values[y]) for number, e in chosen]
        return np.array(rows, dtype=float).reshape(-1, 2).T

    numbered = [(n, e) for n, e in enumerate(evaluations, start=1) if y in e.values]
    others = [(n, e) for n, e in numbered if e.candidate.id not in members]
    feasible = points([(n, e) for n, e in others if e.status is Status.OK])
    infeasible = points([(n, e) for n, e in others if e.status is Status.INFEASIBLE])
    on_front = [(n, e) for n, e in numbered if e.candidate.id in members]
    best = points(on_front)
    order = np.argsort(best[0], kind="stable")
    best = best[:, order]

    def scatter(xy: FloatArray, name: str, size: float, colour: Any, **style: Any) -> Any:
        label = f"{name} ({xy.shape[1]})"
        return axes.scatter(xy[0], xy[1], s=size, c=colour, label=label, **style)

    scatter(feasible, "dominated", 16, GREY, alpha=0.55, lw=0)
    if infeasible.size:
        scatter(infeasible, "infeasible", 20, RED, marker="x", lw=1)
    if line:
        # The attained front: a design is the best one until the next in x.
        steps = "steps-post" if _goal(front, x) == "minimise" else "steps-pre"
        axes.plot(best[0], best[1], c=BLUE, lw=1, drawstyle=steps, alpha=0.6)
    style: dict[str, Any] = {"colour": BLUE}
    if gene := front.description.get("highlight"):
        genes = [members[on_front[i][1].candidate.id].genes for i in order]
        lowest, highest = _bounds(front, gene)
        style = {"cmap": "viridis", "vmin": lowest, "vmax": highest}
        style["colour"] = [float(g.get(gene, np.nan)) for g in genes]
    drawn = scatter(best, "front", 44, ec="black", lw=0.4, zorder=3, **style)
    axes.set_xlabel(_label(front, x) if x else "evaluation")
    axes.set_ylabel(_label(front, y))
    for name, axis, values in ((x, "x", best[0]), (y, "y", best[1])):
        positive = values.size and values.min() > 0
        # Maximised values differ at their upper end, which a logarithm squeezes together.
        costs = name and _goal(front, name) == "minimise"
        if costs and positive and values.max() > 20 * values.min():
            axes.set(**{f"{axis}scale": "log"})
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    found: PathCollection = drawn
    return found


def _bounds(front: Front, gene: str) -> tuple[float, float]:
    """Return the gene's range, so that a colour means the same on every front of the problem."""
    (found,) = (g for g in front.description["space"] if g["name"] == gene)
    values = found.get("options") or [found["low"], found["high"]]
    return float(min(values)), float(max(values))


def _goal(front: Front, metric: str) -> str:
    goals = {o["metric"]: o["goal"] for o in front.description["objectives"]}
    return str(goals[metric])


def _label(front: Front, metric: str) -> str:
    better = "lower" if _goal(front, metric) == "minimise" else "higher"
    return f"{Metric(metric, front.units[metric]).label} ({better} is better)"
