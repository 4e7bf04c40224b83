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
"""Number of draws from the posterior that estimate a probability of improvement (Monte Carlo)."""

LEAST_INFLATION = 3.0
"""Least conformal inflation of deviations for pruning. What looks worst among many proposals is in
part what the surrogate errs on most, so its own deviations would prune too readily."""

UNCALIBRATED = 1e30
"""Inflation while too few predictions have been compared with values: nothing is pruned."""

OFF_FRONT_WEIGHT = 0.25
"""Weight of a design that is no neighbour of the front, next to 1 of one that is: of designs with
the same probability of improvement, fewer of the former enter the front."""

GAIN = 0.002
"""Least gain worth an evaluation, as a share of the front's range in an objective. Without it, most
evaluations go to designs that differ from members of the front by noise alone."""


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
class _Scores:
    """Scores of proposals; costs are in units of the front's range in each objective.

    Args:
        optimistic: Means, better by :data:`OPTIMISM` deviations, shape (proposals, objectives).
        front: Costs of the front's members, shape (members, objectives).
        reached: Costs of the front, and means of what is running, shape (points, objectives).
        improvement: Probability of being feasible and entering the front with a gain, shape
            (proposals,).
        dominated: Probability of being dominated or infeasible, under inflated deviations, shape
            (proposals,).
        likely_feasible: Whether a proposal is more likely feasible than not, shape (proposals,).
        tier: Order of preference: 0 for proposals that are more likely to have values than not, 1
            for others, and 2 for those that are known to have none, shape (proposals,).
    """

    optimistic: FloatArray
    front: FloatArray
    reached: FloatArray
    improvement: FloatArray
    dominated: FloatArray
    likely_feasible: NDArray[np.bool_]
    tier: NDArray[np.int_]


class SurrogateGate:
    """Prunes what is predicted to be dominated, and chooses among the rest.

    Half of the designs that it evaluates are spread along the predicted front, each as far as
    possible from what is known or chosen already; this finds the shape of the front quickly. The
    other half are those most likely to enter the front; this finds the last points, which differ
    from their neighbours by little more than noise. In both halves, neighbours of the front (one
    gene apart) are preferred: predictions of them come true more often.

    For pruning, deviations are inflated until they would have covered the errors of earlier
    predictions, as in split conformal prediction (Lei et al. 2018). As long as there are too few of
    these (32 or fewer, by default), nothing is pruned.

    Args:
        problem: The problem to search.
        model: Model that predicts designs; the gate tells it of evaluations.
        prune: Probability of being dominated or infeasible from which on a design is pruned.
        audits: Share of the pruned designs that are evaluated all the same.
        seed: Seed that decides which of them.
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
        """Learn from evaluations, and from the errors of their predictions."""
        self._model.observe(evaluations)
        for evaluation in evaluations:
            key = genome_key(evaluation.candidate.genome)
            _, predictions = self._pending.pop(key, (None, {}))
            for metric, predicted in predictions.items():
                if metric in evaluation.values:
                    error = abs(evaluation.values[metric] - predicted.mean) / predicted.deviation
                    self._errors.setdefault(metric, []).append(error)

    def _inflation(self, metric: str) -> float:
        """Number of deviations that errors stay within, with the probability that a prune takes."""
        errors = sorted(self._errors.get(metric, []))
        rank = math.ceil((len(errors) + 1) * self._prune)
        return max(LEAST_INFLATION, errors[rank - 1]) if rank <= len(errors) else UNCALIBRATED

    def judge(self, genomes: Sequence[Genome], wanted: int) -> list[Verdict | None]:
        """Choose, prune and audit; see the protocol."""
        if not self._model.ready:
            initial = Verdict(Decision.EVALUATE, "initial design")
            return [initial if row < wanted else None for row in range(len(genomes))]
        posterior = self._model.posterior(genomes)
        scores = self._score(posterior)
        verdicts: list[Verdict | None] = [None] * len(genomes)
        dominated = scores.dominated >= self._prune
        audited = []
        for row in _rows(dominated):
            reason = f"predicted dominated with probability {scores.dominated[row]:.3f}"
            predictions = posterior.predictions(row)
            if posterior.impossible[row]:
                reason = "known to have no values"
            elif not predictions:
                reason = "known to be dominated or infeasible"
            verdicts[row] = Verdict(Decision.PRUNE, reason, predictions)
            # Where nothing is predicted, no prediction can be audited.
            if predictions and self._is_audited(genomes[row]):
                audited.append(row)
        # At most half of a batch are audits; the others stay undecided until proposed again.
        room = (wanted + 1) // 2
        reasons = dict.fromkeys(audited[:room], "audit")
        for row in audited[room:]:
            verdicts[row] = None
        self._choose(scores, self._near_front(genomes), wanted, reasons)
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
        """Draw from a hash of the design: the same at every proposal, and after a resume."""
        text = f"{self._seed} {genome_key(genome)}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64 < self._audits

    def _score(self, posterior: Posterior) -> _Scores:
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
        # Failures nearby make a design less attractive, but do not prove that it fails as well.
        inflated = replace(
            posterior, deviations=wide, success=(posterior.success > 0).astype(float)
        )
        dominated = 1 - self._feasible(inflated) * self._non_dominated(means, widened, front, least)
        optimistic = np.maximum(means - OPTIMISM * deviations, least)
        tier = (posterior.success <= 0.5).astype(int) + posterior.impossible
        return _Scores(optimistic, front, reached, improvement, dominated, feasible > 0.5, tier)

    def _non_dominated(
        self, means: FloatArray, deviations: FloatArray, front: FloatArray, least: FloatArray
    ) -> FloatArray:
        """Estimate the probability that no member of the front dominates, shape (proposals,)."""
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
        """Probability of having values and meeting every constraint, shape (proposals,)."""
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
        self, scores: _Scores, near: NDArray[np.bool_], wanted: int, reasons: dict[int, str]
    ) -> None:
        """Add to ``reasons`` until as many as wanted have one."""
        optimistic = scores.optimistic
        likely_feasible = np.array(
            [r for r in _rows(scores.likely_feasible) if r not in reasons], dtype=int
        )
        edge = [
            int(row)
            for row in likely_feasible[non_dominated(optimistic[likely_feasible])]
            if not (scores.front - GAIN <= optimistic[row]).all(axis=1).any()
        ]
        # One design at a time (an asynchronous search) takes the two halves in turn.
        turn = len(self._model.evaluations) + len(self._pending)
        spread = (max(0, wanted - len(reasons)) + turn % 2) // 2
        weight = np.where(near, 1.0, OFF_FRONT_WEIGHT)
        reached = scores.reached
        while edge and spread:
            gaps = np.square(optimistic[edge][:, None, :] - reached).sum(axis=2)
            row = edge.pop(int((weight[edge] * gaps.min(axis=1, initial=np.inf)).argmax()))
            reasons[row] = "spread along the predicted front"
            reached = np.vstack([reached, optimistic[row]])
            spread -= 1
        appeal = weight * scores.improvement
        # Proposals that cannot enter the front come in the order of their costs. Those that are
        # likely to fail come last, whatever is predicted of them.
        for row in map(int, np.lexsort((optimistic.sum(axis=1), -appeal, scores.tier))):
            if len(reasons) >= wanted:
                return
            if row not in reasons:
                place = "next to the front" if near[row] else "away from the front"
                reasons[row] = (
                    f"enters the front with probability {scores.improvement[row]:.3f}, {place}"
                )


def _rows(mask: NDArray[np.bool_]) -> list[int]:
    return [int(row) for row in np.flatnonzero(mask)]


def _normal_below(scores: FloatArray) -> FloatArray:
    """Cumulative distribution function of the standard normal distribution."""
    return np.array([math.erfc(-score / math.sqrt(2)) / 2 for score in scores])
