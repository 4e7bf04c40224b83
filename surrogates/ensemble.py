"""The model of one metric: a Gaussian process and trees, each weighted by how well it predicts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evonas.run.diagnostics import rank_agreement
from evonas.space import FloatArray
from evonas.surrogates.encoding import Group
from evonas.surrogates.process.kernel import Layout
from evonas.surrogates.process.regression import GaussianProcess
from evonas.surrogates.scaling import SCALINGS, Scaling, Standard
from evonas.surrogates.trees import Trees, out_of_fold

TREES_FROM = 24
"""Rows from which on trees are tried."""

RELUCTANCE = 1.2
"""How much better a scaling has to be than the usual one."""

SHARPNESS = 4
"""Power of the mean squared errors by whose ratio process and trees share the mean."""

SLOPES = (-0.5, 0.5, 1.0)
"""How noise may grow, besides not at all."""

STRONG = 3.0
"""Difference of log evidences that is strong: odds of twenty to one (Kass and Raftery 1995)."""

PLAN_ROWS = 250
"""Rows that the plan is made on, at most: what it decides no longer changes much."""


@dataclass(frozen=True)
class Plan:
    """What is decided on a part of the rows and then kept for a while, because it costs most.

    Args:
        groups: Which of the groups of views the models see.
        scaling: What the models' units are.
        hyperparameters: Of the Gaussian process.
        slope: Of its noise, see :class:`evonas.surrogates.process.regression.GaussianProcess`.
        trees: Share of the trees in the mean, from 0 to 1.
        calibration: Factor on the deviation under which the standardised errors of rows that
            were left out have a root mean square of 1.
    """

    groups: tuple[int, ...]
    scaling: type[Scaling]
    hyperparameters: FloatArray
    slope: float
    trees: float
    calibration: float


def plan_rows(rows: int) -> int:
    """How many of the first rows the plan is made on: the powers of 1.25 from 10 on.

    A function of the number of rows alone, so that a run that is resumed makes the same plan.

    >>> [plan_rows(n) for n in (3, 10, 12, 13, 100, 1000)]
    [3, 10, 10, 12, 93, 250]
    """
    if rows < 10:
        return rows
    power = int(np.log(rows / 10) / np.log(1.25) + 1e-9)
    return min(PLAN_ROWS, int(10 * 1.25**power))


def _take(groups: Sequence[Group], chosen: Sequence[int]) -> tuple[FloatArray, list[Layout]]:
    """Return the columns of some groups of views, and the layout of every view."""
    views = [view for group in chosen for view in groups[group].views]
    return np.hstack(views), [layout for group in chosen for layout in groups[group].layouts]


def _fit(
    groups: Sequence[Group], seen: Sequence[int], scores: FloatArray, slope: float = 0.0
) -> GaussianProcess:
    features, layouts = _take(groups, seen)
    process = GaussianProcess(layouts, slope=slope)
    process.fit(features, scores)
    return process


def _choose(groups: Sequence[Group], scores: FloatArray) -> tuple[tuple[int, ...], GaussianProcess]:
    """Choose the groups of views by the marginal likelihood of the scores under them.

    Views that have nothing to do with a metric blur it, and few rows hardly tell which these are.
    Groups are taken one by one as long as the scores become more probable (forward selection;
    Rasmussen and Williams 2006, section 5.2). Readings that are left then are taken to be wrong;
    of the other groups, only those that there is strong evidence against.

    Returns:
        The groups that are taken, at least one, and a process that is fitted to them.
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
    own = [number for number, group in enumerate(groups) if not group.reading]
    while not set(own) <= set(seen):
        more, candidate = best_with_one_more(seen, own)
        if candidate.evidence < enough:
            break
        seen, process = more, candidate
    return seen, process


def _lack(process: GaussianProcess, scores: FloatArray) -> float:
    """How far the ranks of left-out rows are from being predicted."""
    return float(1 - rank_agreement(process.leave_one_out().mean, scores))


def make_plan(
    groups: Sequence[Group], values: FloatArray, directions: Sequence[int], usual: type[Scaling]
) -> Plan:
    """Choose the scaling whose process ranks left-out rows best, its views, its noise, the trees.

    How the noise grows is decided by how probable left-out rows are (eq. 5.10 and 5.11).
    """
    scores = usual.fit(values).to_scores(values)
    seen, process = _choose(groups, scores)
    chosen, least = usual, _lack(process, scores)
    for scaling in SCALINGS:
        if scaling is not usual:
            scaled = scaling.fit(values).to_scores(values)
            lack = RELUCTANCE * _lack(_fit(groups, seen, scaled), scaled)
            if lack < least:
                chosen, least = scaling, lack
    if chosen is not usual:
        scores = chosen.fit(values).to_scores(values)
        seen, process = _choose(groups, scores)
    others = [_fit(groups, seen, scores, slope) for slope in SLOPES]
    process = max([process, *others], key=lambda p: p.leave_one_out().log_density(scores))
    features, _ = _take(groups, seen)
    left_out = process.leave_one_out()
    error = left_out.mean - scores
    share = 0.0
    if len(values) >= TREES_FROM:
        tree_error = out_of_fold(features, scores, directions) - scores
        own, other = (float(np.mean(e**2)) + 1e-12 for e in (error, tree_error))
        share = 1.0 if any(directions) else 1 / (1 + (other / own) ** SHARPNESS)
        error = (1 - share) * error + share * tree_error
    # Shrunk towards 1, which is what the marginal likelihood believes, as if by ten more rows.
    standardised = np.clip(error / left_out.deviation, -4, 4)
    calibration = np.sqrt((np.sum(standardised**2) + 10) / (len(values) + 10))
    return Plan(seen, chosen, process.hyperparameters, process.slope, share, float(calibration))


def _in_unit(
    scaling: Scaling, mean: FloatArray, deviation: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Translate predicted scores into the metric's unit."""
    low, high = scaling.to_values(mean - deviation), scaling.to_values(mean + deviation)
    return scaling.to_values(mean), (high - low) / 2


class Blend:
    """Predicts one metric from few or many rows.

    Args:
        directions: See :class:`evonas.surrogates.trees.Trees`. A metric that is monotone in a gene
            is left to the trees as soon as there are enough rows: they alone keep the promise.
        usual: The scaling that is taken unless another is clearly better.
    """

    def __init__(self, directions: Sequence[int] = (), usual: type[Scaling] = Standard) -> None:
        self._directions = list(directions)
        self._usual = usual
        self._plans: dict[int, Plan] = {}

    def fit(self, groups: Sequence[Group], values: FloatArray) -> None:
        """Fit to views of n rows, shape (n, columns) each, and their metric values (n,); n >= 2."""
        rows = plan_rows(len(values))
        if rows not in self._plans:
            first = [group.first(rows) for group in groups]
            self._plans = {rows: make_plan(first, values[:rows], self._directions, self._usual)}
        self._plan = self._plans[rows]
        features, layouts = _take(groups, self._plan.groups)
        self._trees = Trees(self._directions) if self._plan.trees > 0 else None
        self._fit_process(features, layouts, values)
        if self._trees is not None:
            self._trees.fit(features, self._scaling.to_scores(values))

    def _fit_process(
        self, features: FloatArray, layouts: Sequence[Layout], values: FloatArray
    ) -> None:
        self._rows = features, layouts, values
        self._scaling: Scaling = self._plan.scaling.fit(values)
        self._process = GaussianProcess(layouts, self._plan.hyperparameters, self._plan.slope)
        self._process.fit(features, self._scaling.to_scores(values))

    def predict(self, groups: Sequence[Group]) -> tuple[FloatArray, FloatArray]:
        """Predict mean and standard deviation in the metric's unit, shape (n,) each."""
        features, _ = _take(groups, self._plan.groups)
        mean, deviation = self._process.predict(features)
        deviation = self._plan.calibration * deviation
        if self._trees is not None:
            of_trees, share = self._trees.predict(features), self._plan.trees
            # Where the two disagree, neither is to be trusted as much.
            disagreement = np.sqrt(share * (1 - share)) * (mean - of_trees)
            deviation = np.hypot(deviation, disagreement)
            mean = (1 - share) * mean + share * of_trees
        return _in_unit(self._scaling, mean, deviation)

    def save(self, directory: Path) -> None:
        """Write rows and plan (``blend.npz``) and the trees as XGBoost's JSON (``trees.json``)."""
        directory.mkdir(parents=True, exist_ok=True)
        features, layouts, values = self._rows
        np.savez(
            directory / "blend.npz",
            features=features,
            layouts=json.dumps([[layout.width, layout.alike] for layout in layouts]),
            values=values,
            directions=np.array(self._directions, dtype=int),
            groups=np.array(self._plan.groups),
            scaling=self._plan.scaling.__name__,
            hyperparameters=self._plan.hyperparameters,
            slope=self._plan.slope,
            trees=self._plan.trees,
            calibration=self._plan.calibration,
        )
        if self._trees is not None:
            self._trees.save(directory / "trees.json")

    @classmethod
    def load(cls, directory: Path) -> Blend:
        """Read a model that :meth:`save` wrote; it predicts the same."""
        with np.load(directory / "blend.npz", allow_pickle=False) as saved:
            blend = cls(saved["directions"].tolist())
            layouts = [
                Layout(width, tuple((repeats, columns) for repeats, columns in alike))
                for width, alike in json.loads(str(saved["layouts"]))
            ]
            blend._plan = Plan(
                tuple(saved["groups"].tolist()),
                next(s for s in SCALINGS if s.__name__ == saved["scaling"]),
                saved["hyperparameters"],
                float(saved["slope"]),
                float(saved["trees"]),
                float(saved["calibration"]),
            )
            blend._trees = Trees.load(directory / "trees.json") if blend._plan.trees > 0 else None
            blend._fit_process(saved["features"], layouts, saved["values"])
        return blend
