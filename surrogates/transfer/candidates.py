"""Candidate models of a new device's costs: what it may share with the proxy devices.

A candidate says: under a link function (cost as it is, or its logarithm) the costs are a prior mean
plus a few linear terms, each with a normal prior, plus noise. The prior mean is constant, or it is
the cost of a proxy device, or the mean of a cluster of them, or of all; beside the last, the
principal components of the differences between devices may be terms. The other terms are an offset,
the prior mean itself, and one view of the designs; or, instead, what each part of a design costs a
proxy device, all of them positive: where the parts are small, so is the cost.

The notation is that of :mod:`evonas.surrogates.transfer`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evonas.space import FloatArray
from evonas.surrogates.transfer.chunks import Indices
from evonas.surrogates.transfer.inputs import Views, with_variants_together
from evonas.surrogates.transfer.link_functions import LINKS, apply_link
from evonas.surrogates.transfer.proxy_devices import MEASURED, PREDICTED, RelativeCosts

NOISES = (0.005, 0.06, 0.2, 0.4)
"""Relative noise deviations."""

AMPLITUDE = 0.5
"""Prior deviation of a view's weights, beside a prior mean from proxies; without one it is 1."""

OFFSET = 0.5
"""Prior deviation of the offset, and of the factor of the prior mean."""

COMPONENT = 3.0
"""Prior deviation of the weights of principal components."""

PARTS, PARTS_OF_ONE = 1.0, 10.0
"""Prior deviation of the factors by which a part's cost differs from that on a proxy device.

In units of the scale that a candidate's terms share, typically 0.2. When there is only one proxy,
nothing else tells how devices differ, and a part may well cost some times as much.
"""

COMPONENTS = 6
"""Principal components that a candidate has, at most."""


class ModelClass(NamedTuple):
    """What candidates are weighted by; a class differs only in which proxy device it is made of.

    Profiles hold these values.

    Args:
        link: Name of the link function.
        kind: Kind of the prior mean: ``none``, ``each``, ``group``, ``mean``, ``span`` (the mean,
            with principal components as terms) or ``parts``.
        variant: Variant of the proxy costs.
        view: Name of the feature view, empty for none.
        noise: Relative noise deviation.
    """

    link: str
    kind: str
    variant: str
    view: str
    noise: float


@dataclass(frozen=True)
class Terms:
    """What the candidates are made of, at n designs.

    Args:
        level: Typical relative cost, shape (n,); ones when there is no proxy.
        views: The scaled feature views; then the empty one; then what parts of the designs cost
            proxies; shape (n, columns) each.
        means: Prior means in units of the link function, shape (prior means, n).
        slopes: The prior means, centred and scaled: what their factor multiplies.
        components: Principal components, shape (n, columns) each, the empty ones last.
    """

    level: FloatArray
    views: list[FloatArray]
    means: FloatArray
    slopes: FloatArray
    components: list[FloatArray]

    def take(self, rows: Indices) -> Terms:
        """Keep some of the designs."""
        return Terms(
            self.level[rows],
            [view[rows] for view in self.views],
            self.means[:, rows],
            self.slopes[:, rows],
            [component[rows] for component in self.components],
        )


class Candidates:
    """All candidate models, given the proxy devices.

    Args:
        views: Feature views of the designs that the proxies were measured on.
        costs: Costs of the proxies, positive and without gaps, shape (designs, devices).
        predicted: The same costs as the proxies' own models predict them.

    Attributes:
        link, mean, view, component: Index of each candidate's link function, prior mean, view and
            principal components, shape (candidates,) each.
        noise: Relative noise deviation, shape (candidates,).
        amplitude: Prior deviation of the weights of its view, shape (candidates,).
        classes: The classes of the candidates, sorted.
        class_of: Index of each candidate's class, shape (candidates,).
        class_sizes: Number of candidates of each class, shape (classes,).
    """

    def __init__(self, views: Views, costs: FloatArray, predicted: FloatArray) -> None:
        views = with_variants_together(views)
        self.names = list(views)
        self._proxies = RelativeCosts(views, costs, predicted)
        self.has_proxies = self._proxies.count > 0
        self._centres = {name: view.mean(axis=0) for name, view in views.items()}
        self._scales = {name: _scales(view) for name, view in views.items()}
        relative = self._proxies.of(views, costs, predicted)
        means = self._means(relative, len(costs))
        self._mean_centres = means.mean(axis=1)
        self._mean_scales = np.maximum(means.std(axis=1), 0.5)
        self._component_maps: list[tuple[FloatArray, FloatArray]] = []
        self._rows: list[tuple[float, ...]] = []
        classes: list[ModelClass] = []
        mean = 0  # Counts in the order of self._means.
        for link, name in enumerate(LINKS):
            classes += self._add("none", "", link, mean)
            mean += 1
            for variant, devices in zip(self._proxies.variants, relative, strict=True):
                first = mean
                for kind, _ in self._proxies.members(variant):
                    classes += self._add(kind, variant, link, mean)
                    mean += 1
                if devices.shape[1] > 1:
                    component = self._add_components(apply_link(link, devices))
                    classes += self._add("span", variant, link, mean - 1, component)
                if variant == PREDICTED and name == "identity":
                    classes += self._add_parts(first)
        columns = np.array(self._rows).T
        self.link, self.mean, self.view, self.component = columns[:4].astype(int)
        self.noise, self.amplitude, self._factor, self._offset = columns[4:]
        self.classes = sorted(set(classes))
        numbers = {own: number for number, own in enumerate(self.classes)}
        self.class_of = np.array([numbers[own] for own in classes])
        self.class_sizes = np.bincount(self.class_of)

    def _add_components(self, values: FloatArray) -> int:
        differences = values - values.mean(axis=1, keepdims=True)
        centre = differences.mean(axis=0)
        _, _, directions = np.linalg.svd(differences - centre, full_matrices=False)
        size = min(COMPONENTS, values.shape[1] - 1)
        self._component_maps.append((centre, directions[:size].T / np.sqrt(values.shape[1])))
        return len(self._component_maps) - 1

    def _add(
        self, kind: str, variant: str, link: int, mean: int, component: int = -1
    ) -> list[ModelClass]:
        """Add the candidates of a prior mean, with each view and noise."""
        classes = []
        carried = variant not in (MEASURED, PREDICTED)
        amplitude, factor = (1.0, 0.0) if kind == "none" else (AMPLITUDE, OFFSET)
        for view, name in enumerate([*self.names, ""]):
            # Costs that were carried over to a graph variant go with views of that variant.
            fits = not carried or not name or name.partition(":")[2] == variant
            if not fits or (kind == "none" and not name):
                continue
            for noise in NOISES:
                self._rows.append((link, mean, view, component, noise, amplitude, factor, OFFSET))
                classes.append(ModelClass(LINKS[link], kind, variant, name, noise))
        return classes

    def _add_parts(self, first: int) -> list[ModelClass]:
        """Add candidates whose terms scale what the parts of a design cost a proxy device."""
        classes = []
        deviation = PARTS if self._proxies.count > 1 else PARTS_OF_ONE
        for number, (name, device, _) in enumerate(self._proxies.parts):
            view = len(self.names) + 1 + number
            for noise in NOISES:
                self._rows.append((0, first + device, view, -1, noise, deviation, 0.0, 0.0))
                classes.append(ModelClass(LINKS[0], "parts", PREDICTED, name, noise))
        return classes

    def __len__(self) -> int:
        return len(self.link)

    def _means(self, relative: list[FloatArray], designs: int) -> FloatArray:
        """Prior means in units of the link function, shape (prior means, designs)."""
        logarithms = [np.zeros((1, designs))]
        for variant, costs in zip(self._proxies.variants, relative, strict=True):
            members = self._proxies.members(variant)
            shares = np.zeros((len(members), costs.shape[1]))
            for row, (_, devices) in zip(shares, members, strict=True):
                row[devices] = 1 / len(devices)
            logarithms.append(shares @ np.log(costs).T)
        means = np.exp(np.vstack(logarithms))
        return np.vstack([apply_link(link, means) for link in range(len(LINKS))])

    def terms(self, views: Views, costs: FloatArray, predicted: FloatArray) -> Terms:
        """Evaluate the terms of the candidates at designs.

        Args:
            views: Feature views of the designs.
            costs: Costs of the designs on the proxies, shape (designs, devices).
            predicted: The same costs as the proxies' own models predict them.
        """
        views = with_variants_together(views)
        relative = self._proxies.of(views, costs, predicted)
        nothing = np.zeros((len(costs), 0))
        scaled = [(views[n] - self._centres[n]) * self._scales[n] for n in self.names]
        means = self._means(relative, len(costs))
        slopes = (means - self._mean_centres[:, None]) / self._mean_scales[:, None]
        components = []
        for number, (centre, directions) in enumerate(self._component_maps):
            link, variant = divmod(number, len(relative))
            values = apply_link(link, relative[variant])
            differences = values - values.mean(axis=1, keepdims=True) - centre
            components.append(COMPONENT * differences @ directions)
        level = np.exp(np.log(relative[0]).mean(axis=1)) if relative else np.ones(len(costs))
        parts = self._proxies.contributions(views)
        return Terms(level, [*scaled, nothing, *parts], means, slopes, [*components, nothing])

    def covariance(self, some: Indices, rows: Terms, columns: Terms) -> FloatArray:
        """Prior covariance under some candidates, shape (candidates, rows, columns)."""
        used, view = np.unique(self.view[some], return_inverse=True)
        of_views = np.array([rows.views[number] @ columns.views[number].T for number in used])
        of_components = np.array(
            [a @ b.T for a, b in zip(rows.components, columns.components, strict=True)]
        )
        factor, offset = (
            (deviation[some] ** 2)[:, None, None] for deviation in (self._factor, self._offset)
        )
        mean = self.mean[some]
        slopes = rows.slopes[mean][:, :, None] * columns.slopes[mean][:, None]
        amplitude = self.amplitude[some][:, None, None]
        total: FloatArray = (
            offset
            + amplitude**2 * of_views[view]
            + factor * slopes
            + of_components[self.component[some]]
        )
        return total

    def cross_covariance(self, candidate: int, rows: Terms, columns: Terms) -> FloatArray:
        """Prior covariance under one candidate, shape (rows, columns)."""
        own, other = self._weighted(candidate, rows), self._weighted(candidate, columns)
        covariance: FloatArray = own @ other.T
        return covariance

    def _weighted(self, candidate: int, rows: Terms) -> FloatArray:
        """The terms of one candidate, times their prior deviations; shape (rows, terms)."""
        terms = [
            np.full((len(rows.level), 1), self._offset[candidate]),
            self.amplitude[candidate] * rows.views[self.view[candidate]],
            rows.components[self.component[candidate]],
        ]
        factor = self._factor[candidate]
        if factor:
            terms.append(factor * rows.slopes[self.mean[candidate]][:, None])
        return np.hstack(terms)

    def variance(self, candidate: int, rows: Terms) -> FloatArray:
        """Prior variance under one candidate, shape (rows,)."""
        view, mean, component = (
            index[candidate] for index in (self.view, self.mean, self.component)
        )
        total: FloatArray = (
            self._offset[candidate] ** 2
            + self.amplitude[candidate] ** 2 * (rows.views[view] ** 2).sum(axis=1)
            + self._factor[candidate] ** 2 * rows.slopes[mean] ** 2
            + (rows.components[component] ** 2).sum(axis=1)
        )
        return total

    def noise_deviation(self, some: Indices, level: FloatArray) -> FloatArray:
        """Noise deviation in units of the link function, shape (candidates, designs).

        Args:
            some: Indices of candidates.
            level: Relative cost of the designs, shape (designs,).
        """
        level = np.clip(level, 0.3, 3.0)
        factors = np.array([level, np.ones_like(level)])
        deviations: FloatArray = self.noise[some][:, None] * factors[self.link[some]]
        return deviations


def _scales(view: FloatArray) -> FloatArray:
    """Factors of the columns under which those that vary have a total variance of 1."""
    deviation = view.std(axis=0)
    used = deviation > 1e-9
    safe = np.where(used, deviation, 1.0)
    scales: FloatArray = np.where(used, 1 / (safe * np.sqrt(max(1, used.sum()))), 0.0)
    return scales
