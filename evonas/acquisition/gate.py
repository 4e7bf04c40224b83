"""Gates: which proposals are worth evaluating."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evonas.acquisition.posterior import Forecast, Outlook
from evonas.pareto import non_dominated
from evonas.problem import Problem
from evonas.records import Decision, Evaluation, Prediction, Verdict
from evonas.space import FloatArray, Genome, genome_key

DRAWS = 64
"""Draws from a prediction that its probability of entering the front is counted on."""

OPTIMISM = 0.5
"""Standard deviations by which the spread along the predicted front takes predictions as better."""

CAUTION = 3.0
"""Least factor on deviations when it comes to pruning. What looks worst among many proposals is in
part what the surrogate errs on most, so its own deviations would prune too readily."""

UNPROVEN = 1e30
"""Factor on deviations as long as too few predictions were compared with what came out."""

STRANGER = 0.25
"""Weight of a design that is no neighbour of the front, next to 1 of one that is: at the same
probability of entering the front, fewer of the former do."""

GAIN = 0.002
"""Least gain worth an evaluation, as a share of the front's range in an objective. Without it, most
evaluations go to designs that equal members of the front but for the noise."""


class EvaluateAll:
    """The gate of a search without surrogates."""

    choice = 1

    def resume(self, judged: Sequence[tuple[Genome, Verdict]]) -> None:
        """Remember nothing."""

    def judge(self, genomes: Sequence[Genome], wanted: int) -> list[Verdict | None]:
        """Let every proposal through."""
        return [Verdict(Decision.EVALUATE, "no surrogate") for _ in genomes]

    def observe(self, evaluations: Sequence[Evaluation]) -> None:
        """Learn nothing."""


@dataclass(frozen=True)
class _View:
    """Proposals as the gate sees them, costs in units of the front's range in each objective.

    Args:
        optimistic: The means, better by some deviations, shape (proposals, objectives).
        front: Members of the front, shape (members, objectives).
        reached: The front and the expectations of what is running, shape (points, objectives).
        entering: Probability of being feasible and of entering the front with a gain, shape
            (proposals,).
        doomed: Probability of the contrary, under deviations enlarged for caution.
        hopeful: Proposals that are more likely feasible than not.
        last: 0 for proposals that are more likely to have values than not, 1 for others, and 2 for
            those that are known to have none.
    """

    optimistic: FloatArray
    front: FloatArray
    reached: FloatArray
    entering: FloatArray
    doomed: FloatArray
    hopeful: NDArray[np.bool_]
    last: NDArray[np.int_]


class SurrogateGate:
    """Prunes what is predicted to be dominated, and chooses among the rest.

    Half of the designs that it evaluates are spread along the predicted front, each as far as
    possible from all that is known and chosen; this finds the shape of the front quickly. The
    other half are those most likely to enter the front; this finds the last points, which differ
    from their neighbours by little more than noise. In both, neighbours of the front (one gene
    apart) are preferred: what is promised of them is kept more often.

    It prunes by deviations that are enlarged until they would have covered the errors of what was
    predicted before it was evaluated, as in split conformal prediction (Lei et al. 2018). Before
    there are enough of these, 33 as a rule, nothing is predicted well enough to be pruned.

    Args:
        problem: What is searched.
        forecast: Predicts; it is told of evaluations through the gate.
        prune: Probability of being dominated, or infeasible, from which on a design is pruned.
        audits: Share of the pruned designs that are evaluated all the same.
        seed: Decides which.
    """

    choice = 200

    def __init__(
        self,
        problem: Problem,
        forecast: Forecast,
        *,
        prune: float = 0.97,
        audits: float = 0.01,
        seed: int = 0,
    ) -> None:
        self._problem = problem
        self._forecast = forecast
        self._prune = prune
        self._audits = audits
        self._seed = seed
        self._pending: dict[str, tuple[Genome, Mapping[str, Prediction]]] = {}
        self._errors: dict[str, list[float]] = {}
        self._draws = np.random.default_rng(0).standard_normal((DRAWS, len(problem.objectives)))

    def resume(self, judged: Sequence[tuple[Genome, Verdict]]) -> None:
        """Take up what it let through; see the protocol."""
        for genome, verdict in judged:
            if verdict.decision is not Decision.PRUNE:
                self._pending[genome_key(genome)] = genome, verdict.predictions

    def observe(self, evaluations: Sequence[Evaluation]) -> None:
        """Learn from evaluations, and of how far off predictions were."""
        self._forecast.observe(evaluations)
        for evaluation in evaluations:
            key = genome_key(evaluation.candidate.genome)
            _, predictions = self._pending.pop(key, (None, {}))
            for metric, predicted in predictions.items():
                if metric in evaluation.values:
                    error = abs(evaluation.values[metric] - predicted.mean) / predicted.deviation
                    self._errors.setdefault(metric, []).append(error)

    def _caution(self, metric: str) -> float:
        """Deviations that a share of all errors stays within, as large as that of a prune."""
        errors = sorted(self._errors.get(metric, []))
        rank = math.ceil((len(errors) + 1) * self._prune)
        return max(CAUTION, errors[rank - 1]) if rank <= len(errors) else UNPROVEN

    def judge(self, genomes: Sequence[Genome], wanted: int) -> list[Verdict | None]:
        """Choose, prune and audit; see the protocol."""
        if not self._forecast.ready:
            opening = Verdict(Decision.EVALUATE, "opening design")
            return [opening if row < wanted else None for row in range(len(genomes))]
        outlook = self._forecast.outlook(genomes)
        view = self._view(outlook)
        verdicts: list[Verdict | None] = [None] * len(genomes)
        dominated = view.doomed >= self._prune
        audited = []
        for row in _rows(dominated):
            reason = f"predicted dominated with probability {view.doomed[row]:.3f}"
            predictions = outlook.predictions(row)
            if outlook.impossible[row]:
                reason = "known to have no values"
            elif not predictions:
                reason = "known to be dominated or infeasible"
            verdicts[row] = Verdict(Decision.PRUNE, reason, predictions)
            # Where nothing is predicted, there is nothing to audit.
            if predictions and self._is_audited(genomes[row]):
                audited.append(row)
        # At most half of a batch goes to audits; the others stay undecided until proposed again.
        room = (wanted + 1) // 2
        reasons = dict.fromkeys(audited[:room], "audit")
        for row in audited[room:]:
            verdicts[row] = None
        self._choose(view, self._near_front(genomes), wanted, reasons)
        for row, reason in reasons.items():
            decision = Decision.AUDIT if reason == "audit" else Decision.EVALUATE
            before, predictions = verdicts[row], outlook.predictions(row)
            if before is not None:
                reason = f"{reason}: {before.reason}"
            verdicts[row] = Verdict(decision, reason, predictions)
            self._pending[genome_key(genomes[row])] = genomes[row], predictions
        self._forecast.forget()
        return verdicts

    def _is_audited(self, genome: Genome) -> bool:
        """Draw by the design itself: the same at every proposal, and after a resume."""
        text = f"{self._seed} {genome_key(genome)}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64 < self._audits

    def _view(self, outlook: Outlook) -> _View:
        forecast, objectives = self._forecast, self._problem.objectives
        front = forecast.costs(forecast.front())
        pending = [genome for genome, _ in self._pending.values()]
        reached = front
        if pending:
            expected = forecast.outlook(pending)
            running = [o.sign * expected.means[o.metric] for o in objectives]
            reached = np.vstack([front, np.column_stack(running)])
        wide = {m: self._caution(m) * deviation for m, deviation in outlook.deviations.items()}
        means = np.column_stack([o.sign * outlook.means[o.metric] for o in objectives])
        deviations = np.column_stack([outlook.deviations[o.metric] for o in objectives])
        widened = np.column_stack([wide[o.metric] for o in objectives])
        unit = np.ones(len(objectives))
        for costs in (forecast.costs(forecast.evaluations), front):
            if len(costs):  # As long as no design is feasible, there is no front.
                # Members of a front may tie in an objective in which other designs do not.
                extent = np.ptp(costs, axis=0)
                unit = np.where(extent > 0, extent, unit)
        least = forecast.least_costs()
        means, deviations, widened, front, reached, least = (
            costs / unit for costs in (means, deviations, widened, front, reached, least)
        )
        feasible = self._feasible(outlook)
        entering = feasible * self._non_dominated(means, deviations, front - GAIN, least)
        # Failures near by make a design less attractive, but are no proof that it fails as well.
        cautious = replace(outlook, deviations=wide, success=(outlook.success > 0).astype(float))
        doomed = 1 - self._feasible(cautious) * self._non_dominated(means, widened, front, least)
        optimistic = np.maximum(means - OPTIMISM * deviations, least)
        last = (outlook.success <= 0.5).astype(int) + outlook.impossible
        return _View(optimistic, front, reached, entering, doomed, feasible > 0.5, last)

    def _non_dominated(
        self, means: FloatArray, deviations: FloatArray, front: FloatArray, least: FloatArray
    ) -> FloatArray:
        """Count the draws in which no member of the front dominates, shape (proposals,)."""
        if not len(front):
            return np.ones(len(means))
        count = np.zeros(len(means))
        # One row an objective: numpy goes along few long rows faster than along many short ones.
        members, means, deviations = (x.T.copy() for x in (front, means, deviations))
        least = least[:, None]
        for draw in self._draws:
            points = np.maximum(means + draw[:, None] * deviations, least)[:, None, :]
            no_worse, better = members[:, :, None] <= points, members[:, :, None] < points
            count += ~(no_worse.all(axis=0) & better.any(axis=0)).any(axis=0)
        share: FloatArray = count / DRAWS
        return share

    def _feasible(self, outlook: Outlook) -> FloatArray:
        """Probability of having values and keeping every constraint, shape (proposals,)."""
        probability = outlook.success.copy()
        for constraint in self._problem.constraints:
            mean = outlook.means[constraint.metric]
            deviation = np.maximum(outlook.deviations[constraint.metric], 1e-12)
            probability *= _normal_below((constraint.upper - mean) / deviation)
            probability *= _normal_below((mean - constraint.lower) / deviation)
        return probability

    def _near_front(self, genomes: Sequence[Genome]) -> NDArray[np.bool_]:
        """Whether a proposal differs from a member of the front in one gene."""
        space = self._problem.space
        front = [evaluation.candidate.genome for evaluation in self._forecast.front()]
        if not front:
            return np.zeros(len(genomes), dtype=bool)
        codes, own = space.encode(front), space.encode(genomes)
        return np.array([((codes != code).sum(axis=1) <= 1).any() for code in own])

    def _choose(
        self, view: _View, near: NDArray[np.bool_], wanted: int, reasons: dict[int, str]
    ) -> None:
        """Add to ``reasons`` until as many as wanted have one."""
        optimistic = view.optimistic
        hopeful = np.array([r for r in _rows(view.hopeful) if r not in reasons], dtype=int)
        edge = [
            int(row)
            for row in hopeful[non_dominated(optimistic[hopeful])]
            if not (view.front - GAIN <= optimistic[row]).all(axis=1).any()
        ]
        # One design at a time (an asynchronous search) takes the two halves in turn.
        turn = len(self._forecast.evaluations) + len(self._pending)
        spread = (max(0, wanted - len(reasons)) + turn % 2) // 2
        weight = np.where(near, 1.0, STRANGER)
        reached = view.reached
        while edge and spread:
            gaps = np.square(optimistic[edge][:, None, :] - reached).sum(axis=2)
            row = edge.pop(int((weight[edge] * gaps.min(axis=1, initial=np.inf)).argmax()))
            reasons[row] = "spread along the predicted front"
            reached = np.vstack([reached, optimistic[row]])
            spread -= 1
        appeal = weight * view.entering
        # When nothing is left that might enter the front, the least hopeless come first. Where
        # evaluations keep failing, it takes more than a promise: only what is left over goes there.
        for row in map(int, np.lexsort((optimistic.sum(axis=1), -appeal, view.last))):
            if len(reasons) >= wanted:
                return
            if row not in reasons:
                place = "next to the front" if near[row] else "away from the front"
                reasons[row] = (
                    f"enters the front with probability {view.entering[row]:.3f}, {place}"
                )


def _rows(mask: NDArray[np.bool_]) -> list[int]:
    return [int(row) for row in np.flatnonzero(mask)]


def _normal_below(scores: FloatArray) -> FloatArray:
    """Cumulative distribution function of the standard normal distribution."""
    return np.array([math.erfc(-score / math.sqrt(2)) / 2 for score in scores])
