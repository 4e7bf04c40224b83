"""Sub-networks of the supernet: sizes, genes and cuts.

The network is a stem and a few stages of inverted residual blocks (Sandler et al., "MobileNetV2",
CVPR 2018), then pooling and a linear classifier. Each stage has a depth, a kernel size and an
expansion of its own, as in Once-for-All (Cai et al., ICLR 2020).

The knob ``width`` scales the *outer* channels, those between blocks, in multiples of
:data:`CHANNEL_STEP`; the *hidden* channels inside a block stay. Multiply-accumulates, parameters
and the payload at any cut are then all linear in the knob, which they cannot be together when
every width scales.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from typing import cast

from evonas.errors import ConfigError
from evonas.space import Choice, Gene, Genome, Integer, Real, Space, Value

CHANNEL_STEP = 8
"""Channel counts are multiples of this, so that latency on a CPU follows the knob."""

PAYLOAD_BITS = (32, 16, 8, 4)
"""Numbers of bits that a value which crosses the cut can have."""


@dataclass(frozen=True)
class SupernetConfig:
    """The size of the supernet; every sub-network lies within it.

    Args:
        image: Shape of an image (channels, height, width), with sides of at least 8 pixels.
        classes: Number of classes, at least 2.
        channels: Outer channels of each stage at full width, multiples of 8.
        depths: Smallest and largest number of blocks in a stage.
        kernels: Sizes of the depthwise kernels to choose from, odd.
        expansions: Hidden channels of a block to choose from, as multiples of the stage's outer
            channels at the narrowest width.
        narrowest: Smallest value of the knob ``width``, in (0, 1).
        stem: Hidden channels of the stem.

    Raises:
        ConfigError: A value is out of range.
    """

    image: tuple[int, int, int] = (1, 32, 32)
    classes: int = 10
    channels: tuple[int, ...] = (64, 96, 128)
    depths: tuple[int, int] = (1, 3)
    kernels: tuple[int, ...] = (3, 5)
    expansions: tuple[int, ...] = (3, 4, 6)
    narrowest: float = 0.25
    stem: int = 16

    def __post_init__(self) -> None:
        if self.image[0] < 1 or min(self.image[1:]) < 8:
            raise ConfigError(
                f"image is {self.image} (channels, height, width); "
                "it must have a channel and sides of at least 8 pixels"
            )
        if self.classes < 2:
            raise ConfigError(f"classes is {self.classes}; it must be at least 2")
        if not self.channels or any(c < 1 or c % CHANNEL_STEP for c in self.channels):
            raise ConfigError(
                f"channels is {self.channels}; "
                f"it must hold a multiple of {CHANNEL_STEP} for each stage"
            )
        if not 1 <= self.depths[0] <= self.depths[1]:
            raise ConfigError(
                f"depths is {self.depths}; it must be the fewest and the most blocks of a stage"
            )
        if not self.kernels or any(k < 1 or k % 2 == 0 for k in self.kernels):
            raise ConfigError(f"kernels is {self.kernels}; it must hold odd sizes")
        if not self.expansions or min(self.expansions) < 1:
            raise ConfigError(f"expansions is {self.expansions}; it must hold whole numbers from 1")
        if not 0 < self.narrowest < 1:
            raise ConfigError(f"narrowest is {self.narrowest}; it must lie between 0 and 1")
        if self.stem < 1:
            raise ConfigError(f"stem is {self.stem}; it must be at least 1")

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.channels)

    @property
    def last_split(self) -> int:
        """Value of the split gene that leaves everything on the device."""
        return 2 + self.stages * self.depths[1]

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Strides of the stem's two convolutions, then of the first block of each stage.

        The image is halved until its smaller side has 4 to 7 pixels, as far as there are places:
        in the stem first, then in the stages from the second on, and in the first stage last.
        """
        halvings = int(math.log2(min(self.image[1:]) / 4))
        order = [0, 1, *range(3, 2 + self.stages), 2][:halvings]
        return tuple(2 if place in order else 1 for place in range(2 + self.stages))

    @cached_property
    def widths(self) -> tuple[float, ...]:
        """The knob values that differ in channel counts, one for each, from narrowest to 1."""
        edges = self._edges
        middles = [(a + b) / 2 for a, b in itertools.pairwise(edges)]
        return (self.narrowest, *middles, 1.0)

    @cached_property
    def _edges(self) -> list[float]:
        """The knob values at which some channel count steps, in order."""
        steps = {
            Fraction(2 * step + 1, 2) * CHANNEL_STEP / channels
            for channels in self.channels
            for step in range(1, channels // CHANNEL_STEP)
        }
        return [float(edge) for edge in sorted(steps) if self.narrowest < edge]

    def snap(self, width: float) -> float:
        """Map knob values that give the same channel counts to one of them."""
        return self.widths[bisect.bisect_right(self._edges, width)]

    def outer(self, width: float) -> tuple[int, ...]:
        """Outer channels of each stage at a knob value; the stem has those of the first stage.

        >>> SupernetConfig().outer(0.25), SupernetConfig().outer(0.7), SupernetConfig().outer(1)
        ((16, 24, 32), (48, 64, 88), (64, 96, 128))
        """
        steps = (self.snap(width) * channels / CHANNEL_STEP for channels in self.channels)
        return tuple(CHANNEL_STEP * max(1, math.floor(step + 0.5)) for step in steps)

    def hidden(self, stage: int, expansion: int) -> int:
        """Hidden channels of the blocks of a stage (counted from 0)."""
        return expansion * self.outer(self.narrowest)[stage]


@dataclass(frozen=True)
class Architecture:
    """One sub-network, the cut left out.

    Args:
        depths: Number of blocks of each stage.
        kernels: Depthwise kernel size of each stage.
        expansions: Expansion of each stage.
        width: Value of the knob.
    """

    depths: tuple[int, ...]
    kernels: tuple[int, ...]
    expansions: tuple[int, ...]
    width: float


def largest(config: SupernetConfig, width: float = 1.0) -> Architecture:
    """The architecture with the most blocks, the largest kernels and expansions."""
    n = config.stages
    return Architecture(
        (config.depths[1],) * n, (max(config.kernels),) * n, (max(config.expansions),) * n, width
    )


def smallest(config: SupernetConfig, width: float | None = None) -> Architecture:
    """The architecture with the fewest blocks, the smallest kernels and expansions."""
    n = config.stages
    return Architecture(
        (config.depths[0],) * n,
        (min(config.kernels),) * n,
        (min(config.expansions),) * n,
        config.narrowest if width is None else width,
    )


@cache
def space(config: SupernetConfig) -> Space:
    """Build the search space: the genes of the architecture, the cut and the payload's format.

    ``split`` counts the units of the deepest architecture that stay on the device: 0 is
    everything on the server, 1 the stem on the device, and so on block by block; the last value
    leaves everything on the device, and then nothing crosses and ``payload_bits`` is inactive.
    """
    stages = range(1, config.stages + 1)
    genes: list[Gene] = [
        *(Integer(f"depth{stage}", *config.depths) for stage in stages),
        *(Choice(f"kernel{stage}", config.kernels) for stage in stages),
        *(Choice(f"expansion{stage}", config.expansions) for stage in stages),
        Real("width", config.narrowest, 1.0),
        Integer("split", 0, config.last_split),
        Choice("payload_bits", PAYLOAD_BITS, when={"split": range(config.last_split)}),
    ]
    return Space(*genes)


def architecture(genome: Genome, config: SupernetConfig) -> Architecture:
    """Read the architecture from a genome."""
    stages = range(1, config.stages + 1)
    return Architecture(
        tuple(cast(int, genome[f"depth{stage}"]) for stage in stages),
        tuple(cast(int, genome[f"kernel{stage}"]) for stage in stages),
        tuple(cast(int, genome[f"expansion{stage}"]) for stage in stages),
        cast(float, genome["width"]),
    )


def cut(genome: Genome, config: SupernetConfig) -> int:
    """Return the index of the cut in the sub-network: the number of units in the head.

    The units are the stem, the blocks and the classifier. A split inside blocks that a shallower
    architecture lacks means the end of their stage.
    """
    split, depths = _snapped_split(genome, config), architecture(genome, config).depths
    if split == config.last_split:
        return 2 + sum(depths)
    if split == 0:
        return 0
    stage, block = _place(split, config)
    return 1 + sum(depths[:stage]) + block


def canonical(genome: Genome, config: SupernetConfig) -> Mapping[str, Value]:
    """Map genomes of equal designs to one: equal channel counts, equal cuts."""
    result = dict(genome)
    result["width"] = config.snap(cast(float, genome["width"]))
    result["split"] = _snapped_split(genome, config)
    return space(config).canonical(result)


def _snapped_split(genome: Genome, config: SupernetConfig) -> int:
    split = cast(int, genome["split"])
    if split in (0, config.last_split):
        return split
    stage, block = _place(split, config)
    depth = architecture(genome, config).depths[stage]
    return 1 + stage * config.depths[1] + min(block, depth)


def _place(split: int, config: SupernetConfig) -> tuple[int, int]:
    """Stage (from 0) and number of its blocks before the cut; the stem's end is (0, 0)."""
    if split == 1:
        return 0, 0
    stage, block = divmod(split - 2, config.depths[1])
    return stage, block + 1
