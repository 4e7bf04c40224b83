"""Whether costs on a new device rise with those on a proxy (latency monotonicity).

Bingqian Lu et al., "One Proxy Device Is Enough for Hardware-Aware Neural Architecture Search"
(2021): where they do, the proxy's ranking serves the new device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.stats import kendalltau, rankdata
from sklearn.isotonic import IsotonicRegression

from evonas.space import FloatArray

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
        spearman: Rank correlation over the probes.
        lower: Lower end of its 90% interval (bootstrap over the probes).
        upper: Upper end.
        kendall: Kendall's tau-b.
        p_value: How often noise alone disturbs the order as much, if the cost does rise with the
            proxy's. A small one speaks against monotonicity.
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


def rank_correlation(left: FloatArray, right: FloatArray) -> float:
    """Spearman's correlation; 0 when one side is constant."""
    first, second = rankdata(left), rankdata(right)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def check_monotonicity(
    proxy: FloatArray,
    costs: FloatArray,
    rng: np.random.Generator,
    spread: FloatArray | None = None,
) -> Monotonicity:
    """Test on k probes whether costs rise with the proxy's.

    Args:
        proxy: The proxy's costs, shape (k,).
        costs: The new device's, shape (k,).
        rng: Of the simulations.
        spread: Relative deviation of every measurement, shape (k,).
    """
    k = len(costs)
    seen = _tau(proxy, costs)
    line = np.exp(IsotonicRegression().fit_transform(proxy, np.log(costs)))
    noise = np.full(k, NOISE) if spread is None else np.maximum(spread, 1e-3)
    simulated = line * np.exp(noise * rng.standard_normal((DRAWS, k)))
    below = sum(_tau(proxy, draw) <= seen + 1e-12 for draw in simulated)
    resampled = []
    for _ in range(DRAWS):
        rows = rng.integers(0, k, k)
        if len(set(rows.tolist())) > 2:
            resampled.append(rank_correlation(proxy[rows], costs[rows]))
    lower, upper = np.quantile(resampled, [0.05, 0.95]) if resampled else (-1.0, 1.0)
    return Monotonicity(
        rank_correlation(proxy, costs),
        float(lower),
        float(upper),
        seen,
        (below + 1) / (DRAWS + 1),
    )


def _tau(left: FloatArray, right: FloatArray) -> float:
    tau = float(kendalltau(left, right).statistic)
    return tau if np.isfinite(tau) else 0.0


class Calibration:
    """Maps a proxy's costs to the new device's by a curve that strictly rises.

    Isotonic regression of the logarithms (pool adjacent violators), joined smoothly through the
    middles of its steps; beyond the probes costs stay proportional.

    Args:
        proxy: The proxy's costs of the probes, shape (k,), positive.
        costs: The new device's, shape (k,), positive.
    """

    def __init__(self, proxy: FloatArray, costs: FloatArray) -> None:
        # Costs that differ by rounding only are one.
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
