"""How well costs carry over to devices of which a few designs are measured.

Target devices are held out, and predicted from few probes and the proxies.

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
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr
from sklearn.linear_model import RidgeCV

from benchmarks import results
from benchmarks.joint import predict_jointly
from evonas.errors import ConfigError, DataError, did_you_mean
from evonas.problems.nasbench201 import EDGES, NASBench201
from evonas.problems.once_for_all import GENES, OnceForAll
from evonas.problems.table import TableProblem, read_table
from evonas.run.diagnostics import spearman
from evonas.space import FloatArray
from evonas.surrogates.transfer import Transfer, problem_views
from evonas.surrogates.transfer.monotonicity import Calibration
from evonas.surrogates.transfer.probes import worth_probing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        table: A CSV or Parquet file; cells of NAS-Bench-201 and networks of Once-for-All are known
            by their columns.
        metric: Metric to carry over.
        genes: The columns that describe a design, in a table of another kind.
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
    if genes:
        problem = TableProblem(table, genes=genes, minimise=objective, repeats="mean")
    elif set(EDGES) <= set(frame.columns):
        problem = NASBench201(table, minimise=objective)
    elif set(GENES) <= set(frame.columns):
        problem = OnceForAll(table, minimise=objective)
    else:
        raise DataError(
            f"table '{table}' holds neither cells of NAS-Bench-201 nor networks of Once-for-All; "
            "set genes to the columns that describe a design"
        )
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
    predicted = predict_jointly(features, transfer.proxy_costs, anchors, costs[anchors], rng)
    row = {"target": target, "probes": k, "way": "chosen", "method": "joint"}
    yield {**row, **score(predicted, costs, None)}


def run(
    table: str,
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
) -> list[results.Result]:
    """Compare methods on every target.

    Args:
        table: See :func:`load`.
        targets: Devices; left out, the usual ones of the NAS-Bench-201 table. The whole name of a
            column (``energy_mj.pi5_litert``) carries that over from the proxies' metric.
        proxies: Devices; left out, all that are no targets and not of a target's family.
        probes: Numbers of probes to try.
        draws: Random choices of probes beside the one that EvoNAS makes.
        metric: Metric to carry over.
        genes: See :func:`load`.
        seed: Seed of the draws.
        name: Name of the result.
        report: Told of every finished target.

    Returns:
        A row for each target, number of probes, method and way to choose probes, means over draws.

    Raises:
        UsageError: The table, a device or a number of probes is wrong.
    """
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
    return [results.Result(name, summary, draw(summary))]


def _check_measured(costs: pd.Series, least: int, role: str, table: str) -> None:
    known = int(costs.notna().sum())
    if known < least:
        raise DataError(
            f"table '{table}' has {known} costs on the {role} '{costs.name}' in {len(costs)} rows; "
            f"it must have at least {least}"
        )


def draw(summary: pd.DataFrame) -> Figure:
    """Draw rank correlation over the number of probes, one panel a target."""
    targets = list(summary["target"].unique())
    columns = min(4, len(targets))
    figure, panels = results.panels(len(targets), columns, size=(3.4, 2.6))
    for axes, target in zip(panels, targets, strict=True):
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
    # As many labels beside one another as panels: more are cut off.
    results.legend_below(figure, columns)
    return figure
