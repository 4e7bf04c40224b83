"""The payload: how features cross the cut in 32, 16, 8 or 4 bits.

Eight and four bits are affine, as in Jacob et al., "Quantization and Training of Neural Networks
for Efficient Integer-Arithmetic-Only Inference" (CVPR 2018), equation 1, with one range a channel
taken from calibration images once and for all (static)::

    level = clip(round_half_even(x * gain + offset), 0, 2^bits - 1)
    x'    = level * step + low,            gain = 1 / step,  offset = -low / step

The ranges are constants of head and tail, so a range a channel costs no payload bytes. Sixteen
bits are IEEE half precision, 32 bits the features as they are. ``deploy.py`` writes the same
arithmetic as ONNX nodes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

BITS = (32, 16, 8, 4)

# A channel's range is at least this share of the widest channel's. A channel that is all but
# constant would otherwise get steps as small as float rounding noise.
SMALLEST_RANGE = 1 / 64


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Turns features into the payload and back.

    Args:
        bits: 32, 16, 8 or 4.
        shape: (channels, height, width) of the features of one image.
        low: Value of level 0 in each channel, shape (channels, 1, 1), float32. Not used, nor is
            ``step``, with 32 and 16 bits.
        step: Distance of two levels in each channel, shape (channels, 1, 1), float32.
    """

    bits: int
    shape: tuple[int, ...]
    low: torch.Tensor
    step: torch.Tensor

    @classmethod
    def floating(cls, bits: int, shape: tuple[int, ...]) -> Quantiser:
        """Make a quantiser of 32 or 16 bits, which needs no ranges."""
        return cls(bits, shape, torch.zeros(1), torch.ones(1))

    @classmethod
    def calibrate(cls, features: torch.Tensor, bits: int) -> Quantiser:
        """Take each channel's range from the features of calibration images.

        Args:
            features: Shape (images, channels, height, width), float32.
            bits: 8 or 4.
        """
        low, high = features.amin(dim=(0, 2, 3)), features.amax(dim=(0, 2, 3))
        span = high - low
        smallest = float(span.max()) * SMALLEST_RANGE
        span = span.clamp(min=smallest if smallest > 0 else 1.0)
        step = span / (2**bits - 1)
        shape = tuple(features.shape[1:])
        return cls(bits, shape, low.reshape(-1, 1, 1), step.reshape(-1, 1, 1))

    @property
    def gain(self) -> torch.Tensor:
        """Levels per unit, shape (channels, 1, 1)."""
        return 1 / self.step

    @property
    def offset(self) -> torch.Tensor:
        """Level of the value zero, not rounded, shape (channels, 1, 1)."""
        return -self.low / self.step

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
        level = torch.round(x * self.gain + self.offset).clamp(0, 2**self.bits - 1)
        return level.to(torch.uint8)

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
        return level * self.step + self.low if self.bits < 16 else level

    def describe(self) -> dict[str, Any]:
        """Describe the arithmetic as JSON."""
        kind = {
            32: "float32, as the head computes it",
            16: "IEEE half precision",
            8: "level = clip(round_half_even(x / step - low / step), 0, 255), "
            "x' = level * step + low, one low and step a channel",
            4: "level = clip(round_half_even(x / step - low / step), 0, 15), "
            "x' = level * step + low, one low and step a channel; the features in row-major "
            "order, the first half in the high nibbles, the second in the low ones",
        }[self.bits]
        ranges: dict[str, Any] = {}
        if self.bits < 16:
            ranges = {"low": self.low.flatten().tolist(), "step": self.step.flatten().tolist()}
        return {"bits": self.bits, "arithmetic": kind, "shape": list(self.shape), **ranges}

    def _pack(self, level: torch.Tensor) -> torch.Tensor:
        flat = level.flatten(1)
        if self.elements % 2:
            flat = torch.nn.functional.pad(flat, (0, 1))
        first, second = flat.chunk(2, dim=1)
        return first << 4 | second
