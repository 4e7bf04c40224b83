"""How well costs carry over to devices of which a few designs are measured.

``python -m benchmarks transfer --table TABLE`` holds target devices out, predicts them from
few probes and the proxies, and writes ``results/transfer.csv`` and ``results/transfer.png``.

Figures are over all designs of the table: Spearman's and Kendall's rank correlation; ``error``,
the mean absolute percentage error of the predicted cost (ms, not ranks) over designs that cost at
least a tenth of the device's median; ``median_error``, the median over all designs; ``coverage``,
the share of designs within their 90% interval.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr
from sklearn.linear_model import RidgeCV

from evonas.errors import ConfigError, DataError, did_you_mean
from evonas.problems.nasbench201 import EDGES, NASBench201
from evonas.problems.once_for_all import GENES, OnceForAll
from evonas.problems.table import TableProblem, read_table
from evonas.problems.table_genes import is_float
from evonas.run.diagnostics import spearman
from evonas.space import FloatArray
from evonas.surrogates.transfer import JointPredictor, Transfer, problem_views
from evonas.surrogates.transfer.monotonicity import Calibration
from evonas.surrogates.transfer.probes import worth_probing

TARGETS = ("raspi4", "fpga", "eyeriss", "pi5_litert")
PROBES = (5, 10, 20, 40)
METRIC = "latency_ms"
WORTH = 0.1
"""Share of the median from which on a design's percentage error counts."""

FEWEST = 3
"""Designs that a proxy must have been measured on, and probes that a target must have."""


@dataclass(frozen=True)
class Table:
    """Measured designs.

    Args:
        views: Name -> array of shape (designs, columns).
        costs: One column a device.
    """

    views: dict[str, FloatArray]
    costs: pd.DataFrame


def load(
    table: str, metric: str = METRIC, genes: Sequence[str] = (), others: Sequence[str] = ()
) -> Table:
    """Read a table whose costs are columns ``METRIC.DEVICE``.

    Args:
        table: A CSV or Parquet file; one with the edges of NAS-Bench-201 cells is seen as such.
        metric: What to carry over.
        genes: The columns that describe a design; left out, all of text or whole numbers with at
            most 100 values that are no cost, of any metric, on one of the devices.
        others: Further costs, by the whole names of their columns; those it lacks are left out.

    Raises:
        DataError: The table is wrong, lacks devices, or has a cost that is not positive, or none
            that every design has.
    """
    frame = read_table(Path(table))
    names = [str(column) for column in frame.columns if str(column).startswith(f"{metric}.")]
    if len(names) < 2:
        raise DataError(
            f"table '{table}' has {len(names)} column(s) named '{metric}.DEVICE'; "
            "it needs two or more, a target and a proxy"
        )
    more = [name for name in others if name in frame]
    columns = [*names, *more]
    measured = pd.DataFrame({name: _cost(frame[name], table) for name in columns})
    costs = measured[names].rename(columns=lambda name: name.removeprefix(f"{metric}."))
    costs = costs.join(measured[more])
    # A table needs an objective, and that may have no gaps; a target has none.
    objective = next((name for name in columns if measured[name].notna().all()), None)
    if objective is None:
        row = int(measured[columns[0]].isna().to_numpy().argmax())
        raise DataError(
            f"table '{table}', row {row + 1}: '{columns[0]}' has no value, and no other cost is "
            "complete; that of a target must be"
        )
    problem: TableProblem
    if set(EDGES) <= set(frame.columns) and not genes:
        problem = NASBench201(table, minimise=objective)
    elif set(GENES) <= set(frame.columns) and not genes:
        problem = OnceForAll(table, minimise=objective)
    else:
        endings = tuple(f".{device}" for device in costs)
        found = genes or [
            str(name)
            for name, column in frame.items()
            if not (is_float(column) or name in columns or str(name).endswith(endings))
            and 1 < column.nunique() <= 100
        ]
        if not found:
            raise DataError(
                f"no column of table '{table}' looks like a gene; set genes to those that describe "
                "a design"
            )
        problem = TableProblem(table, genes=found, minimise=objective, repeats="mean")
    genomes = frame[list(problem.space.names)].to_dict("records")
    return Table(problem_views(problem, genomes), costs)  # type: ignore[arg-type]


def _cost(column: pd.Series, table: str) -> pd.Series:
    """Give costs as floats, NaN where a design was not measured."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = (numbers.isna() & column.notna()) | (numbers <= 0) | np.isinf(numbers)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"table '{table}', row {row + 1}: '{column.name}' is {column.tolist()[row]!r}; it must "
            "be a positive number, or empty where it was not measured"
        )
    return numbers


def family(device: str) -> str:
    """Name up to the first underscore, without the name of a metric.

    >>> family("titanx_256"), family("energy_mj.pi5_litert")
    ('titanx', 'pi5')
    """
    return device.rpartition(".")[2].partition("_")[0]


def proxies_of(
    target: str, devices: Sequence[str], targets: Sequence[str], named: Sequence[str]
) -> tuple[str, ...]:
    """The proxies that are named, or else all that are no target and not of its family."""
    if named:
        return tuple(name for name in named if name != target)
    return tuple(d for d in devices if d not in targets and family(d) != family(target))


def simple_predictions(
    views: dict[str, FloatArray], known: FloatArray, probes: Sequence[int], costs: FloatArray
) -> Iterator[tuple[str, FloatArray]]:
    """What simple methods predict: name and costs of all designs."""

    def scaled(proxy: FloatArray) -> FloatArray:
        result: FloatArray = proxy * np.median(costs / proxy[probes])
        return result

    # Of one column scipy gives no matrix.
    between = spearmanr(known[::7]).statistic if known.shape[1] > 1 else 1.0
    between = np.nan_to_num(np.atleast_2d(between))
    yield "fixed_proxy", scaled(known[:, int(between.sum(axis=0).argmax())])
    best = known[:, int(np.argmax([spearman(p[probes], costs) for p in known.T]))]
    yield "best_proxy", scaled(best)
    yield "isotonic", Calibration(best[probes], costs)(best)
    counts = min(views.values(), key=lambda view: view.shape[1])
    yield "ridge_counts", ridge(counts[probes], costs, counts)


def ridge(counts: FloatArray, costs: FloatArray, others: FloatArray) -> FloatArray:
    """Predict costs of other designs by ridge regression on what designs are made of."""
    fitted = RidgeCV(np.logspace(-3, 3, 13)).fit(counts, costs)
    predicted: FloatArray = np.maximum(fitted.predict(others), 0.01 * costs.min())
    return predicted


def score(
    predicted: FloatArray, costs: FloatArray, inside: NDArray[np.bool_] | None
) -> dict[str, Any]:
    """Compare predictions with the truth; see the module."""
    relative = np.abs(predicted / costs - 1)
    worth = costs >= WORTH * np.median(costs)
    return {
        "spearman": float(spearman(predicted, costs)),
        "kendall": float(kendalltau(predicted, costs).statistic),
        "error": 100 * float(relative[worth].mean()),
        "median_error": 100 * float(np.median(relative)),
        "coverage": None if inside is None else float(inside.mean()),
    }


def compare(
    table: Table, transfer: Transfer, target: str, k: int, draws: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Score every method on one target with k probes, chosen and drawn at random."""
    costs = table.costs[target].to_numpy()
    worth = worth_probing(transfer.proxy_costs)
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    chosen = transfer.choose_probes(k)
    choosing = time.perf_counter() - start
    ways = [("chosen", chosen)]
    ways += [("random", rng.choice(worth, k, replace=False).tolist()) for _ in range(draws)]
    for way, probes in ways:
        row = {"target": target, "probes": k, "way": way}
        start = time.perf_counter()
        predictor = transfer.fit(probes, costs[probes])
        fitting = time.perf_counter() - start
        found = predictor.predict()
        inside = (found.lower <= costs) & (costs <= found.upper)
        more = {"fit_s": fitting, "trusted": float(predictor.trust.good)}
        if way == "chosen":
            more["choose_s"] = choosing
        yield {**row, "method": "evonas", **score(found.mean, costs, inside), **more}
        for name, predicted in simple_predictions(
            transfer.views, transfer.proxy_costs, probes, costs[probes]
        ):
            yield {**row, "method": name, **score(predicted, costs, None)}
    features = np.hstack(list(transfer.views.values()))
    anchors = np.array(chosen)
    joint = JointPredictor().fit(features, transfer.proxy_costs, anchors, rng)
    predicted = joint.predict(features, costs[anchors])
    row = {"target": target, "probes": k, "way": "chosen", "method": "joint"}
    yield {**row, **score(predicted, costs, None)}


def run(
    table: str,
    out: Path,
    *,
    targets: Sequence[str] = (),
    proxies: Sequence[str] = (),
    probes: Sequence[int] = PROBES,
    draws: int = 20,
    metric: str = METRIC,
    genes: Sequence[str] = (),
    seed: int = 0,
    name: str = "transfer",
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Compare methods on every target, and write ``NAME.csv`` and ``NAME.png``.

    Args:
        table: See :func:`load`.
        out: The directory to write to.
        targets: Devices; left out, the usual ones of the NAS-Bench-201 table. The whole name of a
            column (``energy_mj.pi5_litert``) carries that over from the proxies' metric.
        proxies: Devices; left out, all that are no targets and not of a target's family.
        probes: How many, to try.
        draws: Random choices of probes beside the one that EvoNAS makes.
        metric: What to carry over.
        genes: See :func:`load`.
        seed: Of the draws.
        name: Of the files.
        report: Told of every finished target.

    Returns:
        ``{"targets": [...], "methods": {...}}``: rows of EvoNAS with its chosen probes, and those
        of every method and way to choose probes, means over draws.

    Raises:
        UsageError: The table, a device, a number of probes or where to write is wrong.
    """
    if not name or Path(name).name != name or "\\" in name:
        raise ConfigError(f"name is '{name}'; it must be that of a file, and out its folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder '{out}' cannot be made: {error.strerror}") from error
    targets = targets or TARGETS
    data = load(table, metric, genes, targets)
    devices = [str(device) for device in data.costs]
    for device in (*targets, *proxies):
        if device not in devices:
            raise ConfigError(
                f"table '{table}' has no device '{device}'{did_you_mean(device, devices)}"
            )
    for target in targets:
        _check_measured(data.costs[target], len(data.costs), "target", table)
    for proxy in proxies:
        _check_measured(data.costs[proxy], FEWEST, "proxy", table)
    usable = [device for device in devices if data.costs[device].count() >= FEWEST]
    if few := [device for device in devices if device not in usable]:
        report(f"left out, as fewer than {FEWEST} designs were measured there: {', '.join(few)}")
    half = len(data.costs) // 2
    if half < FEWEST:
        raise DataError(
            f"table '{table}' has {len(data.costs)} designs; it needs at least {2 * FEWEST}, of "
            "which half can be probes"
        )
    if not probes or min(probes) < FEWEST or max(probes) > half:
        raise ConfigError(
            f"probes are {list(probes)}; each must be from {FEWEST} to {half}, half the designs"
        )
    transfers: dict[tuple[str, ...], Transfer] = {}
    rows: list[dict[str, Any]] = []
    for target in targets:
        names = proxies_of(target, usable, targets, proxies)
        if not names:
            raise ConfigError(f"no proxy is left for the target '{target}'; name some")
        if names not in transfers:
            start = time.perf_counter()
            known = data.costs[list(names)].to_numpy()
            transfers[names] = Transfer(
                data.views, known, [family(name) for name in names], seed=seed
            )
            report(f"learnt from {len(names)} proxies in {time.perf_counter() - start:.1f} s")
        for k in probes:
            found = list(compare(data, transfers[names], target, k, draws, seed))
            rows += found
            report(json.dumps({key: found[0][key] for key in ("target", "probes", "spearman")}))
    keys = ["target", "probes", "method", "way"]
    summary = pd.DataFrame(rows).groupby(keys, sort=False).mean(numeric_only=True).reset_index()
    summary.to_csv(out / f"{name}.csv", index=False, float_format="%.4g", lineterminator="\n")
    draw(out / f"{name}.png", summary)
    records = json.loads(summary.to_json(orient="records"))
    methods: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        label = f"{record['method']}_{record['way']}"
        methods.setdefault(label, []).append(
            {key: value for key, value in record.items() if value is not None}
        )
    return {"targets": methods["evonas_chosen"], "methods": methods}


def _check_measured(costs: pd.Series, least: int, role: str, table: str) -> None:
    known = int(costs.notna().sum())
    if known < least:
        raise DataError(
            f"table '{table}' has {known} costs on the {role} '{costs.name}' in {len(costs)} rows; "
            f"it must have at least {least}"
        )


def draw(path: Path, summary: pd.DataFrame) -> None:
    """Draw rank correlation over the number of probes, one panel a target."""
    from matplotlib.figure import Figure

    targets = list(summary["target"].unique())
    columns = min(4, len(targets))
    lines = -(-len(targets) // columns)
    figure = Figure(layout="constrained")
    for place, target in enumerate(targets, start=1):
        axes = figure.add_subplot(lines, columns, place)
        part = summary[summary["target"] == target]
        for (method, way), curve in part.groupby(["method", "way"], sort=False):
            # Calibrated or not, a proxy ranks designs alike.
            shown = way == "random" or method in ("evonas", "joint")
            if shown and method != "isotonic":
                name = "best_proxy, isotonic" if method == "best_proxy" else method
                width, label = 2.2 if method == "evonas" else 1.0, f"{name} ({way})"
                axes.plot(curve["probes"], curve["spearman"], "o-", ms=3, lw=width, label=label)
        axes.set(title=target, xlabel="probes", ylabel="Spearman", xscale="log")
        axes.set_xticks(sorted(part["probes"].unique()), sorted(part["probes"].unique()))
        axes.minorticks_off()
        axes.grid(alpha=0.25)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    # As many labels beside one another as panels: more are cut off.
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    labelled = -(-len(labels) // columns)
    figure.set_size_inches(3.4 * columns, 2.6 * lines + 0.2 * labelled)
    figure.savefig(path, dpi=120)
