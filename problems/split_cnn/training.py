"""Train the supernet once, for all its sub-networks.

One step trains a few sub-networks on the same images and adds up their gradients: the sandwich
rule of Yu & Huang, "Universally Slimmable Networks" (ICCV 2019), section 3.2. The largest one
learns from the labels; the others learn from the labels and from the scores of the largest one
(in-place distillation, section 3.3). The others are the largest and the smallest architecture at
random widths, and random ones. (The narrowest width in every step, as in the paper, made the
narrowest networks better than those between, which no step trained as often.) The weights that
are returned are an exponential moving average.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from evonas.errors import ConfigError, WorkError
from evonas.problem import Report
from evonas.problems.split_cnn.architecture import Architecture, SupernetConfig, largest, smallest
from evonas.problems.split_cnn.supernet import Supernet

REPORT_SECONDS = 3.0

WARM_UP = 0.1
"""Share of the steps over which the learning rate rises."""


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of the supernet's training; the defaults are tuned on digits.

    Args:
        epochs: Number of passes over the training images, at least 1.
        batch: Number of images in a step, at least 2.
        learning_rate: Highest learning rate; it rises over the first tenth of the steps, and then
            falls to zero as a cosine does.
        weight_decay: Weight decay of convolution and classifier weights, as in AdamW.
        distillation: Share of the largest sub-network's scores in the targets of the others, in
            [0, 1]; the rest is the labels.
        label_smoothing: Share of the labels that is spread over all classes, in [0, 1]. Without
            it the widest networks grow too sure of a small training set.
        shift: Number of pixels by which images are shifted at random at most, both ways.
        random: Number of random sub-networks in a step.
        average: Decay of the moving average of the weights, in [0, 1]; 0 keeps the last weights.
        threads: Number of threads of torch on a CPU. More than one is faster on an idle machine,
            and many times slower on a busy one, where the threads wait for one another.
        seed: Seed of the random number generators.

    Raises:
        ConfigError: A value is out of range.
    """

    epochs: int = 30
    batch: int = 64
    learning_rate: float = 12e-3
    weight_decay: float = 1e-2
    distillation: float = 0.5
    label_smoothing: float = 0.1
    shift: int = 2
    random: int = 1
    average: float = 0.99
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        lowest = {"epochs": 1, "batch": 2, "threads": 1}
        for name, value in vars(self).items():
            low = lowest.get(name, 0)
            high = 1 if name in ("distillation", "label_smoothing", "average") else math.inf
            if not low <= value <= high or value == math.inf:
                upper = f" and at most {high}" if high == 1 else ""
                raise ConfigError(
                    f"training setting '{name}' is {value}; it must be at least {low}{upper}"
                )


def train(
    config: SupernetConfig,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    settings: TrainingSettings,
    report: Report,
    device: str = "cpu",
) -> dict[str, NDArray[np.float32]]:
    """Train a supernet.

    Args:
        config: Size of the supernet.
        images: Training images, shape (images, *config.image), float32 in [0, 1]; at least 2.
        labels: Labels of the images, shape (images,), from 0 to ``config.classes - 1``.
        settings: Settings of the training.
        report: Function that is called with a line of text on the progress every few seconds.
        device: Device that torch trains on, ``cpu`` or ``cuda``.

    Returns:
        Weights for :meth:`Supernet.load`; equal arguments give equal weights.

    Raises:
        ConfigError: The device cannot be used.
        WorkError: The weights have become infinite or NaN.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        arrays = _train(config, images, labels, settings, report, device).arrays()
    finally:
        torch.set_num_threads(before)
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise WorkError(
            "training diverged: weights are infinite or NaN; "
            f"lower the learning rate from {settings.learning_rate}"
        )
    return arrays


def _train(
    config: SupernetConfig,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    settings: TrainingSettings,
    report: Report,
    device: str,
) -> Supernet:
    try:
        supernet = Supernet(config, torch.Generator().manual_seed(settings.seed)).to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device '{device}' cannot be used: {reason}") from error
    average = copy.deepcopy(supernet)
    rng = np.random.default_rng(settings.seed)
    steps = settings.epochs * _batches(len(images), settings)
    optimizer = _optimizer(supernet, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _pace((step + 1) / (steps + 1))
    )
    started = reported = time.monotonic()
    for step, rows in enumerate(_rows(len(images), settings, rng)):
        batch = _shifted(torch.from_numpy(images[rows]), settings.shift, rng)
        targets = functional.one_hot(torch.from_numpy(labels[rows]), config.classes).float()
        targets = targets.lerp(torch.tensor(1 / config.classes), settings.label_smoothing)
        _sandwich(supernet, batch.to(device), targets.to(device), settings, rng)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        _follow(average, supernet, min(settings.average, (step + 1) / (step + 10)))
        if (now := time.monotonic()) - reported > REPORT_SECONDS:
            reported = now
            left = (now - started) / (step + 1) * (steps - step - 1)
            report(f"training the supernet: {(step + 1) / steps:.0%}, {left:.0f} s left")
    return average


def _batches(count: int, settings: TrainingSettings) -> int:
    """Number of steps in an epoch: no batch is smaller than asked for, if the images suffice."""
    return max(1, count // settings.batch)


def _rows(
    count: int, settings: TrainingSettings, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    for _ in range(settings.epochs):
        yield from np.array_split(rng.permutation(count), _batches(count, settings))


def _optimizer(supernet: Supernet, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW that leaves biases and normalisation undecayed."""
    weights = [p for p in supernet.parameters() if p.ndim > 1]
    others = [p for p in supernet.parameters() if p.ndim == 1]
    return torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
    )


def _pace(done: float) -> float:
    """Learning rate as a share of the highest one, after a share of the steps."""
    return min(1.0, done / WARM_UP) * (1 + math.cos(math.pi * done)) / 2


@torch.no_grad()
def _follow(average: Supernet, supernet: Supernet, decay: float) -> None:
    for kept, new in zip(average.parameters(), supernet.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)


def _shifted(images: Tensor, most: int, rng: np.random.Generator) -> Tensor:
    """Shift each image by up to ``most`` pixels each way, with zeros at the border."""
    count, channels, height, width = images.shape
    padded = functional.pad(images, (most,) * 4)
    top, left = torch.from_numpy(rng.integers(0, 2 * most + 1, (2, count, 1, 1, 1)))
    index = torch.arange(count).reshape(-1, 1, 1, 1)
    channel = torch.arange(channels).reshape(-1, 1, 1)
    row = top + torch.arange(height).reshape(-1, 1)
    column = left + torch.arange(width)
    return padded[index, channel, row, column]


def _sandwich(
    supernet: Supernet,
    images: Tensor,
    targets: Tensor,
    settings: TrainingSettings,
    rng: np.random.Generator,
) -> None:
    """Add up the gradients of one step; ``targets`` has the shape (batch, classes)."""
    config = supernet.config
    scores = supernet(images, largest(config))
    functional.cross_entropy(scores, targets).backward()  # type: ignore[no-untyped-call]
    # Cross-entropy is linear in its target, so a mixed target is the mix of the two losses.
    targets = targets.lerp(scores.detach().softmax(dim=1), settings.distillation)
    students = [built(config, _random_width(config, rng)) for built in (largest, smallest)]
    students += [random_architecture(config, rng) for _ in range(settings.random)]
    for student in students:
        scores = supernet(images, student)
        functional.cross_entropy(scores, targets).backward()  # type: ignore[no-untyped-call]


def random_architecture(config: SupernetConfig, rng: np.random.Generator) -> Architecture:
    """Draw an architecture, every gene uniform."""
    low, high = config.depths
    return Architecture(
        tuple(rng.integers(low, high + 1, config.stages).tolist()),
        tuple(rng.choice(config.kernels, config.stages).tolist()),
        tuple(rng.choice(config.expansions, config.stages).tolist()),
        _random_width(config, rng),
    )


def _random_width(config: SupernetConfig, rng: np.random.Generator) -> float:
    return float(rng.uniform(config.narrowest, 1.0))
