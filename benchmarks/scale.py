"""How busy a cluster's workers are kept by evaluations of very different lengths.

Evaluations sleep for log-normally distributed times (median 1 s, sigma 0.8, so that one in ten
takes almost 3 s), on one private Ray cluster of this machine, with 2 to 32 workers: EvoNAS
asynchronously, EvoNAS synchronously, and Ray Tune with Optuna's NSGA-II behind it. Every
evaluation notes when it began and ended; the busy share is the part of the workers' time that
evaluations took, from when all workers had started one until the last one began. What it costs to
start workers comes before, and the end, when there is no work left for all of them, after.
"""

from __future__ import annotations

import itertools
import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray

from benchmarks import results
from evonas import search
from evonas.errors import UsageError, WorkError
from evonas.problem import Metric, Objective, Problem, Report
from evonas.runners.ray.cluster import joined
from evonas.runners.ray.pool import RayRunner
from evonas.space import FloatArray, Genome, Real, Space

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MEDIAN_SECONDS, SIGMA = 1.0, 0.8

GENES = 4

POPULATION = 40

WORKERS = (2, 4, 8, 16, 32)


def work(x: Sequence[float], folder: str, seconds: float) -> tuple[float, float]:
    """Sleep for a time that depends on the design alone, and note when that was.

    Args:
        x: The design.
        folder: Gets a file for each process, with a line for each evaluation.
        seconds: Median time.
    """
    begin = time.time()
    rng = np.random.default_rng(np.asarray(x, np.float64).view(np.uint64))
    time.sleep(rng.lognormal(np.log(seconds), SIGMA))
    with (Path(folder) / f"{os.getpid()}.txt").open("a") as file:
        file.write(f"{begin} {time.time()}\n")
    return x[0], 1.0 - x[0] + sum(x[1:])


class Sleeping(Problem):
    """Takes an uneven time to evaluate.

    Args:
        folder: See :func:`work`.
        seconds: Median time of an evaluation.
    """

    space = Space(*(Real(f"x{i}", 0.0, 1.0) for i in range(GENES)))
    metrics = (Metric("left"), Metric("right"))
    objectives = (Objective("left"), Objective("right"))

    def __init__(self, folder: str, seconds: float) -> None:
        self.folder = folder
        self.seconds = seconds

    def evaluate(self, genome: Genome, metrics: Sequence[str]) -> Mapping[str, float]:
        x = [float(genome[name]) for name in self.space.names]
        return dict(zip(("left", "right"), work(x, self.folder, self.seconds), strict=True))


Mode = Callable[[int, int, int, str, float], None]
"""Called with workers, evaluations, seed, and what :func:`work` needs."""


def _evonas(asynchronous: bool) -> Mode:
    def run_mode(workers: int, evaluations: int, seed: int, folder: str, seconds: float) -> None:
        search(
            Sleeping(folder, seconds),
            evaluations=evaluations,
            seed=seed,
            population=POPULATION,
            asynchronous=asynchronous,
            surrogate=None,
            runner=RayRunner,
            workers=workers,
            out=Path(folder) / "run",
            report=lambda text: None,
        )

    return run_mode


def _tune(workers: int, evaluations: int, seed: int, folder: str, seconds: float) -> None:
    from optuna.samplers import NSGAIISampler
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    def trainable(config: Mapping[str, float]) -> dict[str, float]:
        left, right = work([config[f"x{i}"] for i in range(GENES)], folder, seconds)
        return {"left": left, "right": right}

    algorithm = OptunaSearch(
        metric=["left", "right"],
        mode=["min", "min"],
        sampler=NSGAIISampler(population_size=POPULATION, seed=seed),
    )
    tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={f"x{i}": tune.uniform(0.0, 1.0) for i in range(GENES)},
        tune_config=tune.TuneConfig(
            search_alg=algorithm,
            num_samples=evaluations,
            max_concurrent_trials=workers,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(Path(folder) / "tune"), verbose=0),
    ).fit()


MODES: Mapping[str, Mode] = {
    "EvoNAS, asynchronous": _evonas(True),
    "EvoNAS, synchronous": _evonas(False),
    "Ray Tune, Optuna": _tune,
}


def busy_share(times: FloatArray, workers: int) -> float:
    """Compute the part of the workers' time that was used.

    Args:
        times: Begin and end of each evaluation, shape (evaluations, 2), in seconds.
        workers: Number of workers.

    >>> round(busy_share(np.array([[0.0, 2.0], [0.0, 1.0], [2.0, 9.0]]), 2), 3)
    0.75
    """
    begins = np.sort(times[:, 0])
    first, last = begins[workers - 1], begins[-1]
    used = np.clip(times, first, last)
    return float((used[:, 1] - used[:, 0]).sum() / (workers * (last - first)))


def run(
    workers: Sequence[int] = WORKERS,
    evaluations: int = 20,
    seed: int = 0,
    seconds: float = MEDIAN_SECONDS,
    report: Report = print,
) -> list[results.Result]:
    """Measure how busy workers are kept.

    Args:
        workers: Numbers of workers to try.
        evaluations: Evaluations for each worker.
        seed: Seed of the searches.
        seconds: Median time of an evaluation.
        report: Told what is going on.

    Returns:
        One row a mode and number of workers, with ``busy`` (from 0 to 1), ``seconds`` (from the
        first beginning of an evaluation to the last end) and ``evaluations``.

    Raises:
        UsageError: Optuna is not installed.
    """
    import pandas as pd

    if find_spec("optuna") is None:
        raise UsageError("'scale' compares with Optuna; pip install 'evonas[bench]'")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    rows: list[dict[str, Any]] = []
    with joined(None, None, cpus=max(workers), store_bytes=0, threads=1):
        for count, (name, mode) in itertools.product(workers, MODES.items()):
            wanted = count * evaluations
            with tempfile.TemporaryDirectory() as folder:
                mode(count, wanted, seed, folder, seconds)
                times = _read(Path(folder))
            if len(times) != wanted:
                raise WorkError(f"{name} made {len(times)} evaluations instead of {wanted}")
            rows.append(
                {
                    "mode": name,
                    "workers": count,
                    "evaluations": wanted,
                    "busy": busy_share(times, count),
                    "seconds": float(times[:, 1].max() - times[:, 0].min()),
                }
            )
            report(f"{name}, {count} workers: {rows[-1]['busy']:.1%} busy")
            _wait_for_room(max(workers))
    table = pd.DataFrame(rows)
    return [results.Result("scale", table, draw(table))]


def _read(folder: Path) -> FloatArray:
    lines = [line for path in folder.glob("*.txt") for line in path.read_text().splitlines()]
    return np.array([[float(word) for word in line.split()] for line in lines])


def _wait_for_room(cpus: int) -> None:
    """Wait until the workers of one search have made room for those of the next."""
    end = time.monotonic() + 60.0
    while time.monotonic() < end:
        free: Mapping[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
        if free.get("CPU", 0.0) >= cpus:
            return
        time.sleep(0.2)


def draw(table: pd.DataFrame) -> Figure:
    """Draw the busy share over the number of workers."""
    figure, (axes,) = results.panels(1, columns=1, size=(7.0, 4.2))
    for name, part in table.groupby("mode", sort=False):
        axes.plot(part["workers"], 100 * part["busy"], marker="o", ms=5, label=str(name))
    results.draw_mark(axes, 95.0)
    axes.set_xscale("log", base=2)
    counts = sorted(set(table["workers"]))
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set(
        xlabel="workers", ylabel="busy share of the workers [%]", ylim=(0, 102),
        title=f"Evaluations of uneven length: median {MEDIAN_SECONDS:g} s, sigma {SIGMA:g}",
    )  # fmt: skip
    axes.legend(frameon=False)
    return figure
