"""The predictor of a new device: from measured probes to costs with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evonas.devices.profile import NORMAL_QUANTILE
from evonas.errors import DataError
from evonas.space import FloatArray
from evonas.surrogates.threads import one_thread
from evonas.surrogates.transfer.assessment import Method, Trust, assess
from evonas.surrogates.transfer.candidates import Terms
from evonas.surrogates.transfer.empirical_bayes import EmpiricalPrior
from evonas.surrogates.transfer.inputs import Views, check_proxy_costs, check_views
from evonas.surrogates.transfer.model_averaging import ModelAverage, Moments
from evonas.surrogates.transfer.monotonicity import Monotonicity
from evonas.surrogates.transfer.prior import TransferPrior
from evonas.surrogates.transfer.proxy_devices import ProxyDevices
from evonas.surrogates.transfer.proxy_model import ProxyModel

FORMAT = 2
"""Version of what :meth:`Predictor.save` gives."""


@dataclass(frozen=True)
class Intervals:
    """Predictions with 90% intervals, in the unit of the probes, shape (designs,) each."""

    mean: FloatArray
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True)
class Probes:
    """The k designs that were measured on the new device.

    Args:
        views: Feature views of the probes.
        proxy_costs: Costs of the probes on the proxies, shape (k, devices).
        costs: Costs of the probes on the new device, shape (k,).
        spread: Relative deviation of every measurement, shape (k,), if known.
        indices: Indices among the designs of the transfer; empty if they are other designs.
    """

    views: Views
    proxy_costs: FloatArray
    costs: FloatArray
    spread: FloatArray | None
    indices: list[int]


class Predictor:
    """Predicts the costs of designs on a new device; made by ``Transfer.fit``.

    Args:
        prior: What is known before the probes.
        probes: The probes, checked.
    """

    @one_thread
    def __init__(self, prior: TransferPrior, probes: Probes) -> None:
        self._prior, self._probes = prior, probes
        terms = prior.candidates.terms(
            probes.views, probes.proxy_costs, prior.proxies.predict(probes.views)
        )
        self._average = average = ModelAverage(
            prior.candidates, terms, probes.costs, prior.log_weights, probes.spread
        )
        designs, left_out = (
            Moments(found.mean, self._half_width(found.deviation) / NORMAL_QUANTILE)
            for found in (average.predict(prior.sample), average.leave_one_out())
        )
        rng = np.random.default_rng(prior.proxies.seed)
        self._assessment = assess(
            average, designs, left_out, probes.proxy_costs, probes.costs, probes.spread, rng
        )

    @property
    def method(self) -> Method:
        """``reuse`` a proxy as it is, ``calibrate`` it monotonically, or ``adapt``."""
        return self._assessment.method

    @property
    def monotonicity(self) -> Monotonicity | None:
        """The test of the best proxy; ``None`` when there is no proxy."""
        return self._assessment.monotonicity

    @property
    def proxy(self) -> int:
        """Index of the best proxy; -1 when there is none."""
        return self._assessment.proxy

    @property
    def trust(self) -> Trust:
        """How well the predictor can be expected to do."""
        return self._assessment.trust

    @one_thread
    def predict(
        self, features: FloatArray | Views | None = None, proxy_costs: FloatArray | None = None
    ) -> Intervals:
        """Predict costs with 90% intervals.

        Args:
            features: Feature views of any designs, named as those of the transfer, or an array of
                shape (designs, columns); left out, the transfer's own.
            proxy_costs: Costs of the designs on the proxies, positive, shape (designs, devices);
                left out, the proxies' own models predict them.

        Raises:
            DataError: Shapes or views do not fit those of the transfer, a feature is not finite,
                a proxy's cost is not positive, or proxy costs come without features.
        """
        prior, proxies = self._prior, self._prior.proxies
        if features is None:
            if proxy_costs is not None:
                raise DataError("proxy costs are given without the features of their designs")
            return self._predict(prior.terms, proxies.costs, 0.0)
        views = check_views(features, proxies.views)
        predicted = proxies.predict(views)
        if proxy_costs is None:
            terms = prior.candidates.terms(views, predicted, predicted)
            return self._predict(terms, predicted, proxies.model_error)
        costs = check_proxy_costs(proxy_costs, *predicted.shape)
        return self._predict(prior.candidates.terms(views, costs, predicted), costs, 0.0)

    def _predict(self, terms: Terms, proxy_costs: FloatArray, proxy_error: float) -> Intervals:
        """Predict from the terms of designs; ``proxy_error`` is the error of the proxies' costs."""
        if self.method == "adapt":
            found = self._average.predict(terms)
            mean = found.mean
            width = self._half_width(np.hypot(found.deviation, proxy_error))
        else:
            curve = self._assessment.calibration
            proxy = proxy_costs[:, self.proxy]
            mean = proxy if curve is None else curve(proxy)
            k = len(self._probes.costs)
            wider = NORMAL_QUANTILE * np.sqrt((k + 1) / max(1, k - 1))
            deviation = float(np.hypot(self._assessment.deviation, proxy_error))
            width = np.full(len(mean), wider * max(deviation, 1e-3))
        # Of a design that costs next to nothing the absolute deviation is known, not the factor:
        # beyond a factor of e the upper end goes on along the tangent.
        upper = np.where(width > 1, np.e * width, np.exp(np.minimum(width, 1)))
        return Intervals(mean, mean * np.exp(-np.minimum(width, 20.0)), mean * upper)

    def _half_width(self, deviation: FloatArray) -> FloatArray:
        """Half the widths of 90% intervals of the logarithms, shape (designs,)."""
        return self._prior.empirical.quantile * self._average.inflation * deviation

    def save(self) -> tuple[dict[str, Any], dict[str, FloatArray]]:
        """Give what :meth:`load` needs: plain JSON, and arrays for ``numpy.savez``."""
        proxies, probes = self._prior.proxies, self._probes
        # Profiles hold these names.
        arrays = {
            "known": proxies.measured,
            "probes.known": probes.proxy_costs,
            "costs": probes.costs,
        }
        arrays |= {f"view.{name}": view for name, view in proxies.views.items()}
        arrays |= {f"probes.view.{name}": view for name, view in probes.views.items()}
        for number, model in enumerate(proxies.models):
            arrays |= {f"model.{number}.{n}": part for n, part in model.to_arrays().items()}
        if probes.spread is not None:
            arrays["spread"] = probes.spread
        header = {
            "format": FORMAT,
            "views": list(proxies.views),
            "families": proxies.families,
            "rising": proxies.rising,
            "seed": proxies.seed,
            "indices": probes.indices,
            "experience": self._prior.empirical.to_json(),
            "models": len(proxies.models),
            "model_error": proxies.model_error,
        }
        return header, arrays

    @staticmethod
    @one_thread
    def load(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> Predictor:
        """Read what :meth:`save` gave; it predicts the same.

        Raises:
            DataError: The format is another one, or something is missing.
        """
        if header.get("format") != FORMAT:
            raise DataError(
                f"the predictor has the format {header.get('format')!r}; it must be {FORMAT}"
            )
        try:
            proxies = ProxyDevices(
                {name: arrays[f"view.{name}"] for name in header["views"]},
                arrays["known"],
                header["families"],
                rising=header["rising"],
                seed=header["seed"],
                models=[
                    ProxyModel.from_arrays(
                        {part: arrays[f"model.{k}.{part}"] for part in ("columns", "trees")}
                    )
                    for k in range(header["models"])
                ],
                model_error=header["model_error"],
            )
            empirical = EmpiricalPrior.from_json(header["experience"])
            probes = Probes(
                {name: arrays[f"probes.view.{name}"] for name in header["views"]},
                arrays["probes.known"],
                arrays["costs"],
                arrays.get("spread"),
                list(header["indices"]),
            )
        except KeyError as error:
            raise DataError(f"the predictor lacks {error}") from None
        return Predictor(TransferPrior(proxies, empirical), probes)
