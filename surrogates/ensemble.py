"""The model of one metric: a Gaussian process and trees, each weighted by how well it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evonas.run.diagnostics import spearman
from evonas.space import FloatArray
from evonas.surrogates.encoding import FeatureGroup
from evonas.surrogates.process.kernel import KernelLayout
from evonas.surrogates.process.regression import GaussianProcess
from evonas.surrogates.scaling import SCALINGS, Scaling, Standard
from evonas.surrogates.trees import Trees, out_of_fold

TREES_FROM = 24
"""Fewest rows that trees are tried with."""

RELUCTANCE = 1.2
"""Factor by which a scaling must be better than the usual one to be chosen."""

SHARPNESS = 4
"""Power of the ratio of mean squared errors by which process and trees share the mean."""

NOISE_SLOPES = (-0.5, 0.5, 1.0)
"""Noise slopes of the Gaussian process that are tried besides 0."""

STRONG = 3.0
"""Difference of log evidences that is strong: odds of twenty to one (Kass and Raftery 1995)."""

CHOICE_ROWS = 250
"""Rows that choices are made on, at most: with more, they hardly change any more."""


@dataclass(frozen=True)
class FittedChoices:
    """Choices that are made on the first rows and then kept for a while, because they cost most.

    Args:
        groups: Indices of the feature groups that the models see.
        scaling: Scaling of the metric.
        hyperparameters: Hyperparameters of the Gaussian process, in the order of
            :class:`evonas.surrogates.process.kernel.HyperPrior`.
        noise_slope: Slope of its noise, see
            :class:`evonas.surrogates.process.regression.GaussianProcess`.
        trees: Share of the trees in the mean, from 0 to 1.
        calibration: Factor on the deviation under which the standardised errors of left-out rows
            have a root mean square of 1.
    """

    groups: tuple[int, ...]
    scaling: type[Scaling]
    hyperparameters: FloatArray
    noise_slope: float
    trees: float
    calibration: float


def choice_rows(rows: int) -> int:
    """Give the number of first rows that choices are made on: the powers of 1.25 from 10 on.

    It follows from the number of rows alone, so that a resumed run makes the same choices.

    >>> [choice_rows(n) for n in (3, 10, 12, 13, 100, 1000)]
    [3, 10, 10, 12, 93, 250]
    """
    if rows < 10:
        return rows
    power = int(np.log(rows / 10) / np.log(1.25) + 1e-9)
    return min(CHOICE_ROWS, int(10 * 1.25**power))


def _stack(
    groups: Sequence[FeatureGroup], chosen: Sequence[int]
) -> tuple[FloatArray, list[KernelLayout]]:
    """Put the views of some groups side by side, and list their layouts."""
    views = [view for group in chosen for view in groups[group].views]
    return np.hstack(views), [layout for group in chosen for layout in groups[group].layouts]


def _fit(
    groups: Sequence[FeatureGroup],
    chosen: Sequence[int],
    scores: FloatArray,
    noise_slope: float = 0.0,
) -> GaussianProcess:
    features, layouts = _stack(groups, chosen)
    process = GaussianProcess(layouts, noise_slope=noise_slope)
    process.fit(features, scores)
    return process


def _choose_groups(
    groups: Sequence[FeatureGroup], scores: FloatArray
) -> tuple[tuple[int, ...], GaussianProcess]:
    """Choose feature groups by the marginal likelihood of the scores under them.

    Views that have nothing to do with a metric blur it, and few rows hardly tell which these are.
    Groups are added one by one as long as the scores become more probable (forward selection;
    Rasmussen and Williams 2006, section 5.2). Graph variants that are left then are taken to be
    wrong; of the other groups, only those that there is strong evidence against.

    Returns:
        The groups that are chosen, at least one, and a process that is fitted to them.
    """
    fitted: dict[tuple[int, ...], GaussianProcess] = {}

    def best_with_one_more(
        seen: tuple[int, ...], among: Sequence[int]
    ) -> tuple[tuple[int, ...], GaussianProcess]:
        more = [tuple(sorted({*seen, group})) for group in among if group not in seen]
        for chosen in more:
            if chosen not in fitted:
                fitted[chosen] = _fit(groups, chosen, scores)
        best = max(more, key=lambda chosen: fitted[chosen].evidence)
        return best, fitted[best]

    everything = range(len(groups))
    seen, process = best_with_one_more((), everything)
    while len(seen) < len(groups):
        more, candidate = best_with_one_more(seen, everything)
        if candidate.evidence <= process.evidence:
            break
        seen, process = more, candidate
    enough = process.evidence - STRONG
    own = [number for number, group in enumerate(groups) if not group.variant]
    while not set(own) <= set(seen):
        more, candidate = best_with_one_more(seen, own)
        if candidate.evidence < enough:
            break
        seen, process = more, candidate
    return seen, process


def _rank_error(process: GaussianProcess, scores: FloatArray) -> float:
    """1 less the rank correlation of left-out rows with their predictions."""
    # Rounded, so that equal orders are equally good whatever the last digit.
    return 1 - round(float(spearman(process.leave_one_out().mean, scores)), 12)


def fit_choices(
    groups: Sequence[FeatureGroup],
    values: FloatArray,
    directions: Sequence[int],
    usual: type[Scaling],
) -> FittedChoices:
    """Choose scaling, feature groups, noise slope and the share of the trees.

    The scaling is that whose process ranks left-out rows best. The noise slope is that under which
    left-out rows are most probable (Rasmussen and Williams 2006, eq. 5.10 and 5.11).

    Args:
        groups: Feature groups of n rows.
        values: Values of the metric, shape (n,).
        directions: See :class:`evonas.surrogates.trees.Trees`.
        usual: Scaling that is taken unless another is clearly better.
    """
    scores = usual.fit(values).to_scores(values)
    seen, process = _choose_groups(groups, scores)
    chosen, least = usual, _rank_error(process, scores)
    for scaling in SCALINGS:
        if scaling is not usual:
            scaled = scaling.fit(values).to_scores(values)
            error = RELUCTANCE * _rank_error(_fit(groups, seen, scaled), scaled)
            if error < least:
                chosen, least = scaling, error
    if chosen is not usual:
        scores = chosen.fit(values).to_scores(values)
        seen, process = _choose_groups(groups, scores)
    others = [_fit(groups, seen, scores, slope) for slope in NOISE_SLOPES]
    process = max([process, *others], key=lambda p: p.leave_one_out().log_density(scores))
    features, _ = _stack(groups, seen)
    left_out = process.leave_one_out()
    errors = left_out.mean - scores
    share = 0.0
    if len(values) >= TREES_FROM:
        tree_errors = out_of_fold(features, scores, directions) - scores
        own, other = (float(np.mean(e**2)) + 1e-12 for e in (errors, tree_errors))
        share = 1.0 if any(directions) else 1 / (1 + (other / own) ** SHARPNESS)
        errors = (1 - share) * errors + share * tree_errors
    # Shrunk towards 1, which is what the marginal likelihood believes, as if by ten more rows.
    standardised = np.clip(errors / left_out.deviation, -4, 4)
    calibration = np.sqrt((np.sum(standardised**2) + 10) / (len(values) + 10))
    return FittedChoices(
        seen, chosen, process.hyperparameters, process.noise_slope, share, float(calibration)
    )


def _in_unit(
    scaling: Scaling, mean: FloatArray, deviation: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Translate predicted scores into the unit of the metric."""
    low, high = scaling.to_values(mean - deviation), scaling.to_values(mean + deviation)
    return scaling.to_values(mean), (high - low) / 2


class EnsembleRegressor:
    """Predicts one metric from few or many rows, by a Gaussian process and boosted trees.

    Args:
        directions: See :class:`evonas.surrogates.trees.Trees`. A metric that is monotone in a gene
            is left to the trees as soon as there are enough rows: they alone keep the promise.
        usual: Scaling that is taken unless another is clearly better.
    """

    def __init__(self, directions: Sequence[int] = (), usual: type[Scaling] = Standard) -> None:
        self._directions = list(directions)
        self._usual = usual
        self._choices_on: dict[int, FittedChoices] = {}

    def fit(self, groups: Sequence[FeatureGroup], values: FloatArray) -> None:
        """Fit to feature groups of n rows, n >= 2, and the metric's values, shape (n,)."""
        rows = choice_rows(len(values))
        if rows not in self._choices_on:
            first = [group.first(rows) for group in groups]
            choices = fit_choices(first, values[:rows], self._directions, self._usual)
            self._choices_on = {rows: choices}
        self._choices = choices = self._choices_on[rows]
        features, layouts = _stack(groups, choices.groups)
        self._scaling: Scaling = choices.scaling.fit(values)
        scores = self._scaling.to_scores(values)
        self._process = GaussianProcess(layouts, choices.hyperparameters, choices.noise_slope)
        self._process.fit(features, scores)
        self._trees = Trees(self._directions) if choices.trees > 0 else None
        if self._trees is not None:
            self._trees.fit(features, scores)

    def predict(self, groups: Sequence[FeatureGroup]) -> tuple[FloatArray, FloatArray]:
        """Predict mean and standard deviation in the unit of the metric.

        Args:
            groups: Feature groups of m rows, in the order of :meth:`fit`.

        Returns:
            Two arrays of shape (m,).
        """
        features, _ = _stack(groups, self._choices.groups)
        mean, deviation = self._process.predict(features)
        deviation = self._choices.calibration * deviation
        if self._trees is not None:
            of_trees, share = self._trees.predict(features), self._choices.trees
            # Where the two disagree, neither is to be trusted as much.
            disagreement = np.sqrt(share * (1 - share)) * (mean - of_trees)
            deviation = np.hypot(deviation, disagreement)
            mean = (1 - share) * mean + share * of_trees
        return _in_unit(self._scaling, mean, deviation)
