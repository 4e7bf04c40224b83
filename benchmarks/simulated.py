"""Simulated devices, which differ in what each kind of convolution costs them.

The time of a model in ms is the sum over its nodes of::

    overhead + max(rate[kind] * million multiply-adds, kilobytes moved / bandwidth)

a roofline (Williams, Waterman, Patterson, CACM 2009) for every node: ``rate`` is in ms per million
multiply-adds; moved are inputs, weights and outputs, as float32; nodes that are no convolutions
only move, and a Relu is part of the convolution before it. A measurement is the median of 20
bursts, each with log-normal noise of 5%, as ``measure.py`` takes it on a real device.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

BURSTS, NOISE = 20, 0.05

OVERHEAD_MS = 0.005
"""Of calling one node."""

KILOBYTES_PER_MS = 1000.0


@dataclass(frozen=True)
class Simulated:
    """A simulated device.

    Args:
        rate: Kind of convolution (dense, pointwise, depthwise) -> ms per million multiply-adds.
    """

    rate: Mapping[str, float]

    def milliseconds(self, path: Path) -> float:
        """Time of a model for one image, without noise."""
        graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
        values = [*graph.input, *graph.value_info, *graph.output]
        elements = {value.name: _elements(value) for value in values}
        elements |= {weight.name: math.prod(weight.dims) for weight in graph.initializer}
        weights = {weight.name: tuple(weight.dims) for weight in graph.initializer}
        total = 0.0
        for node in graph.node:
            if node.op_type == "Relu":
                continue
            names = [name for name in (*node.input, *node.output) if name]
            moving = 4e-3 * sum(elements[name] for name in names) / KILOBYTES_PER_MS
            computing = 0.0
            if node.op_type == "Conv":
                channels, *window = weights[node.input[1]]
                outputs = elements[node.output[0]]
                computing = self.rate[_kind(channels, window)] * outputs * math.prod(window) / 1e6
            total += OVERHEAD_MS + max(computing, moving)
        return total

    def measure(self, path: Path, rng: np.random.Generator) -> dict[str, float]:
        """Measure a model as ``measure.py`` does: time in ms, spread, number of bursts."""
        bursts = self.milliseconds(path) * np.exp(NOISE * rng.standard_normal(BURSTS))
        ms = statistics.median(bursts)
        spread = 1.4826 * statistics.median(abs(bursts - ms)) / ms
        return {"ms": float(ms), "spread": float(spread), "bursts": BURSTS}


DEVICES = {
    "slow_pointwise": Simulated({"dense": 1.0, "pointwise": 6.0, "depthwise": 1.0}),
    "slow_depthwise": Simulated({"dense": 1.0, "pointwise": 1.0, "depthwise": 30.0}),
}


def _kind(channels: int, window: list[int]) -> str:
    """Kind of a convolution whose outputs each see a window (channels, height, width)."""
    inputs, *kernel = window
    if inputs == 1 and channels > 1:
        return "depthwise"
    return "pointwise" if math.prod(kernel) == 1 else "dense"


def _elements(value: onnx.ValueInfoProto) -> int:
    """Number of elements of a value, for a batch of one."""
    return math.prod(d.dim_value or 1 for d in value.type.tensor_type.shape.dim)
