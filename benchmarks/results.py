"""The one writer of what benchmarks measure: tables, figures, and what they were made with."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evonas.errors import ConfigError
from evonas.host import available_cores

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURED = "measured.json"
"""Beside the tables: name of a result -> its command, commit, date and machine."""


@dataclass(frozen=True)
class Result:
    """What a benchmark found.

    Args:
        name: Name of its files, without an ending.
        table: Written as ``NAME.csv``.
        figure: Written as ``NAME.png``.
    """

    name: str
    table: pd.DataFrame
    figure: Figure | None = None


def prepare(out: Path, name: str) -> None:
    """Make the folder of the results, before a long measurement begins.

    Raises:
        ConfigError: The name is not that of a file, or the folder cannot be made.
    """
    if not name or Path(name).name != name or "\\" in name:
        raise ConfigError(f"name is '{name}'; it must be that of a file, and out its folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder '{out}' cannot be made: {error.strerror}") from error


def write(out: Path, result: Result) -> list[Path]:
    """Write a result into a folder that is there, and note what it was measured with.

    Returns:
        The table, and the figure if there is one.
    """
    files = [out / f"{result.name}.csv"]
    result.table.to_csv(files[0], index=False, float_format="%.6g", lineterminator="\n")
    if result.figure is not None:
        files.append(out / f"{result.name}.png")
        result.figure.savefig(files[1], dpi=150)
    noted = read_measured(out)
    noted[result.name] = {
        "command": command(sys.argv[1:]),
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {available_cores()} cores",
    }
    text = json.dumps(noted, indent=2, sort_keys=True) + "\n"
    (out / MEASURED).write_text(text, encoding="utf-8")
    return files


def read_measured(out: Path) -> dict[str, dict[str, str]]:
    """Read what the results of a folder were measured with; empty if nothing was noted."""
    path = out / MEASURED
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def command(arguments: list[str]) -> str:
    """Write a benchmark's command as anybody would give it, files by their names alone.

    >>> command(["knob", "--seed", "1", "--out", "results", "--json"])
    'python -m benchmarks knob --seed 1'
    """
    words, rest = ["python", "-m", "benchmarks"], iter(arguments)
    for word in rest:
        if word == "--out":
            next(rest, None)
        elif word not in ("--json", "--debug"):
            words.append(Path(word).name if "/" in word and Path(word).exists() else word)
    return shlex.join(words)


def _commit() -> str:
    """The commit of this code, with ``-dirty`` where files have changed since."""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    folder = Path(__file__).parent
    try:
        answer = subprocess.run(describe, capture_output=True, text=True, cwd=folder, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()


def panels(count: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels in the style of all figures.

    Args:
        count: Number of panels.
        columns: Number of panels beside one another.
        size: Width and height of a panel, in inches.
    """
    from matplotlib.figure import Figure

    columns = min(columns, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * lines), layout="constrained")
    found = [figure.add_subplot(lines, columns, place + 1) for place in range(count)]
    for axes in found:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, found


def legend_below(figure: Figure, columns: int) -> None:
    """Put the legend of the first panel below all of them, the entries in some columns."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    columns = min(columns, len(labels))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    lines = -(-len(labels) // columns)
    figure.set_size_inches(figure.get_figwidth(), figure.get_figheight() + 0.25 * lines)


def draw_mark(axes: Axes, value: float) -> None:
    """Draw what is aimed at as a dashed line."""
    axes.axhline(value, color="#9aa0a6", lw=1, ls="--")
