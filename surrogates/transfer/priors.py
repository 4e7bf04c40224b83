"""Candidate priors of an unknown device's costs: what it may share with the known ones.

A candidate says: under a link (cost as it is, or its logarithm) the costs are those of a base plus
a few linear terms, each with a normal prior, plus noise. Bases are none, each known device, groups
of them that are alike, the mean of all, or that with the span of their differences. The linear
terms are an offset, the base itself, and one view of the designs; or, instead, what each part of a
design costs a known device, all of them positive: where the parts are small, so is the cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evonas.space import FloatArray
from evonas.surrogates.transfer.known import MEASURED, SMOOTH, KnownDevices
from evonas.surrogates.transfer.links import LINKS, apply_link
from evonas.surrogates.transfer.views import Views

Indices = NDArray[np.int64]

NOISES = (0.005, 0.06, 0.2, 0.4)
"""Relative deviations of the noise."""

AMPLITUDE = 0.5
"""Deviation of a view's terms, beside a base; without one it is 1."""

OFFSET = 0.5
"""Deviation of the offset and of the base's factor."""

SPAN = 3.0
"""Deviation of the terms that span the differences between known devices."""

PARTS, PARTS_OF_ONE = 1.0, 10.0
"""Deviation of the factors by which a part's cost differs from that on a known device.

In units of the scale that a candidate's terms share, typically 0.2. When only one device is known
nothing else tells how devices differ, and a part may well cost some times as much.
"""

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
        views: Scaled; then the empty one, then the parts of known devices' costs.
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
        smooth: Likewise, as the devices' own predictors give them.
    """

    def __init__(self, views: Views, known: FloatArray, smooth: FloatArray) -> None:
        views = with_readings_together(views)
        self.names = list(views)
        self._known = KnownDevices(views, known, smooth)
        self.knows_devices = self._known.count > 0
        self._centres = {name: view.mean(axis=0) for name, view in views.items()}
        self._scales = {name: _scales(view) for name, view in views.items()}
        read = self._known.read(views, known, smooth)
        means = self._means(read, len(known))
        self._base_centres = means.mean(axis=1)
        self._base_scales = np.maximum(means.std(axis=1), 0.5)
        self._span_maps: list[tuple[FloatArray, FloatArray]] = []
        self._rows: list[tuple[float, ...]] = []
        keys: list[Key] = []
        base = 0  # Counts in the order of self._means.
        for link, name in enumerate(LINKS):
            keys += self._add("none", "", link, base)
            base += 1
            for reading, costs in zip(self._known.readings, read, strict=True):
                first = base
                for kind, _ in self._known.members(reading):
                    keys += self._add(kind, reading, link, base)
                    base += 1
                if costs.shape[1] > 1:
                    span = self._add_span(apply_link(link, costs))
                    keys += self._add("span", reading, link, base - 1, span)
                if reading == SMOOTH and name == "identity":
                    keys += self._add_parts(first)
        columns = np.array(self._rows).T
        self.link, self.base, self.view, self.span = columns[:4].astype(int)
        self.noise, self.amplitude, self._factor, self._offset = columns[4:]
        self.keys = sorted(set(keys))
        numbers = {key: number for number, key in enumerate(self.keys)}
        self.key = np.array([numbers[key] for key in keys])

    def _add_span(self, values: FloatArray) -> int:
        differences = values - values.mean(axis=1, keepdims=True)
        centre = differences.mean(axis=0)
        _, _, directions = np.linalg.svd(differences - centre, full_matrices=False)
        size = min(SPAN_SIZE, values.shape[1] - 1)
        self._span_maps.append((centre, directions[:size].T / np.sqrt(values.shape[1])))
        return len(self._span_maps) - 1

    def _add(self, kind: str, reading: str, link: int, base: int, span: int = -1) -> list[Key]:
        """Add a base's candidates, with each view and noise."""
        keys = []
        carried = reading not in (MEASURED, SMOOTH)
        amplitude, factor = (1.0, 0.0) if kind == "none" else (AMPLITUDE, OFFSET)
        for view, name in enumerate([*self.names, ""]):
            # Costs that were carried over to a reading go with views of that reading.
            fits = not carried or not name or name.partition(":")[2] == reading
            if not fits or (kind == "none" and not name):
                continue
            for noise in NOISES:
                self._rows.append((link, base, view, span, noise, amplitude, factor, OFFSET))
                keys.append(Key(LINKS[link], kind, reading, name, noise))
        return keys

    def _add_parts(self, first: int) -> list[Key]:
        """Add candidates whose terms scale what the parts of a design cost a known device."""
        keys = []
        deviation = PARTS if self._known.count > 1 else PARTS_OF_ONE
        for number, (name, device, _) in enumerate(self._known.parts):
            view = len(self.names) + 1 + number
            for noise in NOISES:
                self._rows.append((0, first + device, view, -1, noise, deviation, 0.0, 0.0))
                keys.append(Key(LINKS[0], "parts", SMOOTH, name, noise))
        return keys

    def __len__(self) -> int:
        return len(self.link)

    def _means(self, read: list[FloatArray], designs: int) -> FloatArray:
        """Means of the bases, shape (bases, designs)."""
        logarithms = [np.zeros((1, designs))]
        for reading, costs in zip(self._known.readings, read, strict=True):
            members = self._known.members(reading)
            shares = np.zeros((len(members), costs.shape[1]))
            for row, (_, devices) in zip(shares, members, strict=True):
                row[devices] = 1 / len(devices)
            logarithms.append(shares @ np.log(costs).T)
        means = np.exp(np.vstack(logarithms))
        return np.vstack([apply_link(link, means) for link in range(len(LINKS))])

    def at(self, views: Views, known: FloatArray, smooth: FloatArray) -> At:
        """Evaluate the parts at designs.

        Args:
            views: Of the designs.
            known: What they cost the known devices, shape (designs, devices).
            smooth: Likewise, as the devices' own predictors say.
        """
        views = with_readings_together(views)
        read = self._known.read(views, known, smooth)
        nothing = np.zeros((len(known), 0))
        scaled = [(views[n] - self._centres[n]) * self._scales[n] for n in self.names]
        bases = self._means(read, len(known))
        slopes = (bases - self._base_centres[:, None]) / self._base_scales[:, None]
        spans = []
        for number, (centre, directions) in enumerate(self._span_maps):
            link, place = divmod(number, len(read))
            values = apply_link(link, read[place])
            differences = values - values.mean(axis=1, keepdims=True) - centre
            spans.append(SPAN * differences @ directions)
        level = np.exp(np.log(read[0]).mean(axis=1)) if read else np.ones(len(known))
        parts = self._known.contributions(views)
        return At(level, [*scaled, nothing, *parts], bases, slopes, [*spans, nothing])

    def covariance(self, some: Indices, rows: At, columns: At) -> FloatArray:
        """Prior covariance of some candidates, shape (candidates, rows, columns)."""
        used, view = np.unique(self.view[some], return_inverse=True)
        of_views = np.array([rows.views[number] @ columns.views[number].T for number in used])
        of_spans = np.array([a @ b.T for a, b in zip(rows.spans, columns.spans, strict=True)])
        factor, offset = (
            (deviation[some] ** 2)[:, None, None] for deviation in (self._factor, self._offset)
        )
        slopes = rows.slopes[self.base[some]][:, :, None] * columns.slopes[self.base[some]][:, None]
        amplitude = self.amplitude[some][:, None, None]
        total: FloatArray = (
            offset + amplitude**2 * of_views[view] + factor * slopes + of_spans[self.span[some]]
        )
        return total

    def cross_covariance(self, candidate: int, rows: At, columns: At) -> FloatArray:
        """Prior covariance of one candidate, shape (rows, columns)."""
        view, span = self.view[candidate], self.span[candidate]
        terms = [
            np.full((len(rows.level), 1), self._offset[candidate]),
            self.amplitude[candidate] * rows.views[view],
            rows.spans[span],
        ]
        others = [
            np.full((len(columns.level), 1), self._offset[candidate]),
            self.amplitude[candidate] * columns.views[view],
            columns.spans[span],
        ]
        base, factor = self.base[candidate], self._factor[candidate]
        if factor:
            terms.append(factor * rows.slopes[base][:, None])
            others.append(factor * columns.slopes[base][:, None])
        covariance: FloatArray = np.hstack(terms) @ np.hstack(others).T
        return covariance

    def variance(self, candidate: int, rows: At) -> FloatArray:
        """Prior variance of one candidate, shape (rows,)."""
        total: FloatArray = (
            self._offset[candidate] ** 2
            + self.amplitude[candidate] ** 2 * (rows.views[self.view[candidate]] ** 2).sum(axis=1)
            + self._factor[candidate] ** 2 * rows.slopes[self.base[candidate]] ** 2
            + (rows.spans[self.span[candidate]] ** 2).sum(axis=1)
        )
        return total

    def noise_deviation(self, some: Indices, level: FloatArray) -> FloatArray:
        """Deviation of the noise in units of the link, shape (candidates, designs)."""
        level = np.clip(level, 0.3, 3.0)
        factors = np.array([level, np.ones_like(level)])
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


def take(at: At, rows: Indices) -> At:
    """The parts at some of the designs."""
    return At(
        at.level[rows],
        [view[rows] for view in at.views],
        at.bases[:, rows],
        at.slopes[:, rows],
        [span[rows] for span in at.spans],
    )
