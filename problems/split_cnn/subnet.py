"""A network taken out of the supernet: plain arrays, normalisation folded, ready to be cut.

A :class:`SubNet` is what is measured, quantised and deployed. Its units are the blocks and then
the classifier; cut ``i`` puts units ``[0, i)`` on the device (the head) and the rest on the
server (the tail), so cut 0 is everything on the server and the last cut everything on the device.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

FloatArray = NDArray[np.float32]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution with its normalisation folded in, padded to keep the size at stride 1.

    Args:
        weight: Weights, shape (output channels, input channels / groups, k, k) with k odd.
        bias: Biases, shape (output channels,).
        stride: Stride in both directions.
        groups: Number of groups: 1 for a dense convolution, the number of channels for a depthwise
            one.
        relu: Whether a ReLU follows.
    """

    weight: FloatArray
    bias: FloatArray
    stride: int
    groups: int
    relu: bool

    @property
    def padding(self) -> int:
        """Zeros added on every side."""
        return int(self.weight.shape[2]) // 2

    def output_shape(self, shape: Shape) -> Shape:
        """Shape (channels, height, width) that comes out when ``shape`` goes in."""
        kernel = int(self.weight.shape[2])
        height, width = (
            (side + 2 * self.padding - kernel) // self.stride + 1 for side in shape[1:]
        )
        return (int(self.weight.shape[0]), height, width)

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve a batch of shape (batch, channels, height, width)."""
        # The format is set again before every layer because a one-channel image loses it, and
        # depthwise layers are several times slower without it.
        y = functional.conv2d(
            x.contiguous(memory_format=torch.channels_last),
            torch.from_numpy(self.weight),
            torch.from_numpy(self.bias),
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
        )
        return functional.relu(y) if self.relu else y


class Sizes(NamedTuple):
    """Sizes of a block for the features of one image.

    Args:
        steps: Convolutions, each with the shapes before and after it.
        macs: Number of multiply-accumulate operations.
        alive: Number of values that are alive at the busiest moment: while a convolution runs, its
            input and its output, and the block's input too if it is added back at the end.
    """

    steps: tuple[tuple[Conv, Shape, Shape], ...]
    macs: int
    alive: int


@dataclass(frozen=True, eq=False)
class Block:
    """Convolutions in a row, with the block's input added to their output when ``residual``."""

    name: str
    convs: tuple[Conv, ...]
    residual: bool
    _sizes: dict[Shape, Sizes] = field(default_factory=dict, init=False, repr=False)

    def sizes(self, shape: Shape) -> Sizes:
        """Return sizes for features of the shape (channels, height, width); computed once."""
        if shape not in self._sizes:
            steps: list[tuple[Conv, Shape, Shape]] = []
            macs = alive = 0
            before = shape
            for conv in self.convs:
                after = conv.output_shape(before)
                kept = math.prod(shape) if self.residual and steps else 0
                alive = max(alive, kept + math.prod(before) + math.prod(after))
                macs += conv.weight.size * math.prod(after[1:])
                steps.append((conv, before, after))
                before = after
            self._sizes[shape] = Sizes(tuple(steps), macs, alive)
        return self._sizes[shape]

    @cached_property
    def params(self) -> int:
        """Number of weights and biases."""
        return sum(conv.weight.size + conv.bias.size for conv in self.convs)

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, channels, height, width) to the block's output."""
        y = x
        for conv in self.convs:
            y = conv.run(y)
        return x + y if self.residual else y


@dataclass(frozen=True, eq=False)
class Classifier:
    """Global average pooling, then a linear layer.

    Args:
        name: Name of the unit.
        weight: Weights, shape (classes, channels).
        bias: Biases, shape (classes,).
    """

    name: str
    weight: FloatArray
    bias: FloatArray

    @property
    def params(self) -> int:
        """Number of weights and biases."""
        return self.weight.size + self.bias.size

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, channels, height, width) to scores of shape (batch, classes)."""
        weight, bias = torch.from_numpy(self.weight), torch.from_numpy(self.bias)
        return functional.linear(x.mean(dim=(2, 3)), weight, bias)


@dataclass(frozen=True, eq=False)
class SubNet:
    """A network with fixed weights that can be cut before, between and after its units.

    Args:
        input_shape: Shape of one image (channels, height, width).
        blocks: Blocks of the convolutional part, in order.
        classifier: Classifier, which is the last unit.
    """

    input_shape: tuple[int, int, int]
    blocks: tuple[Block, ...]
    classifier: Classifier

    @property
    def units(self) -> tuple[Block | Classifier, ...]:
        """The parts that a cut lies between: the blocks, then the classifier."""
        return (*self.blocks, self.classifier)

    @property
    def last_cut(self) -> int:
        """The cut that leaves everything on the device; cuts run from 0 to here."""
        return len(self.blocks) + 1

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape before each unit, and after the last one: entry ``i`` crosses cut ``i``."""
        after = (sizes.steps[-1][2] for sizes in self._sizes)
        return (self.input_shape, *after, (len(self.classifier.bias),))

    @cached_property
    def macs(self) -> tuple[int, ...]:
        """Multiply-accumulate operations of each unit for one image."""
        return (*(sizes.macs for sizes in self._sizes), self.classifier.weight.size)

    @cached_property
    def params(self) -> tuple[int, ...]:
        """Weights and biases of each unit."""
        return tuple(unit.params for unit in self.units)

    def head_memory_bytes(self, cut: int) -> int:
        """Memory that the head needs on the device for one image, all in float32.

        The bytes of the head's weights, and of the activations at the busiest moment
        (:class:`Sizes`). At cut 0 that is the image alone.
        """
        alive = (sizes.alive for sizes in self._sizes[:cut])
        return 4 * (sum(self.params[:cut]) + max(math.prod(self.input_shape), *alive, 0))

    def run(self, x: torch.Tensor, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Run units ``[start, stop)``, all of them by default.

        Args:
            x: Input of the first unit, shape (batch, *shapes[start]), float32.
            start: Index of the first unit.
            stop: Index after that of the last unit.

        Returns:
            Output of the last unit, shape (batch, *shapes[stop]).
        """
        with torch.inference_mode():
            for unit in itertools.islice(self.units, start, stop):
                x = unit.run(x)
        return x

    @cached_property
    def _sizes(self) -> tuple[Sizes, ...]:
        found: list[Sizes] = []
        for block in self.blocks:
            shape = found[-1].steps[-1][2] if found else self.input_shape
            found.append(block.sizes(shape))
        return tuple(found)

    def steps(self, index: int) -> tuple[tuple[Conv, Shape, Shape], ...]:
        """Each convolution of a block with the shapes before and after it."""
        return self._sizes[index].steps
