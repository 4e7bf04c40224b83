"""The interface of the models that predict a fitted device, and how they are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from evonas import plugins
from evonas.problem import Problem
from evonas.space import FloatArray, Genome

Views = Mapping[str, FloatArray]
"""Name of a feature view -> features of the designs, shape (designs, columns)."""


class Intervals(Protocol):
    """Predicted costs with 90% intervals, in the unit of the probes, shape (designs,) each."""

    @property
    def mean(self) -> FloatArray:
        """The predictions."""

    @property
    def lower(self) -> FloatArray:
        """Lower ends of the intervals."""

    @property
    def upper(self) -> FloatArray:
        """Upper ends of the intervals."""


class Trust(Protocol):
    """How well a predictor can be expected to do."""

    @property
    def error(self) -> float:
        """Mean absolute relative error to be expected of a prediction."""

    @property
    def spearman(self) -> float:
        """Rank correlation between predictions of left-out probes and measurements."""

    @property
    def good(self) -> bool:
        """Whether the predictions are to be relied on."""


class Predictor(Protocol):
    """Predicts one cost (latency in ms, energy in mJ) of designs on one device."""

    @property
    def method(self) -> str:
        """How it uses the proxies: ``reuse``, ``calibrate`` or ``adapt``."""

    @property
    def trust(self) -> Trust:
        """How well it can be expected to do."""

    def predict(self, features: Views | None = None, /) -> Intervals:
        """Predict the costs of designs.

        Args:
            features: Feature views of the designs; left out, they are those of the transfer.

        Raises:
            DataError: Views are missing, have another shape, or hold a value that is not finite.
        """

    def save(self) -> tuple[dict[str, Any], dict[str, FloatArray]]:
        """Return what :meth:`TransferModels.load_predictor` reads: JSON, and named arrays."""


class Transfer(Protocol):
    """What carries over from proxy devices to a new one, over a fixed list of designs."""

    def choose_probes(self, k: int, measured: Sequence[int] = ()) -> list[int]:
        """Choose designs to measure on the new device, the most informative first.

        Args:
            k: Number of designs to choose, at least 1.
            measured: Indices of designs that were measured already.

        Returns:
            Indices of at most k designs.
        """

    def fit(
        self,
        probes: FloatArray | Sequence[int],
        costs: FloatArray,
        spread: FloatArray | None = None,
    ) -> Predictor:
        """Fit the new device's predictor.

        Args:
            probes: Indices of the measured designs, shape (k,).
            costs: Measured costs, positive, shape (k,).
            spread: Relative standard error of each measurement, shape (k,).

        Raises:
            DataError: There are too few probes, or an array is not as described.
        """


class TransferModels(Protocol):
    """What an entry point of the group ``evonas.transfer`` names: a module with these functions."""

    def problem_views(self, problem: Problem, genomes: Sequence[Genome]) -> Views:
        """Describe genomes of a problem; the views have one row a genome."""

    def make_transfer(
        self,
        views: Views,
        proxy_costs: FloatArray | None = None,
        families: Sequence[str] | None = None,
        /,
        *,
        seed: int = 0,
    ) -> Transfer:
        """Learn from proxy devices.

        Args:
            views: Feature views of the designs.
            proxy_costs: Costs on the proxies, positive, shape (designs, devices).
            families: A name for each proxy; proxies of one name are variants of one device.
            seed: Seed of the random number generator.

        Raises:
            DataError: An array is not as described.
        """

    def load_predictor(self, header: Mapping[str, Any], arrays: Mapping[str, Any]) -> Predictor:
        """Read what :meth:`Predictor.save` returned.

        Raises:
            DataError: Another version wrote it, or something is missing.
        """


def transfer_models() -> TransferModels:
    """Load the models that predict fitted devices.

    Raises:
        PluginError: They are not installed, or do not load.
    """
    return cast(TransferModels, plugins.load("evonas.transfer", "default"))
