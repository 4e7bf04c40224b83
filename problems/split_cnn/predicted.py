"""Times of head and tail on devices that ``evonas device fit`` made known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from evonas.devices.presets import Device
from evonas.devices.profile import CostPredictor, energy_of, interval_metrics, interval_names
from evonas.problem import Metric
from evonas.space import FloatArray, Genome, Space

TIMED = MappingProxyType({"head": "head_ms", "tail": "tail_ms"})
"""Model -> the metric that is its time."""


class PredictedTimes:
    """Predicts the times of models that run on fitted devices, with 90% intervals.

    A design that was measured there has the measured time, if its interval is the narrower one.

    Args:
        devices: What runs the head, and what the tail; any may be one that is not fitted.
        space: Of the problem.
        images: The options that say what goes into the network.

    Raises:
        ConfigError: A device was fitted for another space, or for other images.
    """

    def __init__(
        self, devices: Mapping[str, Device], space: Space, images: Mapping[str, object]
    ) -> None:
        self.profiles = {m: device.profile for m, device in devices.items() if device.profile}
        described = json.loads(json.dumps(space.describe()))
        for model, profile in self.profiles.items():
            options = {"data": "digits", "image_size": None, **profile.options}
            if (
                profile.space != described
                or model not in profile.kinds
                or any(options[name] != value for name, value in images.items())
            ):
                raise profile.wrong_problem("networks")
        self._costs = {model: CostPredictor(p, model) for model, p in self.profiles.items()}
        if self.metered:
            self._costs[energy_of("head")] = CostPredictor(self.profiles["head"], energy_of("head"))

    @property
    def metrics(self) -> list[Metric]:
        """The ends of the intervals."""
        found = [(TIMED[model], "ms") for model in self.profiles]
        if self.metered:
            found.append(("head_energy_mj", "mJ"))
        return [end for name, unit in found for end in interval_metrics(name, unit)]

    @property
    def metered(self) -> bool:
        """Whether the energy that heads take is known."""
        profile = self.profiles.get("head")
        return profile is not None and energy_of("head") in profile.kinds

    def energy(self, genome: Genome, views: Mapping[str, FloatArray]) -> dict[str, float]:
        """Predict the energy of the head in mJ, and the ends of its interval.

        Args:
            genome: In canonical form.
            views: Of the design, shape (1, columns) each.
        """
        energies = self._costs[energy_of("head")].predict(genome, views)
        return dict(zip(interval_names("head_energy_mj"), energies, strict=True))

    def times(
        self, genome: Genome, views: Mapping[str, FloatArray], on_device: bool
    ) -> dict[str, float]:
        """Predict a design's times in ms, and the ends of their intervals.

        Args:
            genome: In canonical form.
            views: Of the design, shape (1, columns) each.
            on_device: Whether there is nothing for the tail to do.
        """
        found: dict[str, float] = {}
        for model in self.profiles:
            nothing = model == "tail" and on_device
            times = (0.0,) * 3 if nothing else self._costs[model].predict(genome, views)
            found |= zip(interval_names(TIMED[model]), times, strict=True)
        return found
