"""What the width knob does: cost, latency and accuracy over 16 knob values.

``python -m benchmarks.knob`` writes ``results/knob.csv`` and ``results/knob.png`` for the
smallest, a middle and the largest architecture on digits, and prints how linear (R^2 of the
least-squares line) and how monotone (Spearman's rank correlation) each quantity is in the knob.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from evonas.errors import EvonasError
from evonas.problem import Report
from evonas.problems.split_cnn import datasets, weights
from evonas.problems.split_cnn.architecture import Architecture, SupernetConfig, largest, smallest
from evonas.problems.split_cnn.graphs import head_model
from evonas.problems.split_cnn.measure import Stopwatch, reference_ms, session
from evonas.problems.split_cnn.split import Split
from evonas.problems.split_cnn.subnet import SubNet
from evonas.problems.split_cnn.supernet import Supernet
from evonas.problems.split_cnn.training import TrainingSettings

if TYPE_CHECKING:
    import pandas as pd

VALUES = 16
"""Knob values, evenly from the narrowest width to 1."""

LATENCY_ROUNDS = 15
"""Times that all networks of an architecture are measured; the median counts."""

PAYLOAD_BITS = 8

QUANTITIES = {
    "macs": "multiply-accumulates",
    "params": "parameters",
    "payload_bytes": f"payload after stage 2, {PAYLOAD_BITS} bits [bytes]",
    "latency_ms": "latency in onnxruntime [ms]",
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy [%]",
}
"""Column of the table -> its title in the figure."""

COSTS = ("macs", "params", "payload_bytes", "latency_ms")
"""The quantities that should be linear in the knob."""

COLOURS = ("#1a5fb4", "#c64600", "#2e8b57")


def architectures(config: SupernetConfig) -> dict[str, Architecture]:
    """The smallest, a middle and the largest architecture, at full width."""
    middle = Architecture((2, 2, 2), (3, 5, 3), (4, 4, 4), 1.0)
    return {"smallest": smallest(config, 1.0), "middle": middle, "largest": largest(config)}


def run(out: Path, seed: int = 0, report: Report = print) -> pd.DataFrame:
    """Measure the knob, and write ``knob.csv`` and ``knob.png``.

    Args:
        out: Folder to write to; made if it is not there.
        seed: Of the training and of the order of the latency measurements.
        report: Told what is going on.

    Returns:
        One row for each architecture and quantity, with columns ``r2`` and ``spearman``.
    """
    import pandas as pd

    data = datasets.load("digits")
    config = SupernetConfig(image=data.image, classes=len(data.classes))
    arrays = weights.load_or_train(config, data, TrainingSettings(seed=seed), report)
    net = Supernet.load(config, arrays)
    calibration = torch.from_numpy(data.part("train")[0])
    images, labels = (torch.from_numpy(array) for array in data.part("validation"))
    stopwatch = Stopwatch(reference_ms(weights.cache_folder()))
    rng = np.random.default_rng(seed)
    knob = np.linspace(config.narrowest, 1.0, VALUES)
    rows = []
    for name, full in architectures(config).items():
        report(f"measuring the {name} architecture at {VALUES} widths")
        narrowed = [replace(full, width=float(width)) for width in knob]
        subnets = [net.subnet(architecture, calibration) for architecture in narrowed]
        latencies = _latencies(subnets, stopwatch, rng)
        for width, subnet, latency in zip(knob, subnets, latencies, strict=True):
            scores = subnet.run(images)
            cut = 1 + full.depths[0] + full.depths[1]
            rows.append(
                {
                    "architecture": name,
                    "knob": round(float(width), 4),
                    "channels": "/".join(map(str, config.outer(float(width)))),
                    "macs": sum(subnet.macs),
                    "params": sum(subnet.params),
                    "payload_bytes": math.prod(subnet.shapes[cut]) * PAYLOAD_BITS // 8,
                    "latency_ms": latency,
                    "validation_loss": float(functional.cross_entropy(scores, labels)),
                    "validation_accuracy": 100 * float((scores.argmax(1) == labels).float().mean()),
                }
            )
    table = pd.DataFrame(rows)
    summary = summarise(table)
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "knob.csv", index=False, float_format="%.6g")
    _draw(out / "knob.png", table, summary)
    return summary


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Compute how linear and how monotone each quantity is in the knob."""
    import pandas as pd

    rows = []
    for name, part in table.groupby("architecture", sort=False):
        for quantity in QUANTITIES:
            r2 = part["knob"].corr(part[quantity]) ** 2
            spearman = part["knob"].rank().corr(part[quantity].rank())
            rows.append((name, quantity, r2, spearman))
    return pd.DataFrame(rows, columns=["architecture", "quantity", "r2", "spearman"])


def _latencies(
    subnets: Sequence[SubNet], stopwatch: Stopwatch, rng: np.random.Generator
) -> list[float]:
    """Latency of each whole network for one image, in ms."""
    image = np.zeros((1, *subnets[0].input_shape), np.float32)
    works = []
    for subnet in subnets:
        whole = Split.at(subnet, subnet.last_cut, 32, torch.from_numpy(image))
        model = session(head_model(whole))
        works.append(lambda model=model: model.run(None, {"image": image}))
    rounds = [stopwatch.measure(works, rng) for _ in range(LATENCY_ROUNDS)]
    return [float(latency) for latency in np.median(rounds, axis=0)]


def _draw(path: Path, table: pd.DataFrame, summary: pd.DataFrame) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(13, 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = zip(figure.subplots(2, 3).flat, QUANTITIES.items(), strict=True)
    for axes, (quantity, label) in panels:
        parts = table.groupby("architecture", sort=False)
        for colour, (name, part) in zip(COLOURS, parts, strict=True):
            knob, values = part["knob"].to_numpy(), part[quantity].to_numpy()
            # Costs with the least-squares line, the rest joined up.
            line = np.polyval(np.polyfit(knob, values, 1), knob) if quantity in COSTS else values
            axes.plot(knob, line, color=colour, lw=1, alpha=0.6)
            axes.scatter(knob, values, s=24, color=colour, lw=0, label=name, zorder=3)
        axes.set_title(label, loc="left", fontsize=11)
        axes.set_title(_found(summary, quantity), loc="right", fontsize=9, color="#5f6368")
        axes.set_xlabel("width knob")
        if table[quantity].max() > 1000:
            axes.yaxis.set_major_formatter(EngFormatter(sep=" "))
        if quantity in COSTS:
            axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle("The width knob at 16 values: three architectures of one supernet, digits")
    figure.savefig(path, dpi=150)


def _found(summary: pd.DataFrame, quantity: str) -> str:
    """The worst of the three architectures, rounded towards worse."""
    found = summary[summary["quantity"] == quantity]
    if quantity in COSTS:
        return rf"$R^2 \geq$ {math.floor(1000 * found['r2'].min()) / 1000:.3f}"
    ranks = ", ".join(f"{value:+.2f}" for value in found["spearman"])
    return f"Spearman {ranks}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Measure what the width knob does.")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        summary = run(options.out, options.seed)
    except EvonasError as error:
        raise SystemExit(str(error)) from error
    print(summary.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
