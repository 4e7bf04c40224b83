"""Transfer between devices: what is known beforehand, the choice of probes, and the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evonas.devices.profile import NORMAL_QUANTILE
from evonas.errors import DataError
from evonas.space import FloatArray
from evonas.surrogates.threads import one_thread
from evonas.surrogates.transfer.assessment import MEAN, assess
from evonas.surrogates.transfer.checks import check_costs, check_indices, check_spread, check_views
from evonas.surrogates.transfer.experience import LEAST_PROBES, Experience, learn
from evonas.surrogates.transfer.mixture import Mixture, Moments
from evonas.surrogates.transfer.predictor import Predictor, Probes
from evonas.surrogates.transfer.priors import Priors, take
from evonas.surrogates.transfer.probes import choose, usual
from evonas.surrogates.transfer.proxy import ProxyModel
from evonas.surrogates.transfer.views import Views, as_numbers, as_views

MODEL_ROWS = 4000
"""Designs that a known device's predictor is trained on, at most."""

CHECKED = 3
"""Known devices whose predictors are checked, at most."""

SOME = 500
"""Designs whose predictions say what error is to be expected."""


class Transfer:
    """What carries over from known devices to a new one.

    The designs given here are those that known devices were measured on and that probes are
    chosen among; predictions can be made for any others.

    Args:
        features: Array of shape (designs, columns), or several views of the designs (see
            :data:`evonas.surrogates.transfer.views.Views`).
        known: Costs (latency in ms, energy in mJ) of the designs on known devices, positive,
            shape (designs, devices); NaN where a device lacks a design. ``None``: no device.
        families: One a device; devices of one family (batch sizes of one chip, say) are left out
            together when the priors are learnt. Left out, each device is one of its own.
        rising: Columns (of all views side by side) that costs never fall with, such as a knob.
        seed: Of every random choice.
        experience: As learnt before; left out, it is learnt here.
        models: The known devices' own predictors; left out, they are fitted when needed.
        model_error: See the property; left out, it is found when needed.

    Raises:
        DataError: Shapes do not fit, a cost is not positive, or a feature is not finite.
    """

    @one_thread
    def __init__(
        self,
        features: FloatArray | Views,
        known: FloatArray | None = None,
        families: Sequence[str] | None = None,
        *,
        rising: Sequence[int] = (),
        seed: int = 0,
        experience: Experience | None = None,
        models: list[ProxyModel] | None = None,
        model_error: float | None = None,
    ) -> None:
        self.views = as_views(features)
        designs = len(next(iter(self.views.values())))
        table = np.empty((designs, 0)) if known is None else as_numbers(known, "known costs")
        if table.ndim != 2 or len(table) != designs:
            raise DataError(
                f"known costs have the shape {table.shape}; it must be ({designs}, devices)"
            )
        if families is not None and len(families) != table.shape[1]:
            raise DataError(f"{len(families)} families are given for {table.shape[1]} devices")
        if (table[np.isfinite(table)] <= 0).any():
            raise DataError("a known device holds a cost that is not positive")
        self.measured = table
        self.families = list(families or (str(number) for number in range(table.shape[1])))
        self.rising, self.seed = list(rising), seed
        self._models, self._model_error = models, model_error
        self.known = self._complete(table)
        smooth = self.known_costs(self.views)
        self.priors = Priors(self.views, self.known, smooth)
        self.at = self.priors.at(self.views, self.known, smooth)
        rng = np.random.default_rng(seed)
        self.experience = experience or learn(self.views, self.known, smooth, self.families, rng)
        some = np.random.default_rng(seed).permutation(designs)[:SOME]
        self._some = take(self.at, some)
        self._log_weights = self.experience.log_weights(self.priors)

    def _complete(self, table: FloatArray) -> FloatArray:
        """Fill gaps by the devices' own predictors."""
        gaps = ~np.isfinite(table)
        return np.where(gaps, self.known_costs(self.views), table) if gaps.any() else table

    @property
    def models(self) -> list[ProxyModel]:
        """The known devices' own predictors, fitted when first needed."""
        if self._models is None:
            inputs = np.hstack(list(self.views.values()))
            some = np.random.default_rng(self.seed).permutation(len(inputs))[:MODEL_ROWS]
            self._models = [
                ProxyModel(self.rising).fit(inputs[some], costs[some]) for costs in self.measured.T
            ]
        return self._models

    @property
    def model_error(self) -> float:
        """Deviation of the logarithm that the known devices' predictors are off by elsewhere.

        Of predictors that are fitted to four fifths of the designs, for the rest.
        """
        if self._model_error is None:
            inputs = np.hstack(list(self.views.values()))
            order = np.random.default_rng(self.seed).permutation(len(inputs))[:MODEL_ROWS]
            rest, most = np.split(order, [max(1, len(order) // 5)])
            errors = [0.0]
            for costs in self.known.T[:CHECKED]:
                found = ProxyModel(self.rising).fit(inputs[most], costs[most])
                logarithms = np.log(found.predict(inputs[rest]) / costs[rest])
                errors.append(float(np.clip(np.abs(logarithms), 0, 1).mean()))
            self._model_error = sum(errors) / max(1, len(errors) - 1) / MEAN
        return self._model_error

    def known_costs(self, views: Views) -> FloatArray:
        """Predict what other designs cost the known devices, shape (designs, devices)."""
        inputs = np.hstack([views[name] for name in self.views])
        columns = [model.predict(inputs) for model in self.models]
        return np.column_stack(columns) if columns else np.empty((len(inputs), 0))

    @classmethod
    def restore(
        cls,
        views: Views,
        known: FloatArray,
        models: list[ProxyModel],
        header: Mapping[str, Any],
    ) -> Transfer:
        """Rebuild from what :meth:`evonas.surrogates.transfer.Predictor.save` gave."""
        return cls(
            views,
            known,
            header["families"],
            rising=header["rising"],
            seed=header["seed"],
            experience=Experience.from_json(header["experience"]),
            models=models,
            model_error=header["model_error"],
        )

    @one_thread
    def choose_probes(self, k: int, measured: Sequence[int] = ()) -> list[int]:
        """Choose k designs to measure on a new device, the most telling first.

        Args:
            k: How many.
            measured: Indices of designs that are measured already.

        Returns:
            Indices of designs.
        """
        if k < 1:
            raise DataError(f"{k} probes are asked for; it must be 1 or more")
        rng = np.random.default_rng(self.seed)
        return choose(self.priors, self._log_weights, self.at, k, rng, usual(self.known), measured)

    def fit(
        self,
        probes: Sequence[int] | FloatArray | Views,
        costs: Sequence[float] | FloatArray,
        spread: Sequence[float] | FloatArray | None = None,
    ) -> Predictor:
        """Fit a new device's predictor.

        Args:
            probes: Indices of designs, or features (or views) of any designs.
            costs: What was measured, shape (k,), positive.
            spread: Relative deviation of every measurement, shape (k,), 0 or more.

        Raises:
            DataError: Fewer than three probes, shapes or views that do not fit, an index of no
                design, a cost that is not positive, or a spread that is negative or not finite.
        """
        views, known, indices = self._probe_parts(probes)
        k = len(known)
        measured = check_costs(costs, k)
        noise = None if spread is None else check_spread(spread, k)
        if k < LEAST_PROBES:
            raise DataError(f"{k} probes are given; a fit needs {LEAST_PROBES} or more")
        return self.condition(Probes(views, known, measured, noise, indices))

    @one_thread
    def condition(self, probes: Probes) -> Predictor:
        """Fit to probes that were checked."""
        at = self.priors.at(probes.views, probes.known, self.known_costs(probes.views))
        mixture = Mixture(self.priors, at, probes.costs, self._log_weights, probes.spread)
        rng = np.random.default_rng(self.seed)
        designs, left_out = (
            Moments(found.mean, self.half_width(mixture, found.deviation) / NORMAL_QUANTILE)
            for found in (mixture.predict(self._some), mixture.leave_one_out())
        )
        assessment = assess(
            mixture, designs, left_out, probes.known, probes.costs, probes.spread, rng
        )
        return Predictor(self, probes, mixture, assessment)

    def half_width(self, mixture: Mixture, deviation: FloatArray) -> FloatArray:
        """Half the widths of 90% intervals of the logarithms, shape (designs,)."""
        return self.experience.quantile * mixture.caution * deviation

    def _probe_parts(
        self, probes: Sequence[int] | FloatArray | Views
    ) -> tuple[Views, FloatArray, list[int]]:
        """Views, known costs and indices (if given) of the probes."""
        if isinstance(probes, Mapping) or as_numbers(probes, "probes").ndim == 2:
            views = check_views(probes, self.views)  # type: ignore[arg-type]
            return views, self.known_costs(views), []
        indices = check_indices(probes, len(self.known))
        return {n: v[indices] for n, v in self.views.items()}, self.known[indices], indices


def choose_probes(
    features: FloatArray | Views, known: FloatArray | None, k: int, seed: int = 0
) -> list[int]:
    """Choose k designs to measure on a new device; see :meth:`Transfer.choose_probes`."""
    return Transfer(features, known, seed=seed).choose_probes(k)
