"""What the command line prints about runs and problems."""

from __future__ import annotations

import inspect
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from evonas import plugins, references
from evonas.problem import Metric
from evonas.run.front import Design, Front
from evonas.run.journal import Journal

if TYPE_CHECKING:
    from evonas.runners.ray.doctor import Diagnosis

_NO_DEFAULT = inspect.Parameter.empty

ROWS = 20
"""A longer front is shown by this many of its designs; the files hold all of them."""

QUICK = 0.2
"""Seconds of an evaluation; choosing a design takes about as long."""

UNKNOWN = "unknown, nothing was audited"


def print_front(console: Console, front: Front) -> None:
    """Print a front: identifier, objectives, final metrics, and genes.

    If the genes do not all fit, only the one that figures highlight is shown.
    """
    chosen = np.unique(np.linspace(0, len(front) - 1, min(ROWS, len(front))).round().astype(int))
    shown = [front.designs[i] for i in chosen]
    table = _front_table(front, shown, front.genes)
    unlimited = console.options.update(max_width=10_000)
    fits = console.measure(table, options=unlimited).maximum <= console.width
    if not fits:
        highlight = front.description.get("highlight")
        table = _front_table(front, shown, [highlight] if highlight else [])
    console.print(table)
    if len(shown) < len(front):
        console.print(f"{len(shown)} of {len(front)} designs are shown.")
    if not fits:
        console.print("All genes are in the files.")


def _front_table(front: Front, designs: Sequence[Design], genes: Sequence[str]) -> Table:
    description = front.description
    shown = [o["metric"] for o in description["objectives"]]
    shown += [m["name"] for m in description["metrics"] if m["final"]]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("id", justify="right")
    for name in shown:
        metric = next(m for m in description["metrics"] if m["name"] == name)
        table.add_column(_label(metric), justify="right")
    for name in genes:
        table.add_column(name)
    for design in designs:
        metrics = [_value(design.metrics[m]) if m in design.metrics else "" for m in shown]
        values = {name: _value(value) for name, value in design.genes.items()}
        table.add_row(str(design.id), *metrics, *(values.get(name, "") for name in genes))
    return table


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(one)}" for name, one in value.items())
    if isinstance(value, list):
        return " to ".join(map(_value, value))
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def errors(directory: Path) -> Counter[str]:
    """Count the errors of a run's failed evaluations by their text."""
    with Journal.read(directory) as journal:
        return Counter(
            e.error for e in journal.evaluations() if e.status.value in ("failed", "timeout")
        )


def print_status(console: Console, directory: Path, status: Mapping[str, Any]) -> None:
    """Print where a run stands, and why evaluations failed."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in status.items():
        if value not in (None, {}):
            table.add_row(name.replace("_", " "), _value(value))
        elif name == "wrong_prune_rate":
            table.add_row("wrong prune rate", UNKNOWN)
    console.print(table)
    for error, count in errors(directory).most_common(3):
        console.print(f"failed {count} times: {error}", markup=False)
    if status["state"] in ("stopped", "interrupted"):
        command = f"evonas resume {shlex.quote(str(directory))}"
        console.print(f"Continue with: {command}", markup=False)


def surrogate_worth(status: Mapping[str, Any]) -> str:
    """Say in a line what the surrogate of a run was worth."""
    pruned = "none pruned, as it was certain of none"
    if status["pruned"] or status["audited"]:
        pruned = (
            f"{status['pruned']} pruned for good, {status['audited']} audited, "
            f"{status['spared_share']:.0%} spared"
        )
    wrong = UNKNOWN
    if status["wrong_prune_rate"] is not None:
        low, high = status["wrong_prune_interval"]
        wrong = f"{status['wrong_prune_rate']:.1%} (95% interval {low:.1%} to {high:.1%})"
    seconds = status["evaluation_seconds"]
    hint = ""
    if seconds is not None and seconds < QUICK:
        hint = " Evaluations are quick here: with --no-surrogate, many more fit into the same time."
    return (
        f"Surrogate: chose {status['evaluated']} of {status['considered']} proposals, "
        f"{pruned}; wrong prunes: {wrong}; "
        f"Spearman correlation: {_value(status['spearman']) or 'nothing was predicted'}."
        f"{hint}"
    )


def describe_problem(name: str) -> dict[str, Any]:
    """Describe a registered problem in brief.

    Raises:
        EvonasError: The problem does not load.
    """
    kind = plugins.problem_class(name)
    defaults = plugins.option_defaults(kind)
    required = [option for option, default in defaults.items() if default is _NO_DEFAULT]
    result: dict[str, Any] = {
        "name": name,
        "summary": (inspect.getdoc(kind) or "").partition("\n")[0],
        "options": [
            option if default is _NO_DEFAULT else f"{option}={default}"
            for option, default in defaults.items()
        ],
    }
    if not required:
        description = references.load_problem(name).describe()
        result |= {
            "genes": [_gene(gene) for gene in description["space"]],
            "metrics": [_label(metric) for metric in description["metrics"]],
            "objectives": [f"{o['goal']} {o['metric']}" for o in description["objectives"]],
            "constraints": [_bound(constraint) for constraint in description["constraints"]],
        }
    return result


def print_problem(console: Console, problem: Mapping[str, Any]) -> None:
    """Print a problem as :func:`describe_problem` gives it."""
    console.print(f"{problem['name']}: {problem['summary']}", style="bold")
    table = Table(box=None, show_header=False, padding=(0, 2))
    for name in ("genes", "metrics", "objectives", "constraints", "options"):
        if problem.get(name):
            table.add_row(name, ", ".join(problem[name]))
    console.print(table)


def _gene(gene: Mapping[str, Any]) -> str:
    if "options" in gene:
        return f"{gene['name']} ({' | '.join(map(str, gene['options']))})"
    return f"{gene['name']} ({gene['low']} to {gene['high']})"


def _label(metric: Mapping[str, Any]) -> str:
    return Metric(metric["name"], metric["unit"]).label


def _bound(constraint: Mapping[str, Any]) -> str:
    lower, upper = constraint["lower"], constraint["upper"]
    parts = [f"{lower:g} <= " if lower is not None else "", constraint["metric"]]
    return "".join([*parts, f" <= {upper:g}" if upper is not None else ""])


def print_diagnosis(console: Console, diagnosis: Diagnosis) -> None:
    """Print a diagnosis."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    columns = {
        "host": "host", "CPUs": "cpus", "GPUs": "gpus", "memory [GB]": "memory_gb",
        "round trip [ms]": "round_trip_ms", "transfer [MB/s]": "transfer_mb_per_s",
        "onnxruntime [ms]": "onnxruntime_ms",
    }  # fmt: skip
    for title in columns:
        table.add_column(title, justify="left" if title == "host" else "right")
    for node in diagnosis.nodes:
        values = [getattr(node, name) for name in columns.values()]
        table.add_row(*(v if isinstance(v, str) else f"{v:.3g}" for v in values))
    console.print(table)
    for node in diagnosis.nodes[:1]:
        console.print(", ".join(f"{name} {version}" for name, version in node.versions.items()))
    for kind, lines in (("error", diagnosis.errors), ("warning", diagnosis.warnings)):
        for line in lines:
            console.print(f"{kind}: {line}")
    if not diagnosis.errors:
        console.print("A search can run here.")
