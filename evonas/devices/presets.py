"""Devices and servers: presets of how fast they compute, and how much power they draw.

A device with a factor is *simulated*: its times are those of this machine times the factor, and
say nothing about memory, caches or missing instructions of the device it stands for. The factors
of the presets are orders of magnitude, from the float32 multiply-accumulates a second that the
processor can do at best. A device that was fitted by ``evonas device fit`` is predicted instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from evonas.devices import store
from evonas.devices.parsing import parse_numbers
from evonas.devices.profile import Profile
from evonas.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Device:
    """A device, or a server.

    Args:
        name: Name in tables.
        description: What the device stands for, and the source of its numbers.
        factor: Time of a computation on the device, over that on one thread of this machine.
        compute_watts: Power while it computes, in W.
        idle_watts: Power while it waits or sends, in W, without the radio.
        profile: Profile of a fitted device, by which its times are predicted.

    Raises:
        ConfigError: The factor is not above 0.
    """

    name: str
    description: str
    factor: float
    compute_watts: float
    idle_watts: float
    profile: Profile | None = None

    def __post_init__(self) -> None:
        if not self.factor > 0:
            raise ConfigError(
                f"factor of the device '{self.name}' is {self.factor:g}; it must be above 0"
            )

    @property
    def simulated(self) -> bool:
        """Whether its times are this machine's times a factor."""
        return self.factor != 1

    def __str__(self) -> str:
        if self.profile is not None:
            return f"{self.profile}; {self.description}"
        if not self.simulated:
            return f"{self.name}: {self.description}"
        return f"{self.name} (simulated, this machine's time x {self.factor:g}): {self.description}"


DEVICES = {
    device.name: device
    for device in (
        Device(
            "microcontroller",
            "a Cortex-M7 of 480 MHz with a float32 unit, as in the STM32H7, which has 1 MB of "
            "memory; powers assumed",
            factor=100,
            compute_watts=0.3,
            idle_watts=0.05,
        ),
        Device(
            "raspberry-pi",
            "a Raspberry Pi 4, one Cortex-A72 core of 1.5 GHz; 4.7 W under normal load and 2.3 W "
            "idle as measured on chipwired.com",
            factor=10,
            compute_watts=4.7,
            idle_watts=2.3,
        ),
        Device(
            "phone",
            "a big core of a mid-range phone; powers assumed",
            factor=2,
            compute_watts=2.5,
            idle_watts=0.5,
        ),
        Device(
            "this-machine",
            "one thread of the machine that measures; powers assumed",
            factor=1,
            compute_watts=15,
            idle_watts=5,
        ),
        Device(
            "server",
            "an edge server ten times as fast as one thread of this machine; powers not used",
            factor=0.1,
            compute_watts=0,
            idle_watts=0,
        ),
    )
}


def parse_device(text: str) -> Device:
    """Find a preset or a fitted device by name, or read ``"factor=20,compute_watts=3"``.

    Powers that are left out are those of this machine, and so are those of a fitted device. Fitted
    devices are looked up in :func:`evonas.devices.store.devices_folder`.

    >>> parse_device("factor=20").factor
    20.0

    Raises:
        ConfigError: The text is neither the name of a device nor such numbers.
        DataError: The fitted device's profile cannot be read.
    """
    here = DEVICES["this-machine"]
    if "=" in text:
        powers = {"compute_watts": here.compute_watts, "idle_watts": here.idle_watts}
        given = parse_numbers("device", text, ["factor"], powers)
        return Device(
            text, "as given", given["factor"], given["compute_watts"], given["idle_watts"]
        )
    folder = store.devices_folder()
    fitted = store.device_names(folder)
    if text in DEVICES and text in fitted:
        raise ConfigError(
            f"'{text}' is a preset and, in '{folder}', a fitted device; fit it by another name"
        )
    if text in DEVICES:
        return DEVICES[text]
    if text in fitted:
        profile = store.load(text, folder)
        return Device(text, "powers assumed", 1, here.compute_watts, here.idle_watts, profile)
    missing = f"there is no device '{text}', neither a preset nor fitted in '{folder.resolve()}'"
    if text in store.device_names(store.EARLIER_FOLDER):
        raise ConfigError(f"{missing}; {store.how_to_move(text, folder)}")
    raise ConfigError(
        f"{missing} (set {store.DEVICES_VARIABLE} to look elsewhere)"
        + did_you_mean(text, [*fitted, *DEVICES])
    )
