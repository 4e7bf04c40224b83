"""How long a round of a search with surrogates takes: to propose, to predict and to choose.

``python -m benchmarks rounds --table TABLE`` follows one search of a table, where evaluations take
no time, and writes ``results/rounds.csv`` and ``results/rounds.png``. Time is that of the
processor, on one thread, as the machine may be shared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from benchmarks.prune_methods import Oracle, evonas, table_problem
from evonas.engine.settings import INITIAL_DESIGNS as OPENING
from evonas.engine.settings import OFFSPRING as BATCH
from evonas.errors import DataError
from evonas.problem import Report
from evonas.surrogates.ensemble import choice_rows

if TYPE_CHECKING:
    import pandas as pd

LATEST = 20
"""Rounds that tell how long one takes with so many designs known."""


def run(
    table: Path,
    out: Path,
    maximise: str,
    minimise: str,
    genes: Sequence[str] = (),
    budget: int = 1000,
    seed: int = 0,
    report: Report = print,
) -> pd.DataFrame:
    """Time every round of a search, and write ``rounds.csv`` and ``rounds.png``.

    Args:
        table: Of NAS-Bench-201 cells, unless ``genes`` says otherwise.
        out: The directory to write to; made if it is not there.
        maximise: A column.
        minimise: A column.
        genes: The gene columns of a table of any kind.
        budget: Evaluations of the search.
        seed: Of the search.
        report: Told what is going on.

    Returns:
        One row for rounds of either kind, with a new plan of the models and without: ``rounds``;
        ``seconds``, the median of the latest 20; and ``most_seconds``, of all.

    Raises:
        DataError: The table cannot be read, lacks a column, or has no more designs than a search
            begins with.
    """
    import pandas as pd

    oracle = Oracle(table_problem(table, maximise, minimise, genes))
    if len(oracle.genomes) <= OPENING:
        raise DataError(
            f"table '{table}' has {len(oracle.genomes)} designs, all in the opening batch; "
            f"it must have more than {OPENING}"
        )
    report(f"a search of {budget} evaluations, {maximise} and {minimise}")
    rows = []
    with threadpool_limits(1):
        order, known, planned_on, start = evonas(oracle, seed), 0, 0, time.process_time()
        while known < budget:
            done = len(list(islice(order, BATCH if known else OPENING)))
            if not done:
                break
            end, plan = time.process_time(), choice_rows(known)
            # The opening is chosen without models.
            if known:
                rows.append((known, end - start, plan != planned_on))
            known, planned_on, start = known + done, plan, end
    found = pd.DataFrame(rows, columns=["known", "seconds", "plan"])
    out.mkdir(parents=True, exist_ok=True)
    found.to_csv(out / "rounds.csv", index=False, float_format="%.4f", lineterminator="\n")
    _draw(out / "rounds.png", found, f"{maximise} / {minimise}")
    return pd.DataFrame(
        {
            "plan": plan,
            "rounds": len(some),
            "seconds": some["seconds"].tail(LATEST).median(),
            "most_seconds": some["seconds"].max(),
        }
        for plan, some in found.groupby("plan")
    )


def _draw(path: Path, found: pd.DataFrame, title: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for plan, some in found.groupby("plan"):
        label = "models are planned anew" if plan else "models are fitted to what is new"
        axes.scatter(some["known"], some["seconds"], s=14, label=label)
    axes.set(
        xlabel="designs known",
        ylabel="processor time a round [s]",
        ylim=(0, None),
        title=f"Choosing {BATCH} designs: {title}",
    )
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
