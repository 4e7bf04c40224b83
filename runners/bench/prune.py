"""How many evaluations surrogates spare on tables of measured designs.

``python -m runners.bench.prune --table TABLE`` compares methods under one counting (a unique
design looked up is one evaluation, looking it up again is free) and writes ``results/prune.csv``
and ``results/prune.png``. Hypervolume is that of the two objectives scaled to the true front's
ideal and nadir point, with the reference point (1.1, 1.1), as a share of the true front's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evonas.errors import EvonasError, InfeasibleError, UsageError, did_you_mean
from evonas.forecast import Forecast
from evonas.gate import EvaluateAll, SurrogateGate
from evonas.lookahead import LookAhead, neighbours
from evonas.nsga2 import NSGA2
from evonas.pareto import hypervolume, non_dominated
from evonas.protocols import Gate, Optimizer
from evonas.records import Candidate, Decision, Evaluation, Status
from evonas.run import BATCH, OPENING
from evonas.space import FloatArray, Genome, genome_key
from problems.nasbench201 import NASBench201
from problems.table import TableProblem
from surrogates.metric_models import MetricModels

POPULATION = 40
MARKS = (350, 500, 1000)
"""Evaluations of plain NSGA-II whose median hypervolume the others are to reach."""

REFERENCE = np.array([1.1, 1.1])
ACCURACIES = ("cifar10", "cifar100")
LATENCIES = tuple(
    f"latency_ms.{device}"
    for device in ("raspi4", "pixel3", "eyeriss", "fpga", "silver_4114", "pi5_litert")
)

Order = Iterator[int]
"""Rows of a table in the order of evaluation, each once."""


class Oracle:
    """A table whose truth is known: looks designs up and scores an order of evaluation.

    Args:
        problem: With two objectives and a complete or partial table.
    """

    def __init__(self, problem: TableProblem) -> None:
        self.problem = problem
        self.genomes: list[Genome] = []
        rows = []
        for genome in problem.space.enumerate():
            try:
                values = problem.evaluate(genome, [])
            except InfeasibleError:
                continue
            self.genomes.append(genome)
            rows.append([o.sign * values[o.metric] for o in problem.objectives])
        self.index = {genome_key(genome): row for row, genome in enumerate(self.genomes)}
        costs = np.array(rows)
        front = costs[non_dominated(costs)]
        ideal, nadir = front.min(axis=0), front.max(axis=0)
        self.costs = (costs - ideal) / np.where(nadir > ideal, nadir - ideal, 1.0)
        self._full = hypervolume(self.costs, REFERENCE)

    def curve(self, order: Sequence[int]) -> FloatArray:
        """Share of the true front's hypervolume after every evaluation, shape (evaluations,)."""
        shares, front, share = [], np.empty((0, 2)), 0.0
        for row in order:
            cost = self.costs[row]
            if (cost < REFERENCE).all() and not (front <= cost).all(axis=1).any():
                front = np.vstack([front[~(front >= cost).all(axis=1)], cost])
                share = hypervolume(front, REFERENCE) / self._full
            shares.append(share)
        return np.array(shares)

    def evaluation(self, genome: Genome, number: int) -> Evaluation:
        """Look a design up."""
        return Evaluation(
            Candidate(number, genome, number), Status.OK, self.problem.evaluate(genome, [])
        )


@dataclass
class Prunes:
    """What a gate pruned: how often in all, and how often it was wrong."""

    total: int = 0
    wrong: int = 0


def _search(
    oracle: Oracle,
    optimizer: Optimizer,
    gate: Gate,
    sizes: tuple[int, int],
    prunes: Prunes | None = None,
) -> Order:
    """Follow the loop of :class:`evonas.loop.Search` on a table."""
    seen: set[str] = set()
    pruned: set[str] = set()
    done: list[int] = []
    while True:
        wanted = sizes[1] if done else sizes[0]
        genomes = [
            genome
            for genome in optimizer.ask(wanted * gate.choice, seen)
            if genome_key(genome) in oracle.index
        ]
        if not genomes:
            return
        told, before = [], oracle.costs[done]
        for genome, verdict in zip(genomes, gate.judge(genomes, wanted), strict=True):
            key = genome_key(genome)
            if verdict is None:
                continue
            if verdict.decision is Decision.PRUNE:
                if prunes is not None and key not in pruned:
                    prunes.total += 1
                    prunes.wrong += not _dominated(oracle.costs[oracle.index[key]], before)
                pruned.add(key)
                continue
            seen.add(key)
            done.append(oracle.index[key])
            told.append(oracle.evaluation(genome, len(done)))
            yield done[-1]
        gate.observe(told)
        optimizer.tell(told)


def _dominated(cost: FloatArray, others: FloatArray) -> bool:
    return bool(((others <= cost).all(axis=1) & (others < cost).any(axis=1)).any())


def plain(oracle: Oracle, seed: int) -> Order:
    """NSGA-II of EvoNAS."""
    optimizer = NSGA2(oracle.problem, POPULATION, seed)
    return _search(oracle, optimizer, EvaluateAll(), (POPULATION, POPULATION))


def evonas(oracle: Oracle, seed: int, prunes: Prunes | None = None) -> Order:
    """EvoNAS with its surrogates."""
    forecast = Forecast(oracle.problem, MetricModels(oracle.problem))
    gate = SurrogateGate(oracle.problem, forecast, seed=seed)
    ahead = LookAhead(oracle.problem, forecast, POPULATION, seed, OPENING)
    return _search(oracle, ahead, gate, (OPENING, BATCH), prunes)


def random(oracle: Oracle, seed: int) -> Order:
    """Without replacement."""
    return iter(np.random.default_rng(seed).permutation(len(oracle.genomes)).tolist())


def local(oracle: Oracle, seed: int) -> Order:
    """Pareto local search: evaluate the unseen neighbours of the current front."""
    rng = np.random.default_rng(seed)
    space, done = oracle.problem.space, rng.permutation(len(oracle.genomes))[:20].tolist()
    yield from done
    seen = set(done)
    while len(seen) < len(oracle.genomes):
        front = [oracle.genomes[done[i]] for i in non_dominated(oracle.costs[done])]
        near = map(space.decode, neighbours(space, front, rng))
        known = (oracle.index.get(genome_key(genome)) for genome in near)
        rows = sorted({row for row in known if row is not None} - seen)
        # With the whole neighbourhood seen, a random design goes on.
        rows = rows or sorted(set(range(len(oracle.genomes))) - seen)
        row = int(rng.choice(rows))
        seen.add(row)
        done.append(row)
        yield row


def optuna(oracle: Oracle, seed: int, sampler: str) -> Order:
    """A sampler of Optuna, with its defaults.

    Raises:
        UsageError: Optuna is not installed.
    """
    try:
        import optuna as library
    except ImportError:
        raise UsageError(
            "the methods 'optuna_nsga2' and 'optuna_tpe' need Optuna; pip install 'evonas[bench]'"
        ) from None
    library.logging.set_verbosity(library.logging.ERROR)
    samplers: dict[str, Callable[..., Any]] = {
        "nsga2": library.samplers.NSGAIISampler,
        "tpe": library.samplers.TPESampler,
    }
    study = library.create_study(directions=["minimize"] * 2, sampler=samplers[sampler](seed=seed))
    codes = oracle.problem.space.encode(oracle.genomes)
    options = [np.unique(column).tolist() for column in codes.T]
    seen: set[int] = set()
    while len(seen) < len(oracle.genomes):
        trial = study.ask()
        code = [trial.suggest_categorical(str(i), values) for i, values in enumerate(options)]
        row = oracle.index.get(genome_key(oracle.problem.space.decode(np.array(code))))
        if row is None:
            study.tell(trial, state=library.trial.TrialState.FAIL)
            continue
        study.tell(trial, oracle.costs[row].tolist())
        if row not in seen:
            seen.add(row)
            yield row


METHODS: dict[str, Callable[[Oracle, int], Order]] = {
    "evonas": evonas,
    "plain": plain,
    "random": random,
    "local": local,
    "optuna_nsga2": lambda oracle, seed: optuna(oracle, seed, "nsga2"),
    "optuna_tpe": lambda oracle, seed: optuna(oracle, seed, "tpe"),
}


def needed(curve: FloatArray, share: float, budget: int) -> int:
    """Evaluations until a share of the hypervolume is reached; the budget when it never is.

    >>> needed(np.array([0.5, 0.8, 0.9]), 0.8, 3), needed(np.array([0.5]), 0.8, 3)
    (2, 3)
    """
    reached = np.flatnonzero(curve >= share - 1e-12)
    return int(reached[0]) + 1 if len(reached) else budget


def measure(
    problem: TableProblem,
    method: str,
    seeds: int,
    budget: int,
    stop: float = np.inf,
    prunes: Prunes | None = None,
) -> FloatArray:
    """Run a method on a table.

    Args:
        problem: With two objectives.
        method: One of ``METHODS``.
        seeds: How many, from 0.
        budget: Evaluations.
        stop: Share of the hypervolume at which a run may end; its curve is constant from there.
        prunes: Where to count what EvoNAS prunes.

    Returns:
        Share of the true front's hypervolume, shape (seeds, budget).
    """
    oracle = Oracle(problem)
    curves = []
    for seed in range(seeds):
        order: list[int] = []
        search = METHODS[method](oracle, seed)
        for row in evonas(oracle, seed, prunes) if method == "evonas" else search:
            order.append(row)
            enough = len(order) % BATCH == 0 and oracle.curve(order)[-1] >= stop
            if len(order) == budget or enough:
                break
        curve = oracle.curve(order)
        curves.append(np.append(curve, np.full(budget - len(curve), curve[-1])))
    return np.array(curves)


def compare(
    problem: TableProblem, methods: Sequence[str], seeds: int, budget: int
) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Compare methods on one pair of objectives with plain NSGA-II.

    Args:
        problem: With two objectives.
        methods: Of ``METHODS``.
        seeds: Of every method.
        budget: Evaluations of the methods; plain NSGA-II has 1,000, or the whole table.

    Returns:
        For each method ``needed_at_M`` (median over seeds) and ``seeds_reached_M`` for the marks
        M, ``spared_at_1000`` (0 unless most seeds reach it) and, for EvoNAS, the true rate of
        wrong prunes; and each method's curves of shape (seeds, evaluations).
    """
    size = min(max(MARKS), len(problem))
    curves = {"plain": measure(problem, "plain", seeds, size)}
    shares = {mark: float(np.median(curves["plain"][:, min(mark, size) - 1])) for mark in MARKS}
    figures: dict[str, Any] = {"share": shares}
    for method in methods:
        prunes = Prunes()
        if method not in curves:
            limit, stop = min(budget, len(problem)), shares[max(MARKS)]
            curves[method] = measure(problem, method, seeds, limit, stop, prunes)
        own = curves[method]
        row: dict[str, Any] = {}
        for mark, share in shares.items():
            counts = [needed(curve, share, own.shape[1]) for curve in own]
            row[f"needed_at_{mark}"] = float(np.median(counts))
            row[f"seeds_reached_{mark}"] = int(sum(curve[-1] >= share - 1e-12 for curve in own))
        row["seeds_reached"] = row["seeds_reached_1000"]
        reached = row["seeds_reached"] > seeds / 2
        row["spared_at_1000"] = 1 - row["needed_at_1000"] / max(MARKS) if reached else 0.0
        if prunes.total:
            row["wrong_prune_rate"] = prunes.wrong / prunes.total
        figures[method] = row
    return figures, curves


def draw(path: Path, curves: dict[str, dict[str, FloatArray]]) -> None:
    """Draw the median curves, one panel a pair."""
    from matplotlib.figure import Figure

    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    for place, (title, methods) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        for method, shares in methods.items():
            median = np.median(shares, axis=0)
            axes.plot(np.arange(1, len(median) + 1), median, label=method)
        axes.set(title=title, ylim=(0.9, 1.0), xlabel="evaluations", ylabel="share of hypervolume")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def run(
    table: str,
    out: Path,
    *,
    maximise: Sequence[str] = ACCURACIES,
    minimise: Sequence[str] = LATENCIES,
    genes: Sequence[str] = (),
    methods: Sequence[str] = ("evonas", "plain", "random", "local"),
    seeds: int = 10,
    budget: int = 1000,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Compare methods on every pair of objectives, and write ``prune.csv`` and ``prune.png``.

    Args:
        table: Of NAS-Bench-201 cells, unless ``genes`` says otherwise.
        out: The directory to write to.
        maximise: Columns, one a pair.
        minimise: Columns, one a pair.
        genes: The gene columns of a table of any kind; surrogates then see genes and nothing else.
        methods: Of ``METHODS``.
        seeds: Of every method.
        budget: Evaluations of every method but plain NSGA-II.
        report: Told of every finished pair.

    Returns:
        ``{"pairs": [...]}``, one entry a pair with EvoNAS's own figures, and all methods' under
        ``"methods"``.

    Raises:
        UsageError: A method is unknown, or the table is wrong.
    """
    import pandas as pd

    for method in methods:
        if method not in METHODS:
            raise UsageError(f"unknown method '{method}'{did_you_mean(method, METHODS)}")
    pairs, rows = [], []
    curves: dict[str, dict[str, FloatArray]] = {}
    for up in maximise:
        for down in minimise:
            problem = (
                TableProblem(table, genes=genes, maximise=up, minimise=down)
                if genes
                else NASBench201(table, maximise=up, minimise=down)
            )
            figures, own = compare(problem, methods, seeds, budget)
            of_methods = {method: figures[method] for method in methods}
            pair = {"maximise": up, "minimise": down, "seeds": seeds, "budget": budget}
            pairs.append({**pair, **of_methods.get("evonas", {}), "methods": of_methods})
            rows += [{**pair, "method": m, **row} for m, row in of_methods.items()]
            curves[f"{up} / {down}"] = own
            report(json.dumps({**pair, **of_methods}))
    out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(out / "prune.csv", index=False, lineterminator="\n")
    draw(out / "prune.png", curves)
    return {"pairs": pairs}


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True)
    parser.add_argument("--maximise", default=",".join(ACCURACIES))
    parser.add_argument("--minimise", default=",".join(LATENCIES))
    parser.add_argument("--genes", default="")
    parser.add_argument("--methods", default="evonas,plain,random,local")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = vars(parser.parse_args())
    for name in ("maximise", "minimise", "genes", "methods"):
        options[name] = [text for text in options[name].split(",") if text]
    try:
        run(**options)
    except EvonasError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
