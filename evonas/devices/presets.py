"""Devices and servers: presets of how fast they compute, and how much power they draw.

A device with a factor is *simulated*: its times are those of this machine times the factor, and
say nothing about memory, caches or missing instructions of the device it stands for. The factors
of the presets are orders of magnitude, from the float32 multiply-accumulates a second that the
processor can do at best. A device that was fitted by ``evonas device fit`` is predicted instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from evonas.devices import store
from evonas.devices.parsing import parse_numbers
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

    Raises:
        ConfigError: The factor is not above 0.
    """

    name: str
    description: str
    factor: float
    compute_watts: float
    idle_watts: float

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


HERE = DEVICES["this-machine"]


def parse_device(device: str | Device) -> Device:
    """Find a preset by name, or read ``"factor=20,compute_watts=3"``.

    Powers that are left out are those of this machine.

    >>> parse_device("factor=20").factor
    20.0

    Args:
        device: The text; a device is returned as it is.

    Raises:
        ConfigError: The text is neither the name of a preset nor such numbers.
    """
    if isinstance(device, Device):
        return device
    if "=" in device:
        powers = {"compute_watts": HERE.compute_watts, "idle_watts": HERE.idle_watts}
        return Device(device, "as given", **parse_numbers("device", device, ["factor"], powers))
    if device in DEVICES:
        return DEVICES[device]
    folder = store.devices_folder()
    fitted = store.device_names(folder)
    if device in fitted:
        raise ConfigError(
            f"'{device}' is a fitted device; only load_problem of evonas.references makes a "
            "problem that predicts its times"
        )
    missing = f"there is no device '{device}', neither a preset nor fitted in '{folder.resolve()}'"
    if device in store.device_names(store.EARLIER_FOLDER):
        raise ConfigError(f"{missing}; {store.how_to_move(device, folder)}")
    raise ConfigError(
        f"{missing} (set {store.DEVICES_VARIABLE} to look elsewhere)"
        + did_you_mean(device, [*fitted, *DEVICES])
    )


def fitted_device(name: str) -> Device:
    """Make the device that stands for a fitted one in a problem, with this machine's powers."""
    return replace(HERE, name=name, description="times predicted, powers assumed")
