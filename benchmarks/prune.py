"""How many evaluations surrogates spare on tables of measured designs.

``python -m benchmarks prune --table TABLE`` compares methods under one counting (a unique design
looked up is one evaluation) and writes ``results/prune.csv`` and ``results/prune.png``. Hypervolume
is that of the two objectives scaled to the true front's ideal and nadir point, with the reference
point (1.1, 1.1), as a share of the true front's. Every finished search is kept on disk, so that
an interrupted comparison goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.prune_methods import METHODS, Oracle, Prunes, evonas, table_problem
from evonas.engine.settings import OFFSPRING as BATCH
from evonas.errors import UsageError, did_you_mean
from evonas.problem import Report
from evonas.problems.nasbench201 import EDGES
from evonas.problems.table import TableProblem, read_table
from evonas.run.diagnostics import wilson_interval
from evonas.space import FloatArray

if TYPE_CHECKING:
    import pandas as pd

MARKS = (350, 500, 1000)
"""Evaluations of plain NSGA-II whose median hypervolume the others are to reach."""

ACCURACIES = ("cifar10", "cifar100")
LATENCIES = tuple(
    f"latency_ms.{device}"
    for device in ("raspi4", "pixel3", "eyeriss", "fpga", "silver_4114", "pi5_litert")
)


def needed(curve: FloatArray, share: float, budget: int) -> int:
    """Evaluations until a share of the hypervolume is reached; the budget when it never is.

    >>> needed(np.array([0.5, 0.8, 0.9]), 0.8, 3), needed(np.array([0.5]), 0.8, 3)
    (2, 3)
    """
    reached = np.flatnonzero(curve >= share - 1e-12)
    return int(reached[0]) + 1 if len(reached) else budget


class Finished:
    """Searches that have been carried out, one file each.

    A file is named by everything that its content depends on: the table, the objectives, the
    method, the seed, how long it ran, and the code.

    Args:
        directory: Where the files are.
        table: What is searched, and how it is read.
    """

    def __init__(self, directory: Path, table: Path, options: dict[str, Any]) -> None:
        digest = hashlib.blake2b(table.read_bytes(), digest_size=8)
        digest.update(json.dumps(options, sort_keys=True).encode())
        for package in ("evonas", "problems", "surrogates", "benchmarks"):
            for path in sorted((Path(__file__).parents[1] / package).rglob("*.py")):
                if "device" not in path.name:
                    digest.update(path.read_bytes())
        self._directory = directory / digest.hexdigest()

    def search(
        self, oracle: Oracle, method: str, seed: int, budget: int, stop: float
    ) -> tuple[FloatArray, Prunes]:
        """Carry a search out, unless that has been done.

        Args:
            oracle: What is searched.
            method: One of ``METHODS``.
            seed: Of the search.
            budget: Evaluations.
            stop: Share of the hypervolume at which it may end.

        Returns:
            Share of the true front's hypervolume after every evaluation, constant from where the
            search ended, shape (budget,); and what was pruned.
        """
        path = self._directory / f"{method}-{seed}-{budget}.json"
        order: list[int] = []
        complete = False
        if path.exists():
            found = json.loads(path.read_text())
            order, prunes, complete = found["order"], Prunes(**found["prunes"]), found["complete"]
        # What was ended when it had reached less than is asked for now (other seeds, another bar)
        # is carried out again.
        if not complete and not (order and oracle.curve(order)[-1] >= stop):
            order, prunes = [], Prunes()
            rows = (
                evonas(oracle, seed, prunes)
                if method == "evonas"
                else METHODS[method](oracle, seed)
            )
            for row in rows:
                order.append(row)
                complete = len(order) == budget
                enough = len(order) % BATCH == 0 and oracle.curve(order)[-1] >= stop
                if complete or enough:
                    break
            else:
                # The method is at its end.
                complete = True
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            found = {"order": order, "prunes": asdict(prunes), "complete": complete}
            unfinished.write_text(json.dumps(found))
            unfinished.replace(path)
        # A method that proposes nothing that a part of a space holds has reached nothing.
        curve = oracle.curve(order) if order else np.zeros(1)
        return np.append(curve, np.full(budget - len(curve), curve[-1])), prunes


def compare(
    problem: TableProblem,
    finished: Finished,
    methods: Sequence[str],
    seeds: int,
    budget: int,
    report: Report = print,
) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Compare methods on one pair of objectives with plain NSGA-II.

    Args:
        problem: With two objectives.
        finished: Searches of it.
        methods: Of ``METHODS``.
        seeds: Of every method.
        budget: Evaluations of the methods; plain NSGA-II has 1,000, or the whole table.
        report: Told of every search.

    Returns:
        For each method ``needed_at_M`` (median over seeds) and ``seeds_reached_M`` for the marks
        M, ``spared_at_1000`` (share of plain NSGA-II's evaluations; 0 unless most seeds reach it)
        and, for EvoNAS, rates of wrong prunes: the true one, and the audits' with its interval;
        and each method's curves of shape (seeds, evaluations).
    """
    oracle = Oracle(problem)
    size = min(max(MARKS), len(problem))
    curves: dict[str, FloatArray] = {}
    figures: dict[str, Any] = {}
    shares: dict[int, float] = {}
    for method in ["plain", *(name for name in methods if name != "plain")]:
        limit = size if method == "plain" else min(budget, len(problem))
        stop = shares[max(MARKS)] if shares else np.inf
        results = []
        for seed in range(seeds):
            results.append(finished.search(oracle, method, seed, limit, stop))
            report(f"  {method}, seed {seed}: {results[-1][0][-1]:.4f}")
        own = curves[method] = np.array([curve for curve, _ in results])
        if method == "plain":
            shares = {mark: float(np.median(own[:, min(mark, size) - 1])) for mark in MARKS}
        wrong = _wrong_prunes([prunes for _, prunes in results])
        figures[method] = _figures(own, shares, size) | wrong
    return figures, curves


def _figures(curves: FloatArray, shares: dict[int, float], plain: int) -> dict[str, Any]:
    """Figures of one method; ``plain`` is how many evaluations plain NSGA-II had."""
    seeds, budget = curves.shape
    row: dict[str, Any] = {}
    for mark, share in shares.items():
        counts = [needed(curve, share, budget) for curve in curves]
        row[f"needed_at_{mark}"] = float(np.median(counts))
        row[f"seeds_reached_{mark}"] = int(sum(curve[-1] >= share - 1e-12 for curve in curves))
    row["seeds_reached"] = row["seeds_reached_1000"]
    reached = row["seeds_reached"] > seeds / 2
    row["spared_at_1000"] = 1 - row["needed_at_1000"] / plain if reached else 0.0
    row["worst_seed_at_1000"] = max(needed(c, shares[max(MARKS)], budget) for c in curves)
    return row


def _wrong_prunes(prunes: Sequence[Prunes]) -> dict[str, Any]:
    """Rates over all seeds, and in how many of them the interval holds the seed's true rate."""
    total = sum(p.pruned for p in prunes)
    if not total:
        return {}
    audited, wrongly = sum(p.audited for p in prunes), sum(p.wrongly_audited for p in prunes)
    covered = 0
    for p in prunes:
        low, high = wilson_interval(p.wrongly_audited, p.audited) if p.audited else (0.0, 1.0)
        judged = max(1, p.pruned + p.audited)
        covered += low <= (p.wrongly_pruned + p.wrongly_audited) / judged <= high
    return {
        "wrong_prune_rate": sum(p.wrongly_pruned for p in prunes) / total,
        "audits": audited,
        "audited_wrong_prune_rate": wrongly / audited if audited else None,
        "intervals_with_the_truth": covered,
    }


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
        # The last tenth is where methods differ, unless one of them does not get that far.
        worst = min(float(np.median(shares[:, -1])) for shares in methods.values())
        low = min(0.9, np.floor(10 * worst) / 10)
        axes.set(title=title, ylim=(low, 1.0), xlabel="evaluations", ylabel="share of hypervolume")
    handles, labels = axes.get_legend_handles_labels()
    # Two entries have room below a panel.
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(len(labels), 2 * columns),
        frameon=False,
    )
    figure.savefig(path, dpi=120)


def shuffle(frame: pd.DataFrame, genes: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Give every design the metrics of another one, each metric by a permutation of its own."""
    rng = np.random.default_rng(0)
    return frame.assign(**{name: rng.permutation(frame[name].to_numpy()) for name in metrics})


def rename(frame: pd.DataFrame, genes: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Give every option of a gene another option's name, genes of the same options alike."""
    columns = {}
    for gene in genes:
        options = np.unique(frame[gene].to_numpy())
        names = np.random.default_rng(0).permutation(options)
        columns[gene] = names[np.searchsorted(options, frame[gene].to_numpy())]
    return frame.assign(**columns)


CHANGES = {"shuffled": shuffle, "renamed": rename}
"""What can be done to a table before it is searched, so that less of it can be learnt."""


def run(
    table: Path,
    out: Path,
    *,
    maximise: Sequence[str] = ACCURACIES,
    minimise: Sequence[str] = LATENCIES,
    genes: Sequence[str] = (),
    methods: Sequence[str] = tuple(METHODS),
    seeds: int = 10,
    budget: int = 1000,
    change: str | None = None,
    report: Report = print,
) -> dict[str, Any]:
    """Compare methods on every pair of objectives, and write ``prune.csv`` and ``prune.png``.

    With ``genes`` or a change the files are called ``prune_genes``, ``prune_renamed`` and so on.

    Args:
        table: Of NAS-Bench-201 cells, unless ``genes`` says otherwise.
        out: The directory to write to; finished searches are kept in ``runs`` below it.
        maximise: Columns, one a pair.
        minimise: Columns, one a pair.
        genes: The gene columns of a table of any kind; surrogates then see genes and nothing else.
        methods: Of ``METHODS``.
        seeds: Of every method.
        budget: Evaluations of every method but plain NSGA-II.
        change: Of ``CHANGES``; left out, the table is as it is.
        report: Told of every search and of every finished pair.

    Returns:
        ``pairs``, EvoNAS's figures of every pair of objectives, and ``methods``, those of every
        other method.

    Raises:
        UsageError: A method is unknown, or the table is wrong.
    """
    import pandas as pd

    for method in methods:
        if method not in METHODS:
            raise UsageError(f"unknown method '{method}'{did_you_mean(method, METHODS)}")
    if change:
        table = _changed(table, out / "runs", change, genes or list(EDGES), [*maximise, *minimise])
    rows: list[dict[str, Any]] = []
    curves: dict[str, dict[str, FloatArray]] = {}
    for up in maximise:
        for down in minimise:
            problem = table_problem(table, up, down, genes)
            pair = {"maximise": up, "minimise": down}
            options = {**pair, "genes": list(genes)}
            finished = Finished(out / "runs" / "prune", table, options)
            report(f"{up} and {down}")
            figures, own = compare(problem, finished, methods, seeds, budget, report)
            rows += [
                {**pair, "method": method, "seeds": seeds, "budget": budget, **figures[method]}
                for method in methods
            ]
            curves[f"{up} / {down}"] = own
    out.mkdir(parents=True, exist_ok=True)
    name = "_".join(["prune", *(["genes"] if genes else []), *([change] if change else [])])
    pd.DataFrame(rows).to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
    draw(out / f"{name}.png", curves)
    of = {method: [row for row in rows if row["method"] == method] for method in methods}
    return {"pairs": of.pop("evonas", []), "methods": of}


def _changed(
    table: Path, directory: Path, change: str, genes: Sequence[str], metrics: Sequence[str]
) -> Path:
    # What is wrong with a table is said of itself, not of the changed one.
    TableProblem(str(table), genes=genes, minimise=metrics)
    frame = read_table(table)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{table.stem}-{change}.csv"
    CHANGES[change](frame, genes, metrics).to_csv(path, index=False)
    return path
