"""The predictor of a new device: costs with intervals, and whether to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas.devices.profile import NORMAL_QUANTILE
from evonas.errors import DataError
from evonas.space import FloatArray
from evonas.surrogates.threads import one_thread
from evonas.surrogates.transfer.assessment import Assessment, Method, Trust
from evonas.surrogates.transfer.checks import check_known, check_views
from evonas.surrogates.transfer.mixture import Mixture
from evonas.surrogates.transfer.monotonicity import Monotonicity
from evonas.surrogates.transfer.priors import At
from evonas.surrogates.transfer.proxy import ProxyModel
from evonas.surrogates.transfer.views import Views

if TYPE_CHECKING:
    from evonas.surrogates.transfer.transfer import Transfer

FORMAT = 2
"""Version of what :meth:`Predictor.save` gives."""

MORE = 10
"""Probes that are asked for when the predictor is not to be trusted."""


@dataclass(frozen=True)
class Intervals:
    """Predictions with 90% intervals, in the unit of the probes, shape (designs,) each."""

    mean: FloatArray
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True)
class Probes:
    """What was measured on the new device.

    Args:
        views: Of the probes.
        known: What they cost the known devices, shape (k, devices).
        costs: What they cost the new one, shape (k,).
        spread: Relative deviation of every measurement, shape (k,), if known.
        indices: Among the designs of the transfer, if they are.
    """

    views: Views
    known: FloatArray
    costs: FloatArray
    spread: FloatArray | None
    indices: list[int]


class Predictor:
    """Predicts the costs of designs on a new device; made by ``Transfer.fit``."""

    def __init__(
        self, transfer: Transfer, probes: Probes, mixture: Mixture, assessment: Assessment
    ) -> None:
        self._transfer, self._probes = transfer, probes
        self._mixture, self._assessment = mixture, assessment

    @property
    def method(self) -> Method:
        """``reuse`` a proxy as it is, ``calibrate`` it monotonically, or ``adapt``."""
        return self._assessment.method

    @property
    def monotonicity(self) -> Monotonicity | None:
        """The test of the best proxy; ``None`` when no device is known."""
        return self._assessment.monotonicity

    @property
    def proxy(self) -> int:
        """Index of the best proxy among the known devices; -1 when there is none."""
        return self._assessment.proxy

    @property
    def trust(self) -> Trust:
        """How well probes are predicted by the others."""
        return self._assessment.trust

    def next_probes(self, k: int = MORE) -> list[int]:
        """Designs to measure next, the most telling first (indices into the transfer's)."""
        return self._transfer.choose_probes(k, self._probes.indices)

    @one_thread
    def predict(
        self, features: FloatArray | Views | None = None, known: FloatArray | None = None
    ) -> Intervals:
        """Predict costs with 90% intervals.

        Args:
            features: Of any designs, as those of the transfer; left out, the transfer's own.
            known: What they cost the known devices, positive, shape (designs, devices); left out,
                the devices' own predictors say.

        Raises:
            DataError: Shapes or views do not fit those of the transfer, a feature is not finite,
                a known cost is not positive, or known costs come without features.
        """
        transfer = self._transfer
        if features is None:
            if known is not None:
                raise DataError("known costs are given without the features of their designs")
            return self._predict(transfer.at, transfer.known, 0.0)
        views = check_views(features, transfer.views)
        smooth = transfer.known_costs(views)
        if known is None:
            guessed = transfer.model_error
            return self._predict(transfer.priors.at(views, smooth, smooth), smooth, guessed)
        known = check_known(known, *smooth.shape)
        return self._predict(transfer.priors.at(views, known, smooth), known, 0.0)

    def _predict(self, at: At, known: FloatArray, guessed: float) -> Intervals:
        """Predict from the parts of designs; ``guessed`` is what known costs are off by."""
        if self.method == "adapt":
            found = self._mixture.predict(at)
            mean = found.mean
            width = self._transfer.half_width(self._mixture, np.hypot(found.deviation, guessed))
        else:
            curve = self._assessment.calibration
            proxy = known[:, self.proxy]
            mean = proxy if curve is None else curve(proxy)
            k = len(self._probes.costs)
            wider = NORMAL_QUANTILE * np.sqrt((k + 1) / max(1, k - 1))
            deviation = float(np.hypot(self._assessment.deviation, guessed))
            width = np.full(len(mean), wider * max(deviation, 1e-3))
        # Of a design that costs next to nothing the absolute deviation is known, not the factor:
        # beyond a factor of e the upper end goes on along the tangent.
        upper = np.where(width > 1, np.e * width, np.exp(np.minimum(width, 1)))
        return Intervals(mean, mean * np.exp(-np.minimum(width, 20.0)), mean * upper)

    def save(self) -> tuple[dict[str, Any], dict[str, FloatArray]]:
        """Give what :meth:`load` needs: plain JSON, and arrays for ``numpy.savez``."""
        transfer, probes = self._transfer, self._probes
        arrays = {"known": transfer.measured, "probes.known": probes.known, "costs": probes.costs}
        arrays |= {f"view.{name}": view for name, view in transfer.views.items()}
        arrays |= {f"probes.view.{name}": view for name, view in probes.views.items()}
        for number, model in enumerate(transfer.models):
            arrays |= {f"model.{number}.{n}": part for n, part in model.to_arrays().items()}
        if probes.spread is not None:
            arrays["spread"] = probes.spread
        header = {
            "format": FORMAT,
            "views": list(transfer.views),
            "families": transfer.families,
            "rising": transfer.rising,
            "seed": transfer.seed,
            "indices": probes.indices,
            "experience": transfer.experience.to_json(),
            "models": len(transfer.models),
            "model_error": transfer.model_error,
        }
        return header, arrays

    @staticmethod
    def load(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> Predictor:
        """Read what :meth:`save` gave; it predicts the same.

        Raises:
            DataError: It is of another version, or something is missing.
        """
        from evonas.surrogates.transfer.transfer import Transfer

        if header.get("format") != FORMAT:
            raise DataError(
                f"the predictor has the format {header.get('format')!r}; it must be {FORMAT}"
            )
        try:
            views = {name: arrays[f"view.{name}"] for name in header["views"]}
            models = [
                ProxyModel.from_arrays({n: arrays[f"model.{k}.{n}"] for n in ("columns", "trees")})
                for k in range(header["models"])
            ]
            transfer = Transfer.restore(views, arrays["known"], models, header)
            probes = Probes(
                {name: arrays[f"probes.view.{name}"] for name in header["views"]},
                arrays["probes.known"],
                arrays["costs"],
                arrays.get("spread"),
                list(header["indices"]),
            )
        except KeyError as error:
            raise DataError(f"the predictor lacks {error}") from None
        return transfer.condition(probes)
