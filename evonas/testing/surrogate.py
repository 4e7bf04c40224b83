"""Tests of the Surrogate and Gate protocols."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from evonas.derived import all_values
from evonas.problem import Problem
from evonas.protocols import Gate, Surrogate
from evonas.records import Candidate, Decision, Evaluation, Status, Verdict
from evonas.space import FloatArray, Genome, genome_key


def _designs(problem: Problem, n: int, seed: int) -> list[Genome]:
    """Draw different canonical genomes."""
    rng = np.random.default_rng(seed)
    codes = problem.space.sample(20 * n, rng)
    drawn = [problem.canonical(problem.space.decode(code)) for code in codes]
    return list({genome_key(genome): genome for genome in drawn}.values())[:n]


def _values(problem: Problem, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
    names = [metric.name for metric in problem.metrics]
    rows = [all_values(problem, genome) for genome in genomes]
    return {name: np.array([row[name] for row in rows]) for name in names}


class SurrogateSuite(ABC):
    """Tests of the Surrogate protocol."""

    @abstractmethod
    def make_problem(self) -> Problem:
        """Make a cheap problem with at least 200 designs, all of them feasible."""

    @abstractmethod
    def make_surrogate(self, problem: Problem) -> Surrogate:
        """Make the surrogate, not yet fitted."""

    def test_it_chooses_different_designs_to_begin_with(self) -> None:
        problem = self.make_problem()
        designs = _designs(problem, 40, seed=0)
        chosen = list(self.make_surrogate(problem).initial_design(designs, 12))
        assert 0 < len(chosen) <= 12
        assert len(set(chosen)) == len(chosen)
        assert set(chosen) <= set(range(40))
        assert len(self.make_surrogate(problem).initial_design(designs[:5], 12)) <= 5

    def test_it_predicts_every_metric_from_ten_rows_up(self) -> None:
        problem = self.make_problem()
        unseen = _designs(problem, 30, seed=1)
        for rows in (10, 11, 40, 120):
            surrogate = self.make_surrogate(problem)
            known = _designs(problem, rows, seed=0)
            values = _values(problem, known)
            surrogate.fit(known, values)
            predicted = surrogate.predict(unseen, list(values))
            assert set(predicted) == set(values)
            for mean, deviation in predicted.values():
                assert mean.shape == deviation.shape == (30,)
                assert np.isfinite(mean).all()
                assert np.isfinite(deviation).all()
                assert (deviation >= 0).all()

    def test_only_what_is_asked_for_is_predicted(self) -> None:
        problem = self.make_problem()
        surrogate, known = self.make_surrogate(problem), _designs(problem, 20, seed=0)
        values = _values(problem, known)
        surrogate.fit(known, values)
        name = next(iter(values))
        assert set(surrogate.predict(known[:3], [name])) == {name}

    def test_equal_data_give_equal_predictions_whatever_was_fitted_before(self) -> None:
        problem = self.make_problem()
        known, unseen = _designs(problem, 60, seed=0), _designs(problem, 20, seed=1)
        values = _values(problem, known)
        fresh, used = self.make_surrogate(problem), self.make_surrogate(problem)
        for rows in (20, 37, 60):
            used.fit(known[:rows], {name: column[:rows] for name, column in values.items()})
        fresh.fit(known, values)
        expected, found = fresh.predict(unseen, list(values)), used.predict(unseen, list(values))
        for name in values:
            for one, other in zip(expected[name], found[name], strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9)

    def test_metrics_without_any_difference_are_no_trouble(self) -> None:
        problem = self.make_problem()
        surrogate, known = self.make_surrogate(problem), _designs(problem, 30, seed=0)
        values = {name: np.full(len(known), 3.0) for name in _values(problem, known)}
        surrogate.fit(known, values)
        for mean, deviation in surrogate.predict(known, list(values)).values():
            np.testing.assert_allclose(mean, 3.0, rtol=1e-3)
            assert np.isfinite(deviation).all()


class _Round(NamedTuple):
    """Proposals, the verdict on each, and the evaluations of those that were let through."""

    proposed: list[Genome]
    verdicts: list[Verdict | None]
    told: list[Evaluation]


class GateSuite(ABC):
    """Tests of the Gate protocol.

    Attributes:
        wanted: Number of evaluations that are asked for at a time.
    """

    wanted: ClassVar[int] = 5

    @abstractmethod
    def make_problem(self) -> Problem:
        """Make a cheap problem with at least 200 designs, all of them feasible."""

    @abstractmethod
    def make_gate(self, problem: Problem) -> Gate:
        """Make the gate of a new search."""

    def _course(self, problem: Problem, gate: Gate) -> list[_Round]:
        """Judge a few rounds of proposals, and evaluate those that are let through."""
        rest = _designs(problem, 150, seed=0)
        course: list[_Round] = []
        number = 0
        for _ in range(10):
            proposed = rest[: min(60, self.wanted * gate.proposals_per_evaluation)]
            verdicts = gate.judge(proposed, self.wanted)
            told = []
            for genome, verdict in zip(proposed, verdicts, strict=True):
                if verdict is not None and verdict.decision is not Decision.PRUNE:
                    rest.remove(genome)
                    values = all_values(problem, genome)
                    told.append(Evaluation(Candidate(number, genome, 0), Status.OK, values))
                    number += 1
            gate.observe(told)
            course.append(_Round(proposed, verdicts, told))
        return course

    def test_it_gives_as_many_as_are_wanted_and_a_reason_for_each_verdict(self) -> None:
        problem = self.make_problem()
        for judged in self._course(problem, self.make_gate(problem)):
            given = [verdict for verdict in judged.verdicts if verdict is not None]
            assert all(verdict.reason for verdict in given)
            passed = [v for v in given if v.decision is not Decision.PRUNE]
            assert len(passed) >= self.wanted

    def test_equal_observations_give_equal_verdicts(self) -> None:
        problem = self.make_problem()
        first, second = (self._course(problem, self.make_gate(problem)) for _ in range(2))
        assert first == second

    def test_it_takes_up_what_it_judged(self) -> None:
        problem = self.make_problem()
        *before, last = self._course(problem, self.make_gate(problem))
        again = self.make_gate(problem)
        pairs = [pair for r in before for pair in zip(r.proposed, r.verdicts, strict=True)]
        again.resume([(genome, verdict) for genome, verdict in pairs if verdict is not None])
        again.observe([evaluation for judged in before for evaluation in judged.told])
        assert again.judge(last.proposed, self.wanted) == last.verdicts

    def test_it_goes_on_when_everything_fails(self) -> None:
        problem = self.make_problem()
        gate, rest = self.make_gate(problem), _designs(problem, 60, seed=2)
        for number in range(4):
            proposed = rest[: min(20, self.wanted * gate.proposals_per_evaluation)]
            verdicts = gate.judge(proposed, self.wanted)
            passed = [
                genome
                for genome, verdict in zip(proposed, verdicts, strict=True)
                if verdict is not None and verdict.decision is not Decision.PRUNE
            ]
            assert passed
            gate.observe(
                [Evaluation(Candidate(number, g, 0), Status.FAILED, error="no") for g in passed]
            )
            rest = [genome for genome in rest if genome not in passed]

    def test_it_wants_to_choose(self) -> None:
        assert self.make_gate(self.make_problem()).proposals_per_evaluation >= 1
