"""Links between the device and the server: presets, and how long a payload takes.

A payload takes ``round trip + payload / uplink``. The round trip is paid once, for the payload's
way up and the answer's way down; the answer is small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evonas.devices.parsing import parse_numbers
from evonas.errors import ConfigError, did_you_mean
from evonas.space import FloatArray


@dataclass(frozen=True)
class Link:
    """A link between the device and the server.

    Args:
        name: Name in tables.
        source: Source of the numbers.
        uplink_mbps: Rate from the device to the server, in Mbit/s.
        round_trip_ms: Round trip of a small message, in ms.
        transmit_watts: Power of the device's radio while it sends, in W, on top of the idle power.

    Raises:
        ConfigError: The rate is not above 0.
    """

    name: str
    source: str
    uplink_mbps: float
    round_trip_ms: float
    transmit_watts: float

    def __post_init__(self) -> None:
        if not self.uplink_mbps > 0:
            raise ConfigError(
                f"uplink_mbps of the link '{self.name}' is {self.uplink_mbps:g}; it must be above 0"
            )

    def send_ms(self, payload_bytes: FloatArray) -> FloatArray:
        """Time in ms to send payloads in bytes, the round trip left out; shape (n,) both."""
        return payload_bytes * 8 / (self.uplink_mbps * 1e3)

    def total_ms(self, payload_bytes: FloatArray) -> FloatArray:
        """Time in ms from the start of sending until the answer is back, without the server's work.

        Args:
            payload_bytes: Payloads in bytes, shape (n,).

        Returns:
            Times in ms, shape (n,); 0 without a payload, since nothing crosses the link then.

        >>> LINKS["5g"].total_ms(np.array([0.0, 6250.0])).tolist()
        [0.0, 9.0]
        """
        total: FloatArray = np.where(
            payload_bytes > 0, self.round_trip_ms + self.send_ms(payload_bytes), 0.0
        )
        return total

    def __str__(self) -> str:
        return (
            f"{self.name} ({self.uplink_mbps:g} Mbit/s up, {self.round_trip_ms:g} ms round trip): "
            f"{self.source}"
        )


LINKS = {
    link.name: link
    for link in (
        Link(
            "5g",
            "least rate and user-plane latency (4 ms each way) of enhanced mobile broadband, "
            "Report ITU-R M.2410-0 (2017); radio power 2.5 times LTE's base, after Xu et al., "
            "'Understanding Operational 5G' (SIGCOMM 2020)",
            uplink_mbps=50,
            round_trip_ms=8,
            transmit_watts=3.2,
        ),
        Link(
            "lte",
            "median uplink and power model of Huang et al., 'A Close Examination of Performance "
            "and Power Characteristics of 4G LTE Networks' (MobiSys 2012); round trip within the "
            "30 to 100 ms of Grigorik, 'High Performance Browser Networking' (2013), chapter 7",
            uplink_mbps=6,
            round_trip_ms=70,
            transmit_watts=3.9,
        ),
        Link(
            "wifi",
            "uplink of Eshratifar et al., 'JointDNN' (IEEE Transactions on Mobile Computing "
            "2019); median of the wireless hop of Sui et al., 'Characterizing and Improving WiFi "
            "Latency in Large-Scale Operational Networks' (MobiSys 2016), server next to the "
            "access point; power model of Huang et al. (MobiSys 2012)",
            uplink_mbps=18.88,
            round_trip_ms=3,
            transmit_watts=5.5,
        ),
        Link(
            "lte-m",
            "half-duplex peak rate of category M1, 3GPP release 13; latency of a message at the "
            "edge of normal coverage, 'Evaluation of LTE-M towards 5G IoT Requirements' (2018); "
            "radio power assumed: 23 dBm at an efficiency of a quarter",
            uplink_mbps=0.375,
            round_trip_ms=100,
            transmit_watts=0.8,
        ),
        Link(
            "802.15.4",
            "64.9% of 250 kbit/s, Latré et al., 'Throughput and Delay Analysis of Unslotted IEEE "
            "802.15.4' (Journal of Networks 2006); round trip assumed: two short frames; radio "
            "power assumed: 10 mA at 3 V while it sends",
            uplink_mbps=0.162,
            round_trip_ms=6,
            transmit_watts=0.030,
        ),
    )
}


def parse_link(text: str) -> Link:
    """Find a preset by name, or read ``"uplink_mbps=10,round_trip_ms=30,transmit_watts=1"``.

    The radio's power may be left out; it is 1 W then.

    >>> parse_link("uplink_mbps=10,round_trip_ms=30").total_ms(np.array([1250.0])).tolist()
    [31.0]

    Raises:
        ConfigError: The text is neither the name of a preset nor such numbers.
    """
    if "=" in text:
        required = ["uplink_mbps", "round_trip_ms"]
        optional = {"transmit_watts": 1.0}
        return Link(text, "as given", **parse_numbers("link", text, required, optional))
    if text not in LINKS:
        raise ConfigError(f"there is no link '{text}'{did_you_mean(text, LINKS)}")
    return LINKS[text]
