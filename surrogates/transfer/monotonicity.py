"""Whether costs on a new device rise with those on a proxy (latency monotonicity).

Where they do, the proxy's ranking serves the new device: Bingqian Lu et al., "One Proxy Device Is
Enough for Hardware-Aware Neural Architecture Search" (2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from sklearn.isotonic import IsotonicRegression

from evonas.run.diagnostics import spearman
from evonas.space import FloatArray
from evonas.surrogates.transfer.chunks import chunks

DRAWS = 500
"""Simulations and bootstrap samples of a test."""

NOISE = 0.03
"""Relative deviation of a measurement whose spread is not known."""

MONOTONE_FROM = 0.9
"""Rank correlation that the interval's lower end must reach."""


@dataclass(frozen=True)
class Monotonicity:
    """How well a proxy orders the probes.

    Args:
        spearman: Spearman's rank correlation over the probes.
        lower: Lower end of its 90% interval (bootstrap over the probes).
        upper: Upper end of that interval.
        kendall: Kendall's tau-b over the probes.
        p_value: Share of simulations in which noise alone disturbs the order as much, though the
            cost does rise with the proxy's. A small one speaks against monotonicity.
    """

    spearman: float
    lower: float
    upper: float
    kendall: float
    p_value: float

    @property
    def holds(self) -> bool:
        """Whether the proxy's order can be relied on."""
        return self.p_value >= 0.05 and self.lower >= MONOTONE_FROM


def check_monotonicity(
    proxy: FloatArray,
    costs: FloatArray,
    rng: np.random.Generator,
    spread: FloatArray | None = None,
) -> Monotonicity:
    """Test on k probes whether costs rise with the proxy's.

    Args:
        proxy: The proxy's costs, shape (k,).
        costs: The new device's costs, shape (k,).
        rng: Generator of the simulations and of the bootstrap samples.
        spread: Relative deviation of every measurement, shape (k,); left out, ``NOISE``.
    """
    k = len(costs)
    seen = float(_tau(proxy, costs))
    line = np.exp(IsotonicRegression().fit_transform(proxy, np.log(costs)))
    noise = np.full(k, NOISE) if spread is None else np.maximum(spread, 1e-3)
    simulated = line * np.exp(noise * rng.standard_normal((DRAWS, k)))
    taus = np.concatenate([_tau(proxy, simulated[part]) for part in chunks(DRAWS, k**2)])
    below = (taus <= seen + 1e-12).sum()
    rows = np.array([rng.integers(0, k, k) for _ in range(DRAWS)])
    rows = rows[[len(set(row)) > 2 for row in rows.tolist()]]
    resampled = spearman(proxy[rows], costs[rows])
    lower, upper = np.quantile(resampled, [0.05, 0.95]) if len(rows) else (-1.0, 1.0)
    return Monotonicity(
        float(spearman(proxy, costs)),
        float(lower),
        float(upper),
        seen,
        float((below + 1) / (DRAWS + 1)),
    )


def _tau(left: FloatArray, right: FloatArray) -> FloatArray:
    """Kendall's tau-b of shape (k,) with shape (..., k); 0 where one of the two is constant."""
    first = np.sign(left[:, None] - left)
    second = np.sign(right[..., :, None] - right[..., None, :])
    scale = np.sqrt((first**2).sum() * (second**2).sum(axis=(-2, -1)))
    found: FloatArray = (first * second).sum(axis=(-2, -1)) / np.where(scale > 0, scale, np.inf)
    return found


class Calibration:
    """A strictly rising curve from a proxy's costs to the new device's.

    Isotonic regression of the logarithms (pool adjacent violators), joined smoothly through the
    middles of its steps; beyond the probes costs stay proportional.

    Args:
        proxy: The proxy's costs of the probes, shape (k,), positive.
        costs: The new device's, shape (k,), positive.
    """

    def __init__(self, proxy: FloatArray, costs: FloatArray) -> None:
        # Costs that differ by rounding alone are one.
        x, place = np.unique(np.round(np.log(proxy), 9), return_inverse=True)
        count = np.bincount(place)
        y = np.bincount(place, np.log(costs)) / count
        steps = IsotonicRegression().fit_transform(x, y, sample_weight=count)
        heights, step = np.unique(np.round(steps, 12), return_inverse=True)
        middles = np.bincount(step, x) / np.bincount(step)
        self._low, self._high = middles[0], middles[-1]
        self._ends = heights[0], heights[-1]
        self._curve = PchipInterpolator(middles, heights) if len(heights) > 1 else None

    def __call__(self, proxy: FloatArray) -> FloatArray:
        """Map costs of shape (n,)."""
        x = np.log(proxy)
        inside = np.clip(x, self._low, self._high)
        inner = np.full(len(x), self._ends[0]) if self._curve is None else self._curve(inside)
        mapped: FloatArray = np.exp(inner + (x - inside))
        return mapped
