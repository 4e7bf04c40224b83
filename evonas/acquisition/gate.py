"""Gates: which proposals are worth evaluating."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evonas.acquisition.posterior import OPTIMISM, Posterior, PosteriorModel
from evonas.pareto import dominates, non_dominated
from evonas.problem import Problem
from evonas.records import Decision, Evaluation, Prediction, Verdict
from evonas.space import FloatArray, Genome, genome_key

DRAWS = 64
"""Draws from a posterior that the probability of improvement is counted on (Monte Carlo)."""

LEAST_INFLATION = 3.0
"""Least conformal inflation of deviations when it comes to pruning. What looks worst among many
proposals is in part what the surrogate errs on most: its own deviations would prune too readily."""

UNCALIBRATED = 1e30
"""Inflation as long as too few predictions were compared with values: nothing is pruned then."""

OFF_FRONT_WEIGHT = 0.25
"""Weight of a design that is no neighbour of the front, next to 1 of one that is: of designs with
the same probability of improvement, fewer of the former enter the front."""

GAIN = 0.002
"""Least gain worth an evaluation, as a share of the front's range in an objective. Without it, most
evaluations go to designs that equal members of the front but for the noise."""


class EvaluateAll:
    """The gate of a search without surrogates."""

    proposals_per_evaluation = 1

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
        improvement: Probability of improvement: of being feasible and entering the front with a
            gain, shape (proposals,).
        dominated: Probability of being dominated or infeasible, under inflated deviations, shape
            (proposals,).
        likely_feasible: Whether a proposal is more likely feasible than not, shape (proposals,).
        last: 0 for proposals that are more likely to have values than not, 1 for others, and 2 for
            those that are known to have none.
    """

    optimistic: FloatArray
    front: FloatArray
    reached: FloatArray
    improvement: FloatArray
    dominated: FloatArray
    likely_feasible: NDArray[np.bool_]
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
        model: Predicts designs; it is told of evaluations through the gate.
        prune: Probability of being dominated, or infeasible, from which on a design is pruned.
        audits: Share of the pruned designs that are evaluated all the same.
        seed: Decides which.
    """

    proposals_per_evaluation = 200

    def __init__(
        self,
        problem: Problem,
        model: PosteriorModel,
        *,
        prune: float = 0.97,
        audits: float = 0.01,
        seed: int = 0,
    ) -> None:
        self._problem = problem
        self._model = model
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
        self._model.observe(evaluations)
        for evaluation in evaluations:
            key = genome_key(evaluation.candidate.genome)
            _, predictions = self._pending.pop(key, (None, {}))
            for metric, predicted in predictions.items():
                if metric in evaluation.values:
                    error = abs(evaluation.values[metric] - predicted.mean) / predicted.deviation
                    self._errors.setdefault(metric, []).append(error)

    def _inflation(self, metric: str) -> float:
        """Deviations that a share of all errors stays within, as large as that of a prune."""
        errors = sorted(self._errors.get(metric, []))
        rank = math.ceil((len(errors) + 1) * self._prune)
        return max(LEAST_INFLATION, errors[rank - 1]) if rank <= len(errors) else UNCALIBRATED

    def judge(self, genomes: Sequence[Genome], wanted: int) -> list[Verdict | None]:
        """Choose, prune and audit; see the protocol."""
        if not self._model.ready:
            initial = Verdict(Decision.EVALUATE, "initial design")
            return [initial if row < wanted else None for row in range(len(genomes))]
        posterior = self._model.posterior(genomes)
        view = self._view(posterior)
        verdicts: list[Verdict | None] = [None] * len(genomes)
        dominated = view.dominated >= self._prune
        audited = []
        for row in _rows(dominated):
            reason = f"predicted dominated with probability {view.dominated[row]:.3f}"
            predictions = posterior.predictions(row)
            if posterior.impossible[row]:
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
            before, predictions = verdicts[row], posterior.predictions(row)
            if before is not None:
                reason = f"{reason}: {before.reason}"
            verdicts[row] = Verdict(decision, reason, predictions)
            self._pending[genome_key(genomes[row])] = genomes[row], predictions
        self._model.forget()
        return verdicts

    def _is_audited(self, genome: Genome) -> bool:
        """Draw by the design itself: the same at every proposal, and after a resume."""
        text = f"{self._seed} {genome_key(genome)}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64 < self._audits

    def _view(self, posterior: Posterior) -> _View:
        model, objectives = self._model, self._problem.objectives
        front = model.costs(model.front())
        pending = [genome for genome, _ in self._pending.values()]
        reached = front
        if pending:
            expected = model.posterior(pending)
            running = [o.sign * expected.means[o.metric] for o in objectives]
            reached = np.vstack([front, np.column_stack(running)])
        wide = {m: self._inflation(m) * deviation for m, deviation in posterior.deviations.items()}
        means = np.column_stack([o.sign * posterior.means[o.metric] for o in objectives])
        deviations = np.column_stack([posterior.deviations[o.metric] for o in objectives])
        widened = np.column_stack([wide[o.metric] for o in objectives])
        unit = np.ones(len(objectives))
        for costs in (model.costs(model.evaluations), front):
            if len(costs):  # As long as no design is feasible, there is no front.
                # Members of a front may tie in an objective in which other designs do not.
                extent = np.ptp(costs, axis=0)
                unit = np.where(extent > 0, extent, unit)
        least = model.least_costs()
        means, deviations, widened, front, reached, least = (
            costs / unit for costs in (means, deviations, widened, front, reached, least)
        )
        feasible = self._feasible(posterior)
        improvement = feasible * self._non_dominated(means, deviations, front - GAIN, least)
        # Failures near by make a design less attractive, but are no proof that it fails as well.
        inflated = replace(
            posterior, deviations=wide, success=(posterior.success > 0).astype(float)
        )
        dominated = 1 - self._feasible(inflated) * self._non_dominated(means, widened, front, least)
        optimistic = np.maximum(means - OPTIMISM * deviations, least)
        last = (posterior.success <= 0.5).astype(int) + posterior.impossible
        return _View(optimistic, front, reached, improvement, dominated, feasible > 0.5, last)

    def _non_dominated(
        self, means: FloatArray, deviations: FloatArray, front: FloatArray, least: FloatArray
    ) -> FloatArray:
        """Count the draws in which no member of the front dominates, shape (proposals,)."""
        if not len(front):
            return np.ones(len(means))
        count = np.zeros(len(means))
        members, means, deviations = (x.T.copy() for x in (front, means, deviations))
        least = least[:, None]
        for draw in self._draws:
            points = np.maximum(means + draw[:, None] * deviations, least)[:, None, :]
            count += ~dominates(members[:, :, None], points).any(axis=0)
        share: FloatArray = count / DRAWS
        return share

    def _feasible(self, posterior: Posterior) -> FloatArray:
        """Probability of having values and keeping every constraint, shape (proposals,)."""
        probability = posterior.success.copy()
        for constraint in self._problem.constraints:
            mean = posterior.means[constraint.metric]
            deviation = np.maximum(posterior.deviations[constraint.metric], 1e-12)
            probability *= _normal_below((constraint.upper - mean) / deviation)
            probability *= _normal_below((mean - constraint.lower) / deviation)
        return probability

    def _near_front(self, genomes: Sequence[Genome]) -> NDArray[np.bool_]:
        """Whether a proposal differs from a member of the front in one gene."""
        space = self._problem.space
        front = [evaluation.candidate.genome for evaluation in self._model.front()]
        if not front:
            return np.zeros(len(genomes), dtype=bool)
        codes, own = space.encode(front), space.encode(genomes)
        return np.array([((codes != code).sum(axis=1) <= 1).any() for code in own])

    def _choose(
        self, view: _View, near: NDArray[np.bool_], wanted: int, reasons: dict[int, str]
    ) -> None:
        """Add to ``reasons`` until as many as wanted have one."""
        optimistic = view.optimistic
        likely_feasible = np.array(
            [r for r in _rows(view.likely_feasible) if r not in reasons], dtype=int
        )
        edge = [
            int(row)
            for row in likely_feasible[non_dominated(optimistic[likely_feasible])]
            if not (view.front - GAIN <= optimistic[row]).all(axis=1).any()
        ]
        # One design at a time (an asynchronous search) takes the two halves in turn.
        turn = len(self._model.evaluations) + len(self._pending)
        spread = (max(0, wanted - len(reasons)) + turn % 2) // 2
        weight = np.where(near, 1.0, OFF_FRONT_WEIGHT)
        reached = view.reached
        while edge and spread:
            gaps = np.square(optimistic[edge][:, None, :] - reached).sum(axis=2)
            row = edge.pop(int((weight[edge] * gaps.min(axis=1, initial=np.inf)).argmax()))
            reasons[row] = "spread along the predicted front"
            reached = np.vstack([reached, optimistic[row]])
            spread -= 1
        appeal = weight * view.improvement
        # When nothing is left that might enter the front, the least hopeless come first. Where
        # evaluations keep failing, it takes more than a promise: only what is left over goes there.
        for row in map(int, np.lexsort((optimistic.sum(axis=1), -appeal, view.last))):
            if len(reasons) >= wanted:
                return
            if row not in reasons:
                place = "next to the front" if near[row] else "away from the front"
                reasons[row] = (
                    f"enters the front with probability {view.improvement[row]:.3f}, {place}"
                )


def _rows(mask: NDArray[np.bool_]) -> list[int]:
    return [int(row) for row in np.flatnonzero(mask)]


def _normal_below(scores: FloatArray) -> FloatArray:
    """Cumulative distribution function of the standard normal distribution."""
    return np.array([math.erfc(-score / math.sqrt(2)) / 2 for score in scores])
