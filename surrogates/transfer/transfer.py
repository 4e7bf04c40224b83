"""Transfer of costs to a new device: the choice of probes, and the fit to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evonas.errors import DataError
from evonas.space import FloatArray
from evonas.surrogates.threads import one_thread
from evonas.surrogates.transfer.empirical_bayes import LEAST_PROBES
from evonas.surrogates.transfer.inputs import (
    Views,
    as_numbers,
    check_costs,
    check_indices,
    check_spread,
    check_views,
)
from evonas.surrogates.transfer.predictor import Predictor, Probes
from evonas.surrogates.transfer.prior import TransferPrior
from evonas.surrogates.transfer.probes import choose, worth_probing
from evonas.surrogates.transfer.proxy_devices import ProxyDevices


class Transfer:
    """What carries over from proxy devices to a new one.

    The designs given here are those that the proxies were measured on and that probes are chosen
    among; predictions can be made for any others.

    Args:
        features: Array of shape (designs, columns), or several feature views of the designs (see
            :data:`evonas.surrogates.transfer.inputs.Views`).
        proxy_costs: Costs (latency in ms, energy in mJ) of the designs on proxy devices, positive,
            shape (designs, devices); NaN where a device lacks a design. ``None``: no proxy.
        families: Names of the devices' families, one a device. Devices of one family (batch sizes
            of one chip, say) are left out together when the prior is learnt. Left out, each device
            is one of its own.
        rising: Indices of columns, of all views side by side, that costs never fall with, such as
            a width.
        seed: Seed of the random number generators.

    Attributes:
        prior: What is known before a probe is measured.

    Raises:
        DataError: Shapes do not fit, a cost is not positive, or a feature is not finite.
    """

    @one_thread
    def __init__(
        self,
        features: FloatArray | Views,
        proxy_costs: FloatArray | None = None,
        families: Sequence[str] | None = None,
        *,
        rising: Sequence[int] = (),
        seed: int = 0,
    ) -> None:
        proxies = ProxyDevices(features, proxy_costs, families, rising=rising, seed=seed)
        self.prior = TransferPrior(proxies)

    @property
    def views(self) -> dict[str, FloatArray]:
        """Feature views of the designs."""
        return self.prior.proxies.views

    @property
    def proxy_costs(self) -> FloatArray:
        """Costs of the designs on the proxies, gaps filled, shape (designs, devices)."""
        return self.prior.proxies.costs

    @one_thread
    def choose_probes(self, k: int, measured: Sequence[int] = ()) -> list[int]:
        """Choose k designs to measure on a new device.

        Args:
            k: Number of designs, at least 1.
            measured: Indices of designs that are measured already.

        Returns:
            Indices of designs, the most informative first.

        Raises:
            DataError: ``k`` is less than 1.
        """
        if k < 1:
            raise DataError(f"{k} probes are asked for; it must be 1 or more")
        prior = self.prior
        rng = np.random.default_rng(prior.proxies.seed)
        allowed = worth_probing(self.proxy_costs)
        return choose(prior.candidates, prior.log_weights, prior.terms, k, rng, allowed, measured)

    def fit(
        self,
        probes: Sequence[int] | FloatArray | Views,
        costs: Sequence[float] | FloatArray,
        spread: Sequence[float] | FloatArray | None = None,
    ) -> Predictor:
        """Fit the predictor of a new device to probes.

        Args:
            probes: Indices of k designs, or features (or feature views) of any k designs.
            costs: Measured costs of the probes, shape (k,), positive.
            spread: Relative deviation of every measurement, shape (k,), 0 or more.

        Raises:
            DataError: Fewer than three probes, shapes or views that do not fit, an index of no
                design, a cost that is not positive, or a spread that is negative or not finite.
        """
        views, proxy_costs, indices = self._described(probes)
        k = len(proxy_costs)
        measured = check_costs(costs, k)
        noise = None if spread is None else check_spread(spread, k)
        if k < LEAST_PROBES:
            raise DataError(f"{k} probes are given; a fit needs {LEAST_PROBES} or more")
        return Predictor(self.prior, Probes(views, proxy_costs, measured, noise, indices))

    def _described(
        self, probes: Sequence[int] | FloatArray | Views
    ) -> tuple[Views, FloatArray, list[int]]:
        """Give the feature views, proxy costs and (if they were given) indices of the probes."""
        if isinstance(probes, Mapping) or as_numbers(probes, "probes").ndim == 2:
            views = check_views(probes, self.views)  # type: ignore[arg-type]
            return views, self.prior.proxies.predict(views), []
        indices = check_indices(probes, len(self.proxy_costs))
        own = {name: view[indices] for name, view in self.views.items()}
        return own, self.proxy_costs[indices], indices
