"""The layers of a head or a tail in numbers, from which models predict its time on a device."""

from __future__ import annotations

import math

from evonas.problems.split_cnn.split import Split
from evonas.problems.split_cnn.subnet import Classifier

KINDS = ("dense", "pointwise", "depthwise", "wide depthwise")
"""Kinds of convolutions, which devices compute at different speeds; wide is larger than 3x3."""


def head(split: Split) -> list[float]:
    """Describe the units before the cut, and the values that are quantised after them."""
    return _describe(split, 0, split.cut)


def tail(split: Split) -> list[float]:
    """Describe the units from the cut on, and the values that are restored before them."""
    return _describe(split, split.cut, split.subnet.last_cut)


def _describe(split: Split, start: int, stop: int) -> list[float]:
    """Number, million multiply-adds and thousand outputs of each kind, then everything else.

    The rest: additions of residual blocks in thousands, the classifier and its multiply-adds in
    millions, million weights, and thousand values of the payload, apart for each of its formats.
    """
    subnet = split.subnet
    kinds = {kind: [0.0, 0.0, 0.0] for kind in KINDS}
    added = classifiers = classified = 0.0
    for index in range(start, stop):
        unit = subnet.units[index]
        if isinstance(unit, Classifier):
            classifiers, classified = 1.0, subnet.macs[index] / 1e6
            continue
        for conv, _, after in subnet.steps(index):
            row = kinds[_kind(int(conv.weight.shape[2]), conv.groups)]
            row[0] += 1
            row[1] += conv.weight.size * math.prod(after[1:]) / 1e6
            row[2] += math.prod(after) / 1e3
        if unit.residual:
            added += math.prod(subnet.shapes[index]) / 1e3
    values = 0.0 if split.on_device else math.prod(subnet.shapes[split.cut]) / 1e3
    payload = [values * (split.quantiser.bits == bits) for bits in (16, 8, 4)]
    weights = sum(subnet.params[start:stop]) / 1e6
    counts = [number for row in kinds.values() for number in row]
    return [*counts, added, classifiers, classified, weights, *payload]


def _kind(kernel: int, groups: int) -> str:
    if groups == 1:
        return "pointwise" if kernel == 1 else "dense"
    return "depthwise" if kernel <= 3 else "wide depthwise"
