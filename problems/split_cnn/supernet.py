"""The supernet: every sub-network as a slice of one set of weights.

A sub-network takes the first outer and hidden channels of each convolution, the centre of each
depthwise kernel, and the first blocks of each stage. So the channels of any two knob values
overlap, and the wider ones contain the narrower ones. Only the channels between blocks follow the
knob (``architecture.py`` says why). The benchmark ``knob`` measures the effect: R^2 against the
knob is above 0.99 for multiply-accumulates, parameters and payload, and above 0.95 for latency.

Batch normalisation keeps no running statistics: those of one sub-network ruin another (Yu &
Huang, "Universally Slimmable Networks", ICCV 2019, section 3.1). In training it uses the batch; a
sub-network that is taken out gets statistics of its own from calibration images, folded into its
convolutions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from evonas.errors import DataError
from evonas.problems.split_cnn.architecture import Architecture, SupernetConfig
from evonas.problems.split_cnn.subnet import Block, Classifier, Conv, SubNet

Array = NDArray[np.float32]

CALIBRATION_IMAGES = 256
"""Largest number of calibration images that are used; more gained nothing on digits."""

EPSILON = 1e-5


class SharedConv(nn.Module):
    """A convolution and its normalisation, of which a sub-network uses a slice.

    Args:
        inputs: Number of input channels at full width.
        outputs: Number of output channels at full width.
        kernel: Largest kernel size.
        stride: Stride in both directions.
        depthwise: Whether each channel is convolved by itself.
        relu: Whether a ReLU follows.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        depthwise: bool = False,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.depthwise, self.relu = kernel, stride, depthwise, relu
        self.weight = nn.Parameter(torch.zeros(outputs, 1 if depthwise else inputs, kernel, kernel))
        self.scale = nn.Parameter(torch.ones(outputs))
        self.shift = nn.Parameter(torch.zeros(outputs))


@dataclass(frozen=True)
class Layer:
    """The slice of a :class:`SharedConv` that a sub-network uses."""

    conv: SharedConv
    inputs: int
    outputs: int
    kernel: int

    @property
    def weight(self) -> Tensor:
        """The first channels of the shared weight, and the centre of its kernel."""
        margin = (self.conv.kernel - self.kernel) // 2
        window = slice(margin, margin + self.kernel)
        # A depthwise weight has one input channel, which this slice keeps.
        return self.conv.weight[: self.outputs, : self.inputs, window, window]

    @property
    def groups(self) -> int:
        """Groups of the convolution: 1, or the number of channels of a depthwise one."""
        return self.outputs if self.conv.depthwise else 1

    def run(self, x: Tensor, mean: Tensor | None = None, variance: Tensor | None = None) -> Tensor:
        """Convolve, normalise with the batch's statistics, apply the ReLU.

        Args:
            x: Features, shape (batch, inputs, height, width).
            mean: Tensor that is filled with the batch's mean of each output channel.
            variance: Tensor that is filled with its variance.
        """
        y = functional.conv2d(
            # A one-channel image loses this format, in which depthwise layers are much faster.
            x.contiguous(memory_format=torch.channels_last),
            self.weight,
            stride=self.conv.stride,
            padding=self.kernel // 2,
            groups=self.groups,
        )
        scale, shift = self.conv.scale[: self.outputs], self.conv.shift[: self.outputs]
        y = functional.batch_norm(
            y, mean, variance, scale, shift, training=True, momentum=1.0, eps=EPSILON
        )
        return functional.relu(y) if self.conv.relu else y

    def fold(self, x: Tensor) -> tuple[Conv, Tensor]:
        """Fold the statistics over the images ``x`` into a convolution; also return its output."""
        mean, variance = torch.zeros(self.outputs), torch.ones(self.outputs)
        y = self.run(x, mean, variance)
        # torch stores the unbiased variance but normalises with the biased one.
        count = y.numel() // y.shape[1]
        variance *= (count - 1) / count
        factor = self.conv.scale[: self.outputs] / (variance + EPSILON).sqrt()
        weight = self.weight * factor[:, None, None, None]
        bias = self.conv.shift[: self.outputs] - mean * factor
        return self._convolution(_array(weight), _array(bias)), y

    @property
    def outline(self) -> Conv:
        """The convolution with zeros for weights, which take no memory."""
        inputs = 1 if self.conv.depthwise else self.inputs
        return self._convolution(
            _zeros(self.outputs, inputs, self.kernel, self.kernel), _zeros(self.outputs)
        )

    def _convolution(self, weight: Array, bias: Array) -> Conv:
        return Conv(weight, bias, self.conv.stride, self.groups, self.conv.relu)


@dataclass(frozen=True)
class LayerBlock:
    """The layers of a block; its input is added to their output when ``residual``."""

    name: str
    layers: tuple[Layer, ...]
    residual: bool

    @cached_property
    def outline(self) -> Block:
        """The block with zeros for weights."""
        return Block(self.name, tuple(layer.outline for layer in self.layers), self.residual)


class Supernet(nn.Module):
    """The shared weights of all sub-networks.

    Args:
        config: Size of the supernet.
        generator: Random number generator that draws the first weights; left out, they are zero,
            to be loaded.
    """

    def __init__(self, config: SupernetConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        strides, kernel = config.strides, max(config.kernels)
        inputs = config.channels[0]
        stem = [
            SharedConv(config.image[0], config.stem, 3, stride=strides[0]),
            SharedConv(config.stem, inputs, 3, stride=strides[1]),
        ]
        self.stem = nn.ModuleList(stem)
        self.blocks = nn.ModuleDict()
        for stage, outputs in enumerate(config.channels):
            hidden = config.hidden(stage, max(config.expansions))
            for block in range(config.depths[1]):
                stride = strides[2 + stage] if block == 0 else 1
                layers = [
                    SharedConv(inputs, hidden),
                    SharedConv(hidden, hidden, kernel, stride=stride, depthwise=True),
                    SharedConv(hidden, outputs, relu=False),
                ]
                self.blocks[_name(stage, block)] = nn.ModuleList(layers)
                inputs = outputs
        self.classifier_weight = nn.Parameter(torch.zeros(config.classes, inputs))
        self.classifier_bias = nn.Parameter(torch.zeros(config.classes))
        # A few hundred, in all sub-networks together. A dict, so that a copy gets its own.
        self._slices: dict[tuple[str, tuple[int, ...], int], LayerBlock] = {}
        if generator is not None:
            self._initialise(generator)

    @classmethod
    def load(cls, config: SupernetConfig, arrays: Mapping[str, NDArray[np.float32]]) -> Supernet:
        """Build the supernet with the weights that :meth:`arrays` returned.

        Raises:
            DataError: An array is missing, unknown, or of another shape.
        """
        supernet = cls(config)
        state = supernet.state_dict()
        if differing := sorted(state.keys() ^ arrays.keys()):
            what = "lack" if differing[0] in state else "hold the unknown"
            raise DataError(f"the supernet's weights {what} array '{differing[0]}'; train it again")
        for name, values in state.items():
            if arrays[name].shape != values.shape:
                raise DataError(
                    f"array '{name}' of the supernet's weights has the shape {arrays[name].shape}; "
                    f"it must have {tuple(values.shape)}; train it again"
                )
            values.copy_(torch.from_numpy(arrays[name]))
        return supernet

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights as numpy arrays."""
        return {name: _array(values) for name, values in self.state_dict().items()}

    def slices(self, architecture: Architecture) -> Iterator[LayerBlock]:
        """Yield the blocks of a sub-network, from the stem on."""
        outer = self.config.outer(architecture.width)
        yield self._slice("stem", (self.config.image[0], self.config.stem, outer[0]), 3)
        inputs = outer[0]
        for stage, outputs in enumerate(outer):
            hidden = self.config.hidden(stage, architecture.expansions[stage])
            kernel = architecture.kernels[stage]
            for block in range(architecture.depths[stage]):
                yield self._slice(_name(stage, block), (inputs, hidden, hidden, outputs), kernel)
                inputs = outputs

    def _slice(self, name: str, channels: tuple[int, ...], kernel: int) -> LayerBlock:
        """Take the first channels of a block: those before, between and after its convolutions."""
        key = name, channels, kernel
        if key in self._slices:
            return self._slices[key]
        convs = cast(Iterable[SharedConv], self.stem if name == "stem" else self.blocks[name])
        layers = tuple(
            Layer(conv, inputs, outputs, min(kernel, conv.kernel))
            for conv, (inputs, outputs) in zip(convs, itertools.pairwise(channels), strict=True)
        )
        same = channels[0] == channels[-1] and all(layer.conv.stride == 1 for layer in layers)
        self._slices[key] = LayerBlock(name, layers, residual=same and name != "stem")
        return self._slices[key]

    def forward(self, images: Tensor, architecture: Architecture) -> Tensor:
        """Score images with a sub-network, normalised by the batch's own statistics.

        Args:
            images: Images, shape (batch, *config.image), float32.
            architecture: Architecture of the sub-network.

        Returns:
            Scores of shape (batch, classes).
        """
        x = images
        for block in self.slices(architecture):
            y = x
            for layer in block.layers:
                y = layer.run(y)
            x = x + y if block.residual else y
        weight = self.classifier_weight[:, : x.shape[1]]
        return functional.linear(x.mean(dim=(2, 3)), weight, self.classifier_bias)

    @torch.no_grad()
    def subnet(self, architecture: Architecture, calibration: Tensor) -> SubNet:
        """Take a sub-network out, with normalisation statistics of its own.

        Args:
            architecture: Architecture of the sub-network.
            calibration: Training images, shape (images, *config.image), float32; the first
                :data:`CALIBRATION_IMAGES` are used.
        """
        x = calibration[:CALIBRATION_IMAGES]
        blocks = []
        for block in self.slices(architecture):
            convs, y = [], x
            for layer in block.layers:
                conv, y = layer.fold(y)
                convs.append(conv)
            x = x + y if block.residual else y
            blocks.append(Block(block.name, tuple(convs), block.residual))
        weight = self.classifier_weight[:, : x.shape[1]]
        classifier = Classifier("classifier", _array(weight), _array(self.classifier_bias))
        return SubNet(self.config.image, tuple(blocks), classifier)

    def outline(self, architecture: Architecture) -> SubNet:
        """Describe a sub-network: it has the right sizes, and zeros for weights.

        Its blocks are shared by all outlines, so that it takes a tiny part of the time of
        :meth:`subnet`.
        """
        blocks = tuple(block.outline for block in self.slices(architecture))
        classes, channels = self.config.classes, self.config.outer(architecture.width)[-1]
        classifier = Classifier("classifier", _zeros(classes, channels), _zeros(classes))
        return SubNet(self.config.image, blocks, classifier)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        """Draw the weights as He et al. do, "Delving Deep into Rectifiers" (ICCV 2015)."""
        weights = [m.weight for m in self.modules() if isinstance(m, SharedConv)]
        for weight in (*weights, self.classifier_weight):
            weight.normal_(0, (2 / weight[0].numel()) ** 0.5, generator=generator)


def _name(stage: int, block: int) -> str:
    return f"stage{stage + 1}_block{block + 1}"


def _zeros(*shape: int) -> Array:
    """Zeros that take no memory."""
    return np.broadcast_to(np.float32(0), shape)


def _array(values: Tensor) -> Array:
    return np.ascontiguousarray(values.detach().cpu().numpy(), dtype=np.float32)
