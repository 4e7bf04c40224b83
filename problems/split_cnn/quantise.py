"""The payload: how features cross the cut in 32, 16, 8 or 4 bits.

Eight and four bits are affine, as in Jacob et al., "Quantization and Training of Neural Networks
for Efficient Integer-Arithmetic-Only Inference" (CVPR 2018), equation 1, which is also what ONNX's
QuantizeLinear and DequantizeLinear compute::

    level = clip(round_half_even(x / step) + zero, 0, 2^bits - 1)
    x'    = (level - zero) * step

Step and zero are static: each channel has its own, from the extremes of its features over
calibration images. They are constants of head and tail, and cost no payload bytes. On digits with 4
bits, ranges of channels changed the scores 0.6 times as much as one range for all channels, and
ranges that clip outliers were worse or no better.

Sixteen bits are IEEE half precision, 32 bits the features as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

CALIBRATION_IMAGES = 128
"""Largest number of calibration images that are used; 256 gained nothing on digits."""

SMALLEST_RANGE = 1 / 64
"""Smallest range of a channel, as a share of the largest range of all channels. Otherwise an almost
constant channel would have steps as small as rounding noise."""


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Turns features into the payload and back.

    Args:
        bits: Bits of a value: 32, 16, 8 or 4.
        shape: Shape of the features of one image (channels, height, width).
        step: Distance of two levels in each channel, shape (channels,), float32; ignored with 32
            and 16 bits.
        zero: Level of the value 0 in each channel, shape (channels,), uint8; ignored likewise.
    """

    bits: int
    shape: tuple[int, ...]
    step: torch.Tensor
    zero: torch.Tensor

    @classmethod
    def without_ranges(cls, bits: int, shape: tuple[int, ...]) -> Quantiser:
        """Make a quantiser with 32 or 16 bits, or one with fewer that gives sizes only."""
        return cls(bits, shape, torch.ones(1), torch.zeros(1, dtype=torch.uint8))

    @classmethod
    def calibrate(cls, features: torch.Tensor, bits: int) -> Quantiser:
        """Take each channel's range from the features of calibration images.

        Args:
            features: Features of calibration images, shape (images, channels, height, width),
                float32.
            bits: Bits of a value: 8 or 4.
        """
        top = 2**bits - 1
        # Zero lies in every range, so that it has a level of its own.
        low = features.amin(dim=(0, 2, 3)).clamp(max=0)
        span = features.amax(dim=(0, 2, 3)).clamp(min=0) - low
        smallest = float(span.max()) * SMALLEST_RANGE
        step = span.clamp(min=smallest if smallest > 0 else 1.0) / top
        zero = torch.round(-low / step).clamp(0, top).to(torch.uint8)
        return cls(bits, tuple(features.shape[1:]), step, zero)

    @property
    def elements(self) -> int:
        """Number of features of one image."""
        return math.prod(self.shape)

    @property
    def payload_bytes(self) -> int:
        """Bytes that cross the cut for one image."""
        return math.ceil(self.elements * self.bits / 8)

    @property
    def payload_shape(self) -> tuple[int, ...]:
        """Shape of the payload of one image; four bits are packed in a row of bytes."""
        return (self.payload_bytes,) if self.bits == 4 else self.shape

    @property
    def dtype(self) -> str:
        """Name of the payload's element type in numpy."""
        return {32: "float32", 16: "float16", 8: "uint8", 4: "uint8"}[self.bits]

    def levels(self, x: torch.Tensor) -> torch.Tensor:
        """Round features of shape (batch, *shape) to what the payload can hold, unpacked."""
        if self.bits == 32:
            return x
        if self.bits == 16:
            return x.half()
        level = torch.round(x / _column(self.step)) + _column(self.zero)
        return level.clamp(0, 2**self.bits - 1).to(torch.uint8)

    def quantise(self, x: torch.Tensor) -> torch.Tensor:
        """Turn features of shape (batch, *shape) into the payload (batch, *payload_shape)."""
        level = self.levels(x)
        return self._pack(level) if self.bits == 4 else level.contiguous()

    def unpack(self, payload: torch.Tensor) -> torch.Tensor:
        """Read levels of shape (batch, *shape) from the payload (batch, *payload_shape)."""
        if self.bits != 4:
            return payload
        halves = torch.cat([payload >> 4, payload & 15], dim=1)
        return halves[:, : self.elements].reshape(-1, *self.shape)

    def dequantise(self, payload: torch.Tensor) -> torch.Tensor:
        """Turn the payload (batch, *payload_shape) back into features (batch, *shape)."""
        level = self.unpack(payload).float()
        return (level - _column(self.zero)) * _column(self.step) if self.bits < 16 else level

    def describe(self) -> dict[str, Any]:
        """Describe the arithmetic as JSON."""
        described = {"bits": self.bits, "features_shape": list(self.shape)}
        if self.bits >= 16:
            return {**described, "arithmetic": f"IEEE float{self.bits}"}
        packing = (
            "; features in row-major order, the first half in the high nibbles of the bytes, the "
            "second half in the low ones"
        )
        return {
            **described,
            "arithmetic": f"level = clip(round_half_even(x / step) + zero, 0, {2**self.bits - 1}), "
            "x' = (level - zero) * step, step and zero of each channel"
            + (packing if self.bits == 4 else ""),
            "step": self.step.tolist(),
            "zero": self.zero.tolist(),
        }

    def _pack(self, level: torch.Tensor) -> torch.Tensor:
        flat = level.flatten(1)
        if self.elements % 2:
            flat = torch.nn.functional.pad(flat, (0, 1))
        first, second = flat.chunk(2, dim=1)
        return first << 4 | second


def _column(values: torch.Tensor) -> torch.Tensor:
    """Shape one value a channel for features (batch, channels, height, width)."""
    return values.reshape(-1, 1, 1)
