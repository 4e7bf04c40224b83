"""Candidate priors of an unknown device's costs: what it may share with the known ones.

A candidate says: under a link (cost as it is, its square root, its logarithm) the costs are those
of a base plus a few linear terms, each with a normal prior, plus noise. Bases are none, the mean
of the known devices, each of them, or their mean with the span of their differences. The linear
terms are an offset, the base itself, and one view of the designs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evonas.space import FloatArray
from surrogates.transfer.links import LINKS, apply_link
from surrogates.transfer.views import Views

Indices = NDArray[np.int64]

NOISES = (0.005, 0.02, 0.06, 0.2, 0.4)
"""Relative deviations of the noise."""

AMPLITUDE = 0.5
"""Deviation of a view's terms, beside a base; without one it is 1."""

OFFSET = 0.5
"""Deviation of the offset and of the base's factor."""

SPAN = 3.0
"""Deviation of the terms that span the differences between known devices."""

FLOOR = 0.05
"""Least cost that is carried over, as a share of the device's median."""

SPAN_SIZE = 6
"""Columns of a span at most."""


class Key(NamedTuple):
    """What candidates are weighted by; those that differ in the known device only share it."""

    link: str
    kind: str
    reading: str
    view: str
    noise: float


@dataclass(frozen=True)
class At:
    """The parts that all candidates are made of, at some designs.

    Args:
        level: Typical relative cost, shape (designs,); ones when no device is known.
        views: Scaled, the empty one last.
        bases: Shape (bases, designs): prior means.
        slopes: Likewise: centred and scaled, what the base's factor multiplies.
        spans: Shape (designs, columns) each, the empty one last.
    """

    level: FloatArray
    views: list[FloatArray]
    bases: FloatArray
    slopes: FloatArray
    spans: list[FloatArray]


class Priors:
    """All candidates, given the known devices.

    Args:
        views: Of the designs that the known devices were measured on.
        known: Their costs, positive and without gaps, shape (designs, devices).
    """

    def __init__(self, views: Views, known: FloatArray) -> None:
        views = with_readings_together(views)
        self.names = list(views)
        self.medians = np.median(known, axis=0)
        self.knows_devices = known.shape[1] > 0
        self._centres = {name: view.mean(axis=0) for name, view in views.items()}
        self._scales = {name: _scales(view) for name, view in views.items()}
        self._carried = _carried_costs(views, known / self.medians)
        self.readings = ["", *self._carried]
        devices = self._devices(views, known)
        self._span_maps: list[tuple[FloatArray, FloatArray]] = []
        self.base_links: list[int] = []
        groups: list[tuple[str, str, int, int, int]] = []  # kind, reading, link, base, span
        for link in range(3):
            groups.append(("none", "", link, self._add_base(link), -1))
            for reading, costs in zip(self.readings, devices, strict=True):
                if not costs.shape[1]:
                    continue
                several = costs.shape[1] > 1
                for _ in range(costs.shape[1]):
                    groups.append(("each", reading, link, self._add_base(link), -1))
                if several:
                    mean = self._add_base(link)
                    groups.append(("mean", reading, link, mean, -1))
                    span = self._add_span(apply_link(link, costs))
                    groups.append(("span", reading, link, mean, span))
        means = self._means(devices)
        self._base_centres = means.mean(axis=1)
        self._base_scales = np.maximum(means.std(axis=1), 0.5)
        self._list_candidates(groups)

    def _add_base(self, link: int) -> int:
        self.base_links.append(link)
        return len(self.base_links) - 1

    def _add_span(self, values: FloatArray) -> int:
        differences = values - values.mean(axis=1, keepdims=True)
        centre = differences.mean(axis=0)
        _, _, directions = np.linalg.svd(differences - centre, full_matrices=False)
        size = min(SPAN_SIZE, values.shape[1] - 1)
        self._span_maps.append((centre, directions[:size].T / np.sqrt(values.shape[1])))
        return len(self._span_maps) - 1

    def _list_candidates(self, groups: list[tuple[str, str, int, int, int]]) -> None:
        rows, keys = [], []
        nothing = len(self.names)
        for kind, reading, link, base, span in groups:
            for view, name in enumerate([*self.names, ""]):
                # Costs that were carried over to a reading go with views of that reading.
                fits = not reading or not name or name.partition(":")[2] == reading
                if not fits or (kind == "none" and not name):
                    continue
                for noise in NOISES:
                    amplitude = 1.0 if kind == "none" else AMPLITUDE
                    place = view if name else nothing
                    rows.append((link, base, place, span, noise, amplitude, kind == "none"))
                    keys.append(Key(LINKS[link], kind, reading, name, noise))
        columns = np.array(rows).T
        self.link, self.base, self.view, self.span = columns[:4].astype(int)
        self.noise, self.amplitude = columns[4], columns[5]
        self._baseless = columns[6].astype(bool)
        self.keys = sorted(set(keys))
        numbers = {key: number for number, key in enumerate(self.keys)}
        self.key = np.array([numbers[key] for key in keys])

    def __len__(self) -> int:
        return len(self.link)

    def _devices(self, views: Views, known: FloatArray) -> list[FloatArray]:
        """Costs relative to their median, as measured and as carried over to each reading."""
        relative = known / self.medians
        carried = []
        for name, weights in self._carried.values():
            view = np.column_stack([np.ones(len(known)), views[name]])
            carried.append(np.maximum(view @ weights, FLOOR))
        return [np.maximum(relative, 1e-4), *carried]

    def _means(self, devices: list[FloatArray]) -> FloatArray:
        rows = []
        for link in range(3):
            rows.append(apply_link(link, np.ones(len(devices[0]))))
            for costs in devices:
                rows += list(apply_link(link, costs).T)
                if costs.shape[1] > 1:
                    rows.append(apply_link(link, np.exp(np.log(costs).mean(axis=1))))
        return np.array(rows)

    def at(self, views: Views, known: FloatArray) -> At:
        """Evaluate the parts at designs, given their views and what they cost known devices."""
        views = with_readings_together(views)
        devices = self._devices(views, known)
        scaled = [(views[n] - self._centres[n]) * self._scales[n] for n in self.names]
        scaled.append(np.zeros((len(known), 0)))
        bases = self._means(devices)
        slopes = (bases - self._base_centres[:, None]) / self._base_scales[:, None]
        spans = []
        several = [costs for costs in devices if costs.shape[1] > 1]
        for number, (centre, directions) in enumerate(self._span_maps):
            link, place = divmod(number, len(several))
            values = apply_link(link, several[place])
            differences = values - values.mean(axis=1, keepdims=True) - centre
            spans.append(SPAN * differences @ directions)
        spans.append(np.zeros((len(known), 0)))
        level = np.exp(np.log(devices[0]).mean(axis=1)) if known.shape[1] else np.ones(len(known))
        return At(level, scaled, bases, slopes, spans)

    def covariance(self, some: Indices, rows: At, columns: At) -> FloatArray:
        """Prior covariance of some candidates, shape (candidates, rows, columns)."""
        of_views = np.array([a @ b.T for a, b in zip(rows.views, columns.views, strict=True)])
        of_spans = np.array([a @ b.T for a, b in zip(rows.spans, columns.spans, strict=True)])
        base = np.where(self._baseless[some], 0.0, OFFSET**2)[:, None, None]
        slopes = rows.slopes[self.base[some]][:, :, None] * columns.slopes[self.base[some]][:, None]
        amplitude = self.amplitude[some][:, None, None]
        total: FloatArray = (
            OFFSET**2
            + amplitude**2 * of_views[self.view[some]]
            + base * slopes
            + of_spans[self.span[some]]
        )
        return total

    def cross_covariance(self, candidate: int, rows: At, columns: At) -> FloatArray:
        """Prior covariance of one candidate, shape (rows, columns)."""
        view, span = self.view[candidate], self.span[candidate]
        terms = [
            np.full((len(rows.level), 1), OFFSET),
            self.amplitude[candidate] * rows.views[view],
            rows.spans[span],
        ]
        others = [
            np.full((len(columns.level), 1), OFFSET),
            self.amplitude[candidate] * columns.views[view],
            columns.spans[span],
        ]
        if not self._baseless[candidate]:
            base = self.base[candidate]
            terms.append(OFFSET * rows.slopes[base][:, None])
            others.append(OFFSET * columns.slopes[base][:, None])
        covariance: FloatArray = np.hstack(terms) @ np.hstack(others).T
        return covariance

    def variance(self, candidate: int, rows: At) -> FloatArray:
        """Prior variance of one candidate, shape (rows,)."""
        base = 0.0 if self._baseless[candidate] else OFFSET**2
        total: FloatArray = (
            OFFSET**2
            + self.amplitude[candidate] ** 2 * (rows.views[self.view[candidate]] ** 2).sum(axis=1)
            + base * rows.slopes[self.base[candidate]] ** 2
            + (rows.spans[self.span[candidate]] ** 2).sum(axis=1)
        )
        return total

    def noise_deviation(self, some: Indices, level: FloatArray) -> FloatArray:
        """Deviation of the noise in units of the link, shape (candidates, designs)."""
        level = np.clip(level, 0.3, 3.0)
        factors = np.array([level, np.sqrt(level) / 2, np.ones_like(level)])
        deviations: FloatArray = self.noise[some][:, None] * factors[self.link[some]]
        return deviations


def with_readings_together(views: Views) -> dict[str, FloatArray]:
    """Add one view for each kind with several readings: all of them side by side."""
    kinds: dict[str, list[FloatArray]] = {}
    for name, view in views.items():
        kind, colon, _ = name.partition(":")
        if colon:
            kinds.setdefault(kind, []).append(view)
    together = {f"{kind}:": np.hstack(parts) for kind, parts in kinds.items() if len(parts) > 1}
    return {**views, **together}


def _scales(view: FloatArray) -> FloatArray:
    """Factors under which the columns that vary have a total variance of 1."""
    deviation = view.std(axis=0)
    used = deviation > 1e-9
    safe = np.where(used, deviation, 1.0)
    scales: FloatArray = np.where(used, 1 / (safe * np.sqrt(max(1, used.sum()))), 0.0)
    return scales


def _carried_costs(views: Views, relative: FloatArray) -> dict[str, tuple[str, FloatArray]]:
    """Reading -> its view and what every known device's operations cost, by least squares.

    The costs are those under the reading that fits the device best. Of several kinds of views
    with readings the one with the fewest columns counts.
    """
    kinds: dict[str, list[str]] = {}
    for name in views:
        kind, colon, _ = name.partition(":")
        if colon and name != f"{kind}:":
            kinds.setdefault(kind, []).append(name)
    kinds = {kind: names for kind, names in kinds.items() if len(names) > 1}
    if not kinds or not relative.shape[1]:
        return {}
    names = min(kinds.values(), key=lambda names: views[names[0]].shape[1])
    best: list[tuple[float, FloatArray]] = []
    for costs in relative.T:
        weight = 1 / np.maximum(costs, 0.3)
        fits = []
        for name in names:
            columns = np.column_stack([np.ones(len(costs)), views[name]])
            found = np.linalg.lstsq(columns * weight[:, None], costs * weight, rcond=None)[0]
            error = np.abs((columns @ found - costs) * weight).mean()
            fits.append((float(error), found))
        best.append(min(fits, key=lambda fit: fit[0]))
    weights = np.array([found for _, found in best]).T
    return {name.partition(":")[2]: (name, weights) for name in names}


def take(at: At, rows: Indices) -> At:
    """The parts at some of the designs."""
    return At(
        at.level[rows],
        [view[rows] for view in at.views],
        at.bases[:, rows],
        at.slopes[:, rows],
        [span[rows] for span in at.spans],
    )
