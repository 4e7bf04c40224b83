"""A cut sub-network: what is measured and deployed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from evonas.problems.split_cnn.quantise import CALIBRATION_IMAGES, Quantiser
from evonas.problems.split_cnn.subnet import SubNet


@dataclass(frozen=True, eq=False)
class Split:
    """Head, payload and tail of one design.

    Args:
        subnet: The sub-network.
        cut: Index of the cut: units ``[0, cut)`` are the head, the rest the tail.
        quantiser: Format of the payload. When everything is on the device the "payload" is the
            scores, as they are, and nothing crosses the link.
    """

    subnet: SubNet
    cut: int
    quantiser: Quantiser

    @classmethod
    def at(cls, subnet: SubNet, cut: int, bits: int, images: torch.Tensor | None) -> Split:
        """Cut a sub-network, with payload ranges from calibration images.

        Args:
            subnet: The sub-network.
            cut: Index of the cut, from 0 (everything on the server) to ``subnet.last_cut``.
            bits: Bits of a value of the payload; ignored at the last cut.
            images: Training images, shape (images, channels, height, width), float32; the first
                :data:`~evonas.problems.split_cnn.quantise.CALIBRATION_IMAGES` are used. With
                ``None`` the payload has the right size, but no ranges.
        """
        if cut == subnet.last_cut:
            bits = 32
        if bits >= 16 or images is None:
            return cls(subnet, cut, Quantiser.without_ranges(bits, subnet.shapes[cut]))
        features = subnet.run(images[:CALIBRATION_IMAGES], 0, cut)
        return cls(subnet, cut, Quantiser.calibrate(features, bits))

    @property
    def on_device(self) -> bool:
        """Whether nothing is left for the server."""
        return self.cut == self.subnet.last_cut

    @property
    def payload_bytes(self) -> int:
        """Bytes that cross the link for one image; 0 when everything is on the device."""
        return 0 if self.on_device else self.quantiser.payload_bytes

    def head(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (batch, channels, height, width) to the payload."""
        return self.quantiser.quantise(self.subnet.run(images, 0, self.cut))

    def tail(self, payload: torch.Tensor) -> torch.Tensor:
        """Map the payload to scores of shape (batch, classes)."""
        return self.subnet.run(self.quantiser.dequantise(payload), self.cut)
