"""How long a round of a search with surrogates takes: to propose, to predict and to choose.

One search of a table is followed, where evaluations take no time. Time is that of the processor, on
one thread, as the machine may be shared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from benchmarks import product, results
from benchmarks.tabular import table_problem
from evonas.errors import DataError
from evonas.problem import Problem, Report
from evonas.records import Evaluation
from evonas.runners.serial import SerialRunner
from evonas.surrogates.ensemble import choice_rows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Timed(SerialRunner):
    """Evaluates in this process, and notes when.

    Args:
        problem: Prepared.
        ends: Gets the batch of every evaluation, and the processor time at its end.
        settings: See :class:`evonas.runners.serial.SerialRunner`.
    """

    def __init__(self, problem: Problem, *, ends: list[tuple[int, float]], **settings: Any) -> None:
        super().__init__(problem, **settings)
        self._ends = ends

    def wait(self, timeout: float | None = None) -> list[Evaluation]:
        finished = super().wait(timeout)
        self._ends += [(one.candidate.batch, time.process_time()) for one in finished]
        return finished


def run(
    table: Path,
    maximise: str,
    minimise: str,
    genes: Sequence[str] = (),
    budget: int = 1000,
    seed: int = 0,
    report: Report = print,
) -> list[results.Result]:
    """Time every round of a search but the first, in which nothing is predicted.

    Args:
        table: NAS-Bench-201 cells, unless ``genes`` says otherwise.
        maximise: A column.
        minimise: A column.
        genes: The gene columns of a table of any kind.
        budget: Evaluations of the search.
        seed: Seed of the search.
        report: Told what is going on.

    Returns:
        One row a round: how many designs are ``known`` at its beginning, the ``seconds`` that it
        takes, and whether the models make their choices anew (``plan``).

    Raises:
        DataError: The table cannot be read, lacks a column, or has no more designs than a search
            begins with.
        WorkError: The search was stopped.
    """
    import pandas as pd

    problem = table_problem(table, maximise, minimise, genes)
    report(f"a search of {budget} evaluations, {maximise} and {minimise}")
    ends: list[tuple[int, float]] = []
    with threadpool_limits(1), TemporaryDirectory() as folder:
        product.search(
            problem,
            Path(folder),
            evaluations=budget,
            seed=seed,
            surrogate="default",
            runner=partial(Timed, ends=ends),
        )
    batches = pd.DataFrame(ends, columns=["batch", "end"]).groupby("batch")["end"]
    if len(batches) < 2:
        raise DataError(
            f"table '{table}' has {len(ends)} designs, all in the first batch; it must have more"
        )
    known = batches.size().cumsum().to_numpy()[:-1]
    plans = pd.Series([choice_rows(int(designs)) for designs in known])
    seconds = batches.last().diff().to_numpy()[1:]
    found = pd.DataFrame({"known": known, "seconds": seconds, "plan": plans.diff() != 0})
    return [results.Result("rounds", found, draw(found, f"{maximise} / {minimise}"))]


def draw(found: pd.DataFrame, title: str) -> Figure:
    """Draw the time of every round over the number of designs known."""
    figure, (axes,) = results.panels(1, columns=1, size=(7.0, 4.2))
    for plan, some in found.groupby("plan"):
        label = "models are fitted to what is new"
        if plan:
            label = "the choices of the models are made anew"
        axes.scatter(some["known"], some["seconds"], s=14, label=label)
    axes.set(xlabel="designs known", ylabel="processor time a round [s]", ylim=(0, None))
    axes.set(title=f"Choosing the next designs: {title}")
    axes.legend(frameon=False)
    return figure
