"""Which method serves a new device best, and whether to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from evonas.space import FloatArray
from surrogates.transfer.mixture import Mixture
from surrogates.transfer.monotonicity import (
    Calibration,
    Monotonicity,
    check_monotonicity,
    rank_correlation,
)

Method = Literal["reuse", "calibrate", "adapt"]

GOOD_ERROR = 0.2
"""Relative error of probes that are left out up to which a predictor is trusted."""

GOOD_RANK = 0.8
"""Their rank correlation from which on it is."""

TYPICAL = 0.5
"""Errors of cheap probes are relative to this share of the median."""

SIMPLER = 0.5
"""A calibrated proxy is preferred when it has at most this share of the error of adapting."""

SAME = 0.1
"""A proxy is reused as it is when its costs are within this share of the probes'."""


@dataclass(frozen=True)
class Trust:
    """How well probes are predicted by the others.

    Args:
        error: Mean absolute relative error of probes that are left out one at a time.
        spearman: Rank correlation of those predictions with what was measured.
        outliers: Indices, among the probes, of measurements that were set aside.
    """

    error: float
    spearman: float
    outliers: tuple[int, ...] = ()

    @property
    def good(self) -> bool:
        """Whether to rely on the predictor."""
        return self.error <= GOOD_ERROR and self.spearman >= GOOD_RANK


@dataclass(frozen=True)
class Assessment:
    """Which method serves a new device best, and how well.

    Args:
        method: Reuse a proxy as it is, calibrate it monotonically, or adapt.
        calibration: Of the proxy; ``None`` unless calibrated.
        monotonicity: Of the best proxy; ``None`` when no device is known.
        proxy: Index of the best proxy; -1 when no device is known.
        trust: Of the method.
        deviation: Of the logarithm of left-out probes.
        widening: Root mean square of their errors in predicted deviations, when adapting.
    """

    method: Method
    calibration: Calibration | None
    monotonicity: Monotonicity | None
    proxy: int
    trust: Trust
    deviation: float
    widening: float


def assess(
    mixture: Mixture,
    proxies: FloatArray,
    costs: FloatArray,
    spread: FloatArray | None,
    rng: np.random.Generator,
) -> Assessment:
    """Choose between reusing, calibrating and adapting by the error of probes left out.

    Args:
        mixture: Adapted to the probes.
        proxies: What the probes cost the known devices, shape (k, devices).
        costs: What they cost the new one, shape (k,).
        spread: Relative deviation of every measurement, shape (k,).
        rng: Of the test.
    """
    used = np.flatnonzero(mixture.used)
    outliers = tuple(np.flatnonzero(~mixture.used).tolist())
    left_out = mixture.leave_one_out()
    adapted = left_out.mean
    trust = _trust(adapted, costs[used], outliers)
    deviation = _deviation(adapted, costs[used])
    errors = np.log(np.maximum(adapted, 1e-9) / costs[used]) / left_out.deviation
    widening = float(np.sqrt(np.mean(np.clip(errors, -3, 3) ** 2)))
    if not proxies.shape[1]:
        return Assessment("adapt", None, None, -1, trust, deviation, widening)
    ranks = [rank_correlation(proxy[used], costs[used]) for proxy in proxies.T]
    best = int(np.argmax(ranks))
    proxy = proxies[used, best]
    test = check_monotonicity(proxy, costs[used], rng, None if spread is None else spread[used])
    if test.holds:
        if np.abs(proxy / costs[used] - 1).max() <= SAME:
            reused = _trust(proxy, costs[used], outliers)
            if reused.error <= trust.error:
                same = _deviation(proxy, costs[used])
                return Assessment("reuse", None, test, best, reused, same, 1.0)
        keep = ~np.eye(len(used), dtype=bool)
        left_over = np.array(
            [
                Calibration(proxy[rows], costs[used][rows])(proxy[i : i + 1])[0]
                for i, rows in enumerate(keep)
            ]
        )
        calibrated = _trust(left_over, costs[used], outliers)
        if calibrated.error <= SIMPLER * trust.error:
            curve = Calibration(proxy, costs[used])
            spread_left = _deviation(left_over, costs[used])
            return Assessment("calibrate", curve, test, best, calibrated, spread_left, 1.0)
    return Assessment("adapt", None, test, best, trust, deviation, widening)


def _trust(predicted: FloatArray, costs: FloatArray, outliers: tuple[int, ...]) -> Trust:
    error = float(
        np.mean(np.abs(predicted - costs) / np.maximum(costs, TYPICAL * np.median(costs)))
    )
    return Trust(error, rank_correlation(predicted, costs), outliers)


def _deviation(predicted: FloatArray, costs: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.log(np.maximum(predicted, 1e-9) / costs) ** 2)))
