"""The page of all figures that the project claims, made from the result files."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from benchmarks.marks import read_marks
from benchmarks.results import MEASURED, read_measured
from evonas.errors import DataError

PAGE = "README.md"

HEAD = """# What is measured

Every figure that the project claims, computed by `python -m benchmarks ledger` from the tables
beside this page. A mark is what we wanted; one that is missed stays. What was tried, and what
bounds these figures, is in [docs/history.md](../docs/history.md)."""

FOOT = f"""
## How it was measured

`python -m benchmarks NAME --help` explains a benchmark. A new run writes its table, its picture
and, through [{MEASURED}]({MEASURED}), its line here. Other work was running beside most of them:
times are upper bounds. Tables of measured designs (`--table`) are not part of the repository.

| result | command | commit | date | machine |
|---|---|---|---|---|"""


def page(folder: Path) -> str:
    """Make the page of a folder of results.

    Raises:
        DataError: A table is there of which nobody noted how it was measured, or the contrary.
    """
    import pandas as pd

    measured = read_measured(folder)
    tables = {path.stem for path in folder.glob("*.csv")}
    if odd := sorted(tables ^ set(measured)):
        raise DataError(
            f"'{odd[0]}' in '{folder}' has a table or an entry in {MEASURED}, and needs both"
        )
    marks, parts = read_marks(), [HEAD]
    for topic, names in marks.topics.items():
        lines = []
        for name in (name for name in names if name in tables):
            table = pd.read_csv(folder / f"{name}.csv")
            for figure in marks.figures[name]:
                row = figure.read(table)
                verdict = f": {row['verdict']}" if row["verdict"] else ""
                lines.append(
                    f"| {row['figure']} | {row['mark']} | {row['measured']}{verdict} | {name} |"
                )
        if lines:
            parts += [
                f"\n## {topic}\n",
                "| figure | mark | measured | result |",
                "|---|---|---|---|",
            ]
            parts += lines
    parts.append(FOOT)
    # A command that writes several tables has one line.
    names = sorted(measured, key=lambda name: (*measured[name].values(), name))
    for how, together in groupby(names, key=lambda name: measured[name]):
        links = ", ".join(_links(folder, name) for name in together)
        parts.append(
            f"| {links} | `{how['command']}` | {how['commit']} | {how['date']} | {how['machine']} |"
        )
    return "\n".join(parts) + "\n"


def _links(folder: Path, name: str) -> str:
    picture = f" ([picture]({name}.png))" if (folder / f"{name}.png").exists() else ""
    return f"[{name}]({name}.csv){picture}"


def write(folder: Path) -> Path:
    """Write the page into the folder of the results."""
    path = folder / PAGE
    path.write_text(page(folder), encoding="utf-8")
    return path
