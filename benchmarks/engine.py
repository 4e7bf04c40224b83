"""What the engine itself costs: searches of a problem that takes no time to evaluate.

Three engines on one problem, in one process and one thread, steady state with a population of
100: EvoNAS with its journal on disk, pymoo's NSGA-II alone, which keeps nothing, and Optuna's
NSGA-II with SQLite storage. What an evaluation costs is measured in processor time, because the
machine may be shared, and in wall time, which includes waiting for the disk.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import results
from evonas import search
from evonas.errors import UsageError
from evonas.problem import Metric, Objective, Problem, Report
from evonas.space import Genome, Real, Space

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

GENES = 10

POPULATION = 100

WINDOWS = 10
"""Parts of a run that are timed for themselves, to see whether the cost grows."""


class Clock:
    """Evaluates at once, and notes the time every so often.

    Args:
        evaluations: Number of evaluations of the search.
    """

    def __init__(self, evaluations: int) -> None:
        self._every = evaluations // WINDOWS
        self._count = 0
        self.marks = [(0, time.process_time(), time.perf_counter())]

    def evaluate(self, x: Sequence[float]) -> tuple[float, float]:
        """Compute two objectives, whose front grows without an end."""
        self._count += 1
        if self._count % self._every == 0:
            self.marks.append((self._count, time.process_time(), time.perf_counter()))
        return x[0], 1.0 - x[0] + sum(x[1:])


Engine = Callable[[Clock, int, int, Path], None]
"""Called with a clock, the number of evaluations, a seed, and a folder for files."""


class NoOp(Problem):
    """Takes no time to evaluate."""

    space = Space(*(Real(f"x{i}", 0.0, 1.0) for i in range(GENES)))
    metrics = (Metric("left"), Metric("right"))
    objectives = (Objective("left"), Objective("right"))

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def evaluate(self, genome: Genome, metrics: Sequence[str]) -> Mapping[str, float]:
        values = self._clock.evaluate([float(genome[name]) for name in self.space.names])
        return dict(zip(("left", "right"), values, strict=True))


def with_evonas(clock: Clock, evaluations: int, seed: int, folder: Path) -> None:
    """Search with EvoNAS, asynchronously, as on a cluster."""
    search(
        NoOp(clock),
        evaluations=evaluations,
        seed=seed,
        population=POPULATION,
        asynchronous=True,
        surrogate=None,
        runner="serial",
        out=folder / "run",
        report=lambda text: None,
    )


def with_pymoo(clock: Clock, evaluations: int, seed: int, folder: Path) -> None:
    """Search with pymoo's NSGA-II and its own operators."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.core.termination import NoTermination
    from pymoo.problems.static import StaticProblem

    problem = PymooProblem(n_var=GENES, n_obj=2, xl=0.0, xu=1.0)
    algorithm: Any = NSGA2(pop_size=POPULATION, n_offsprings=1)
    algorithm.setup(problem, termination=NoTermination(), seed=seed, verbose=False)
    done = 0
    while done < evaluations:
        offspring = algorithm.ask()
        costs = np.array([clock.evaluate(x) for x in offspring.get("X")])
        algorithm.evaluator.eval(StaticProblem(problem, F=costs), offspring)
        algorithm.tell(infills=offspring)
        done += len(offspring)


def with_optuna(clock: Clock, evaluations: int, seed: int, folder: Path) -> None:
    """Search with Optuna's NSGA-II, which keeps its trials in SQLite."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'study.sqlite'}",
        sampler=optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed),
        directions=["minimize", "minimize"],
    )
    study.optimize(
        lambda trial: clock.evaluate(
            [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(GENES)]
        ),
        n_trials=evaluations,
    )


ENGINES: Mapping[str, Engine] = {
    "EvoNAS": with_evonas,
    "pymoo alone": with_pymoo,
    "Optuna, SQLite": with_optuna,
}


def run(
    evaluations: int = 20_000,
    optuna_evaluations: int = 500,
    seed: int = 0,
    report: Report = print,
) -> list[results.Result]:
    """Time the engines.

    Args:
        evaluations: Evaluations of EvoNAS and of pymoo.
        optuna_evaluations: Evaluations of Optuna, which takes far longer.
        seed: Seed of the searches.
        report: Told what is going on.

    Returns:
        A row for every tenth of each engine's run, with processor and wall time in milliseconds an
        evaluation (``cpu_ms``, ``wall_ms``).

    Raises:
        UsageError: Optuna is not installed.
    """
    import pandas as pd

    if find_spec("optuna") is None:
        raise UsageError("'engine' compares with Optuna; pip install 'evonas[bench]'")
    rows = []
    for name, engine in ENGINES.items():
        count = optuna_evaluations if engine is with_optuna else evaluations
        report(f"{name}: {count} evaluations")
        with tempfile.TemporaryDirectory() as folder:
            clock = Clock(count)
            engine(clock, count, seed, Path(folder))
        rows += _windows(name, clock)
    table = pd.DataFrame(rows)
    return [results.Result("engine", table, draw(table))]


def _windows(name: str, clock: Clock) -> list[dict[str, Any]]:
    return [
        {
            "engine": name,
            "evaluations": end[0],
            "cpu_ms": 1000 * (end[1] - begin[1]) / (end[0] - begin[0]),
            "wall_ms": 1000 * (end[2] - begin[2]) / (end[0] - begin[0]),
        }
        for begin, end in zip(clock.marks, clock.marks[1:], strict=False)
    ]


def draw(table: pd.DataFrame) -> Figure:
    """Draw the processor time of an evaluation over the course of each engine's run."""
    figure, (axes,) = results.panels(1, columns=1, size=(7.0, 4.2))
    for name, part in table.groupby("engine", sort=False):
        axes.plot(part["evaluations"], part["cpu_ms"], marker="o", ms=4, label=str(name))
    results.draw_mark(axes, 5.0)
    axes.set(
        xscale="log", yscale="log", xlabel="evaluations", ylabel="processor time a step [ms]",
        title=f"What the engine costs: no-op problem, steady state, population {POPULATION}",
    )  # fmt: skip
    axes.legend(frameon=False)
    return figure
