"""Evaluate designs of a trained supernet: take the sub-network out, cut it, score it, time it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evonas.problems.split_cnn.architecture import Architecture, SupernetConfig
from evonas.problems.split_cnn.graphs import head_model, tail_model
from evonas.problems.split_cnn.measure import Stopwatch, Work, session
from evonas.problems.split_cnn.split import Split
from evonas.problems.split_cnn.subnet import SubNet
from evonas.problems.split_cnn.supernet import Supernet

Images = NDArray[np.float32]
Labels = NDArray[np.int64]

CACHED_SUBNETS = 8
"""Number of sub-networks that are kept; designs that differ in cut and payload share one."""

CACHED_PAIRS = 2
"""Number of pairs that are kept; one is scored, then timed."""

CACHED_SKETCHES = 4096
"""Number of sketches that are kept; a search with surrogates looks at thousands of designs, and at
each several times."""

BATCH = 256
"""Number of images that are scored at once."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """What every evaluation needs, and what travels to the workers.

    Args:
        weights: Weights of the supernet.
        calibration: Training images for statistics and ranges, shape (images, channels, height,
            width).
        images: Validation images, shape (images, channels, height, width).
        labels: Labels of the validation images, shape (images,).
        reference_ms: Time of the reference network in ms.
    """

    weights: dict[str, NDArray[np.float32]]
    calibration: Images
    images: Images
    labels: Labels
    reference_ms: float


class Pair:
    """Head and tail of a design in onnxruntime.

    Args:
        split: The design.
    """

    def __init__(self, split: Split) -> None:
        self.split = split
        self._head, self._tail = session(head_model(split)), session(tail_model(split))

    def head(self, images: Images) -> NDArray[Any]:
        """Map images (batch, channels, height, width) to the payload."""
        payload: NDArray[Any] = self._head.run(None, {"image": images})[0]
        return payload

    def tail(self, payload: NDArray[Any]) -> Images:
        """Map the payload to scores of shape (batch, classes)."""
        scores: Images = self._tail.run(None, {"payload": payload})[0]
        return scores


class Evaluator:
    """Measures designs of a trained supernet, on one thread.

    Args:
        config: Size of the supernet.
        prepared: Weights of the supernet, and images.
    """

    def __init__(self, config: SupernetConfig, prepared: Prepared) -> None:
        self._supernet = Supernet.load(config, prepared.weights)
        self._calibration = torch.from_numpy(prepared.calibration)
        self._image = prepared.images[:1]
        self._stopwatch = Stopwatch(prepared.reference_ms)
        self._subnet = lru_cache(CACHED_SUBNETS)(self._take_out)
        self.pair = lru_cache(CACHED_PAIRS)(self._pair)
        self.sketch = lru_cache(CACHED_SKETCHES)(self._sketch)

    def error(self, pair: Pair, images: Images, labels: Labels) -> float:
        """Return the share of images that a pair classifies wrongly, in %."""
        wrong = 0
        for start in range(0, len(images), BATCH):
            rows = slice(start, start + BATCH)
            scores = pair.tail(pair.head(images[rows]))
            wrong += int((scores.argmax(axis=1) != labels[rows]).sum())
        return 100 * wrong / len(images)

    def times(self, pair: Pair) -> tuple[float, float]:
        """Measure head and tail for one image, in ms; without a payload the tail takes 0."""
        payload = pair.head(self._image)
        works: list[Work] = [lambda: pair.head(self._image)]
        if not pair.split.on_device:
            works.append(lambda: pair.tail(payload))
        head, *tail = self._stopwatch.measure(works, np.random.default_rng(0))
        return head, sum(tail)

    def _sketch(self, architecture: Architecture, cut: int, bits: int) -> Split:
        """Cut the outline of a sub-network, which has the right sizes and zeros for weights."""
        return Split.at(self._supernet.outline(architecture), cut, bits, None)

    def _pair(self, architecture: Architecture, cut: int, bits: int) -> Pair:
        with _one_thread():
            subnet = self._subnet(architecture)
            return Pair(Split.at(subnet, cut, bits, self._calibration))

    def _take_out(self, architecture: Architecture) -> SubNet:
        return self._supernet.subnet(architecture, self._calibration)


def shifted_copies(images: Images, labels: Labels, most: int, shift: int) -> tuple[Images, Labels]:
    """Fill a set of images up with shifted copies of them.

    With 360 images an error has steps of 0.28 points and a standard error of about half a point:
    many designs tie, and luck decides which is the best. Training shifts images, too.

    Args:
        images: Images, shape (images, channels, height, width).
        labels: Labels of the images, shape (images,).
        most: Number of images that are wanted. If there are more, the first ones are taken; if
            there are fewer, copies follow them, at most four of each.
        shift: Number of pixels by which copies are shifted both ways, to each of the four corners;
            0 makes no copies.

    Returns:
        The images and their labels.
    """
    if len(images) >= most or not shift:
        return images[:most], labels[:most]
    padded = np.pad(images, ((0, 0), (0, 0), (shift, shift), (shift, shift)))
    height, width = images.shape[2:]
    found = [
        padded[:, :, y * shift : y * shift + height, x * shift : x * shift + width]
        for y, x in ((1, 1), (0, 0), (0, 2), (2, 0), (2, 2))
    ]
    return np.concatenate(found)[:most], np.tile(labels, len(found))[:most]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread, so that sums do not depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
