"""What the width knob does: cost, latency and accuracy over 16 knob values.

Measured on digits, for the smallest, a middle and the largest architecture. A quantity is as linear
in the knob as R^2 of the least-squares line says, and as monotone as Spearman's rank correlation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from benchmarks import results
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
    from matplotlib.figure import Figure

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


def architectures(config: SupernetConfig) -> dict[str, Architecture]:
    """The smallest, a middle and the largest architecture, at full width."""
    middle = Architecture((2, 2, 2), (3, 5, 3), (4, 4, 4), 1.0)
    return {"smallest": smallest(config, 1.0), "middle": middle, "largest": largest(config)}


def run(seed: int = 0, report: Report = print) -> list[results.Result]:
    """Measure the knob.

    Args:
        seed: Seed of the training and of the order of the latency measurements.
        report: Told what is going on.

    Returns:
        One row for each architecture and width, with every quantity; and how linear and how
        monotone these are, see :func:`fit`.
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
    return [results.Result("knob", table, draw(table)), results.Result("knob_fit", fit(table))]


def fit(table: pd.DataFrame) -> pd.DataFrame:
    """Compute how linear and how monotone each quantity is in the knob.

    Returns:
        One row for each architecture and quantity, with columns ``r2`` and ``spearman``.
    """
    import pandas as pd

    rows = []
    for name, part in table.groupby("architecture", sort=False):
        for quantity in QUANTITIES:
            r2 = part["knob"].corr(part[quantity]) ** 2
            spearman = part["knob"].corr(part[quantity], method="spearman")
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


def draw(table: pd.DataFrame) -> Figure:
    """Draw every quantity over the knob."""
    from matplotlib.ticker import EngFormatter

    summary = fit(table)
    figure, panels = results.panels(len(QUANTITIES), columns=3, size=(4.6, 3.6))
    for axes, (quantity, label) in zip(panels, QUANTITIES.items(), strict=True):
        for name, part in table.groupby("architecture", sort=False):
            knob, values = part["knob"].to_numpy(), part[quantity].to_numpy()
            dots = axes.scatter(knob, values, s=24, lw=0, label=name, zorder=3)
            # Costs with the least-squares line, the rest joined up.
            line = np.polyval(np.polyfit(knob, values, 1), knob) if quantity in COSTS else values
            axes.plot(knob, line, color=dots.get_facecolor()[0], lw=1, alpha=0.6)
        axes.set_title(label, loc="left", fontsize=11)
        axes.set_title(_found(summary, quantity), loc="right", fontsize=8, color="#5f6368")
        axes.set_xlabel("width knob")
        if table[quantity].max() > 1000:
            axes.yaxis.set_major_formatter(EngFormatter(sep=" "))
        if quantity in COSTS:
            axes.set_ylim(bottom=0)
    results.legend_below(figure, columns=3)
    figure.suptitle(
        f"The width knob at {VALUES} values: three architectures of one supernet, digits"
    )
    return figure


def _found(summary: pd.DataFrame, quantity: str) -> str:
    """The worst of the three architectures, rounded towards worse."""
    found = summary[summary["quantity"] == quantity]
    if quantity in COSTS:
        return rf"$R^2 \geq$ {math.floor(1000 * found['r2'].min()) / 1000:.3f}"
    ranks = ", ".join(f"{value:+.2f}" for value in found["spearman"])
    return f"Spearman {ranks}"
