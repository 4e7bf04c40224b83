"""The profile of a fitted device: what was measured there, and what predicts everything else."""

from __future__ import annotations

import math
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from evonas.devices.transfer import Predictor, Views, transfer_models
from evonas.errors import DataError
from evonas.space import FloatArray, Genome, Value, genome_key

FORMAT: Final = 2
"""Version of the files' format."""

NORMAL_QUANTILE = 1.645
"""Half the width of a 90% interval in standard errors."""


def energy_of(model: str) -> str:
    """Name the cost of a profile that is the energy of a model, beside the model's time."""
    return f"{model} energy"


def interval_names(metric: str) -> tuple[str, str, str]:
    """Name a predicted metric and the two ends of its 90% interval."""
    return metric, f"{metric}_lower", f"{metric}_upper"


class Probe(BaseModel):
    """A model that was measured on the device, and what would have been predicted for it.

    Args:
        label: Name of the design in tables.
        genome: The design, in canonical form.
        kit: Index of the kit that it was measured with, among the kits of the profile.
        measured: Time in ms, or energy in mJ.
        uncertainty: Relative standard error of the measurement.
        predicted: Prediction from the other probes, or for a later kit from the kits before it.
        lower: Lower end of the prediction's 90% interval.
        upper: Upper end of the prediction's 90% interval.
    """

    label: str
    genome: dict[str, Value]
    kit: int
    measured: float
    uncertainty: float
    predicted: float
    lower: float
    upper: float


class FittedCost(BaseModel):
    """The time of one kind of model on the device, or its energy.

    Args:
        metric: The problem's metric that is the model's time.
        unit: ``"ms"`` for a time, ``"mJ"`` for an energy.
        method: How the predictor uses the proxies: ``reuse``, ``calibrate`` or ``adapt``.
        error: Mean absolute relative error to be expected of a prediction.
        spearman: Rank correlation between predictions of left-out probes and measurements.
        trusted: Whether the predictions are to be relied on.
        probes: What was measured.
        predictor: What :meth:`evonas.devices.transfer.Predictor.save` gave, arrays left out.
    """

    metric: str
    unit: Literal["ms", "mJ"]
    method: str
    error: float
    spearman: float
    trusted: bool
    probes: list[Probe]
    predictor: dict[str, Any]


class Profile(BaseModel):
    """A fitted device, for one problem with its options.

    Args:
        format: Version of the files' format.
        name: Name of the device.
        kits: Identifiers of the kits that were measured on it, the first kit first.
        problem: The problem, as it was named on the command line.
        options: Options of the problem.
        space: The problem's space, as :meth:`evonas.Space.describe` gives it.
        reference: Kind and design of the model that all others were measured against.
        host: What ``measure.py`` found out about the device.
        threads: Threads that a model ran on.
        proxies: Names of the devices that the predictors know.
        kinds: Cost -> its fit. The time of a model has the model's name (``"head"``), its energy
            that of :func:`energy_of` (``"head energy"``).
        next: Designs that are worth measuring next; ``None`` in profiles of earlier versions.
        arrays: What is in the ``npz`` file, named ``COST/ARRAY``.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    format: Literal[2] = FORMAT
    name: str
    kits: list[str]
    problem: str
    options: dict[str, Any]
    space: list[dict[str, Any]]
    reference: tuple[str, dict[str, Value]]
    host: dict[str, Any]
    threads: int
    proxies: list[str]
    kinds: dict[str, FittedCost]
    next: list[dict[str, Value]] | None = None
    arrays: dict[str, FloatArray] = Field(exclude=True, repr=False)

    @property
    def trusted(self) -> bool:
        """Whether the predictions of all costs are to be relied on."""
        return all(cost.trusted for cost in self.kinds.values())

    @property
    def probe_count(self) -> int:
        """Number of designs that were measured on the device, each counted once."""
        costs = self.kinds.values()
        return len({genome_key(probe.genome) for cost in costs for probe in cost.probes})

    def __str__(self) -> str:
        error = max(cost.error for cost in self.kinds.values())
        doubt = "" if self.trusted else ", NOT to be trusted"
        metered = any(cost.unit == "mJ" for cost in self.kinds.values())
        return (
            f"{self.name} (predicted from {self.probe_count} probes, error {error:.1%}{doubt}): "
            f"threads: {self.threads}{', energy metered' if metered else ''}"
        )

    def predictor(self, kind: str) -> Predictor:
        """Load the predictor of a cost.

        Raises:
            DataError: An earlier version of EvoNAS wrote it.
        """
        prefix = f"{kind}/"
        arrays = {
            name.removeprefix(prefix): array
            for name, array in self.arrays.items()
            if name.startswith(prefix)
        }
        try:
            return transfer_models().load_predictor(self.kinds[kind].predictor, arrays)
        except DataError as error:
            raise DataError(
                f"device '{self.name}' cannot be predicted: {error}; fit it again from its "
                "kit-result.json, with 'evonas device fit'"
            ) from None


class CostPredictor:
    """Predicts one cost on a fitted device, with 90% intervals.

    Args:
        profile: Profile of the device.
        kind: One of the profile's costs, in ms or mJ.

    Raises:
        DataError: An earlier version of EvoNAS wrote the predictor.
    """

    def __init__(self, profile: Profile, kind: str) -> None:
        self._profile, self._kind = profile, kind
        self._predictor = profile.predictor(kind)
        self._measured = {}
        for probe in profile.kinds[kind].probes:
            factor = math.exp(NORMAL_QUANTILE * probe.uncertainty)
            ends = probe.measured / factor, probe.measured * factor
            self._measured[genome_key(probe.genome)] = (probe.measured, *ends)

    def predict(self, genome: Genome, views: Views) -> tuple[float, float, float]:
        """Predict a design's cost, unless it was measured with a narrower interval.

        Args:
            genome: The design, in canonical form.
            views: Feature views of the design, shape (1, columns) each.

        Returns:
            The cost, and the lower and upper end of its interval.
        """
        found = self._predictor.predict(views)
        predicted = float(found.mean[0]), float(found.lower[0]), float(found.upper[0])
        measured = self._measured.get(genome_key(genome), predicted)
        surer = measured[2] - measured[1] < predicted[2] - predicted[1]
        return measured if surer else predicted

    def __reduce__(self) -> tuple[type[CostPredictor], tuple[Profile, str]]:
        """Pickle the profile alone; the predictor is loaded from it again."""
        return CostPredictor, (self._profile, self._kind)
