"""How many evaluations surrogates spare on tables of measured designs.

Methods are compared under one counting: a unique design looked up is one evaluation. Hypervolume is
that of the two objectives scaled to the true front's ideal and nadir point, with the reference
point (1.1, 1.1), as a share of the true front's. Every finished search is kept on disk, so that an
interrupted comparison goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import results
from benchmarks.methods import METHODS, Searched, search
from benchmarks.tabular import Tabular, table_problem
from benchmarks.volume import evaluations_until
from evonas.errors import UsageError, did_you_mean
from evonas.problem import Report
from evonas.problems.nasbench201 import EDGES
from evonas.problems.table import TableProblem, read_table
from evonas.records import Decision
from evonas.run.diagnostics import wilson_interval
from evonas.space import FloatArray

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MARKS = (350, 500, 1000)
"""Evaluations of plain NSGA-II whose median hypervolume the others are to reach."""

ACCURACIES = ("cifar10", "cifar100")
LATENCIES = tuple(
    f"latency_ms.{device}"
    for device in ("raspi4", "pixel3", "eyeriss", "fpga", "silver_4114", "pi5_litert")
)


class Kept:
    """Searches that have been carried out, one file each.

    A file is named by everything that its content depends on: the table, the objectives, the
    method, the seed, the budget, and the code.

    Args:
        directory: Folder of the files.
        table: Table that is searched.
        options: Options that it is read with.
    """

    def __init__(self, directory: Path, table: Path, options: Mapping[str, Any]) -> None:
        digest = hashlib.blake2b(table.read_bytes(), digest_size=8)
        digest.update(json.dumps(options, sort_keys=True).encode())
        for package in ("evonas", "problems", "surrogates", "benchmarks"):
            for path in sorted((Path(__file__).parents[1] / package).rglob("*.py")):
                digest.update(path.read_bytes())
        self._directory = directory / digest.hexdigest()

    def search(self, tabular: Tabular, method: str, seed: int, budget: int) -> Searched:
        """Carry a search out, unless that has been done."""
        path = self._directory / f"{method}-{seed}-{budget}.json"
        if path.exists():
            return Searched(**json.loads(path.read_text(encoding="utf-8")))
        found = search(tabular, method, seed, budget)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(asdict(found)), encoding="utf-8")
        unfinished.replace(path)
        return found


def compare(
    tabular: Tabular,
    kept: Kept,
    methods: Sequence[str],
    seeds: int,
    budget: int,
    report: Report = print,
) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Compare methods on one pair of objectives with plain NSGA-II.

    Args:
        tabular: The table.
        kept: Searches of it.
        methods: Some of ``METHODS``.
        seeds: Searches of every method.
        budget: Evaluations of the methods; plain NSGA-II has 1,000, or the whole table.
        report: Told of every search.

    Returns:
        For each method ``needed_at_M`` (median over seeds) and ``seeds_reached_M`` for the marks
        M, ``spared_at_1000`` (share of plain NSGA-II's evaluations; 0 unless most seeds reach it)
        and, where surrogates prune, rates of wrong prunes: the true one, and the audits' with its
        interval; and each method's curves of shape (seeds, evaluations).
    """
    designs = len(tabular.genomes)
    size = min(max(MARKS), designs)
    curves: dict[str, FloatArray] = {}
    figures: dict[str, Any] = {}
    shares: dict[int, float] = {}
    for method in ["plain", *(name for name in methods if name != "plain")]:
        limit = size if method == "plain" else min(budget, designs)
        searches = []
        for seed in range(seeds):
            searches.append(kept.search(tabular, method, seed, limit))
            report(f"  {method}, seed {seed}: {len(searches[-1].order)} evaluations")
        own = curves[method] = np.array([_curve(tabular, one.order, limit) for one in searches])
        if method == "plain":
            shares = {mark: float(np.median(own[:, min(mark, size) - 1])) for mark in MARKS}
        figures[method] = _figures(own, shares, size)
        until = [evaluations_until(curve, shares[max(MARKS)]) for curve in own]
        figures[method] |= _wrong_prunes(list(map(_until, searches, until)))
    return figures, curves


def _curve(tabular: Tabular, order: Sequence[int], budget: int) -> FloatArray:
    """Share of hypervolume after every evaluation, constant from where the search ended."""
    # A method that proposes nothing that a part of a space holds has reached nothing.
    curve = tabular.curve(order) if order else np.zeros(1)
    return np.append(curve, np.full(budget - len(curve), curve[-1]))


def _until(searched: Searched, evaluations: int | None) -> list[tuple[str, bool]]:
    """Verdicts until the batch ends in which a number of evaluations is reached, or all.

    Returns:
        For each design that was pruned or audited the decision, and whether a prune is wrong.
    """
    ends = [end for end in searched.ends if evaluations is not None and end >= evaluations]
    last = min(ends, default=len(searched.order))
    return [(decision, wrong) for decision, before, wrong in searched.judged if before < last]


def _figures(curves: FloatArray, shares: dict[int, float], plain: int) -> dict[str, Any]:
    """Figures of one method; ``plain`` is how many evaluations plain NSGA-II had."""
    seeds, budget = curves.shape
    row: dict[str, Any] = {}
    for mark, share in shares.items():
        found = [evaluations_until(curve, share) for curve in curves]
        counts = [budget if count is None else count for count in found]
        row[f"needed_at_{mark}"] = float(np.median(counts))
        row[f"seeds_reached_{mark}"] = sum(count is not None for count in found)
    # Those of the last mark.
    row["seeds_reached"] = row["seeds_reached_1000"]
    reached = row["seeds_reached"] > seeds / 2
    row["spared_at_1000"] = 1 - row["needed_at_1000"] / plain if reached else 0.0
    row["worst_seed_at_1000"] = max(counts)
    return row


def _wrong_prunes(searches: Sequence[Sequence[tuple[str, bool]]]) -> dict[str, Any]:
    """Rates over all seeds, and in how many of them the interval holds the seed's true rate.

    Args:
        searches: For each its verdicts; see :func:`_until`.
    """
    pruned, audited = (
        [[wrong for what, wrong in one if what == decision] for one in searches]
        for decision in (Decision.PRUNE, Decision.AUDIT)
    )
    total, audits = sum(map(len, pruned)), sum(map(len, audited))
    if not total:
        return {}
    covered = 0
    for own, seen in zip(pruned, audited, strict=True):
        low, high = wilson_interval(sum(seen), len(seen)) if seen else (0.0, 1.0)
        covered += low <= sum(own + seen) / max(1, len(own + seen)) <= high
    return {
        "wrong_prune_rate": sum(map(sum, pruned)) / total,
        "audits": audits,
        "audited_wrong_prune_rate": sum(map(sum, audited)) / audits if audits else None,
        "intervals_with_the_truth": covered,
    }


def draw(curves: Mapping[str, Mapping[str, FloatArray]]) -> Figure:
    """Draw the median curves, one panel a pair."""
    figure, panels = results.panels(len(curves), columns=3, size=(4.2, 3.2))
    for axes, (title, methods) in zip(panels, curves.items(), strict=True):
        for method, shares in methods.items():
            median = np.median(shares, axis=0)
            axes.plot(np.arange(1, len(median) + 1), median, label=method)
        # The last tenth is where methods differ, unless one of them does not get that far.
        worst = min(float(np.median(shares[:, -1])) for shares in methods.values())
        low = min(0.9, np.floor(10 * worst) / 10)
        axes.set(title=title, ylim=(low, 1.0), xlabel="evaluations", ylabel="share of hypervolume")
    results.legend_below(figure, columns=2 * min(3, len(curves)))
    return figure


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


def part(frame: pd.DataFrame, genes: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Keep every seventh design."""
    return frame.iloc[::7]


CHANGES = {"part": part, "renamed": rename, "shuffled": shuffle}
"""What can be done to a table before it is searched, so that less of it can be learnt."""


def run(
    table: Path,
    runs: Path,
    *,
    maximise: Sequence[str] = ACCURACIES,
    minimise: Sequence[str] = LATENCIES,
    genes: Sequence[str] = (),
    methods: Sequence[str] = METHODS,
    seeds: int = 10,
    budget: int = 350,
    change: str | None = None,
    name: str = "prune",
    report: Report = print,
) -> list[results.Result]:
    """Compare methods on every pair of objectives.

    Args:
        table: NAS-Bench-201 cells, unless ``genes`` says otherwise.
        runs: The directory in which finished searches are kept.
        maximise: Columns, one a pair.
        minimise: Columns, one a pair.
        genes: The gene columns of a table of any kind; surrogates then see genes and nothing else.
        methods: Some of ``METHODS``.
        seeds: Searches of every method.
        budget: Evaluations of every method but plain NSGA-II.
        change: One of ``CHANGES``; left out, the table is as it is.
        name: Name of the result.
        report: Told of every search and of every finished pair.

    Returns:
        The figures of each method on each pair of objectives, see :func:`compare`.

    Raises:
        UsageError: A method is unknown, or the table is wrong.
        WorkError: A search was stopped.
    """
    import pandas as pd

    for method in methods:
        if method not in METHODS:
            raise UsageError(f"unknown method '{method}'{did_you_mean(method, METHODS)}")
    if change is not None:
        if change not in CHANGES:
            raise UsageError(f"unknown change '{change}'{did_you_mean(change, CHANGES)}")
        table = _changed(table, runs, change, genes or list(EDGES), [*maximise, *minimise])
    rows: list[dict[str, Any]] = []
    curves: dict[str, dict[str, FloatArray]] = {}
    for up in maximise:
        for down in minimise:
            tabular = Tabular(table_problem(table, up, down, genes))
            pair = {"maximise": up, "minimise": down}
            kept = Kept(runs / "prune", table, {**pair, "genes": list(genes)})
            report(f"{up} and {down}")
            figures, own = compare(tabular, kept, methods, seeds, budget, report)
            rows += [
                {**pair, "method": method, "seeds": seeds, "budget": budget, **figures[method]}
                for method in methods
            ]
            curves[f"{up} / {down}"] = own
    return [results.Result(name, pd.DataFrame(rows), draw(curves))]


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
