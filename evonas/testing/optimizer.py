"""Tests of the Optimizer protocol."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence

from evonas.derived import all_values
from evonas.problem import Problem
from evonas.protocols import Optimizer
from evonas.records import Candidate, Evaluation, Status
from evonas.space import Genome, genome_key
from evonas.testing.problem import sample_designs


class OptimizerSuite(ABC):
    """Tests of the Optimizer protocol."""

    @abstractmethod
    def make_problem(self) -> Problem:
        """Make a problem with at least 1,000 designs, all of them feasible."""

    @abstractmethod
    def make_optimizer(self, problem: Problem, seed: int) -> Optimizer:
        """Make the optimizer with a population of at most 20."""

    def course(
        self, optimizer: Optimizer, problem: Problem, batches: Sequence[int], seen: set[str]
    ) -> list[Genome]:
        """Ask and tell for some batches; return all proposals, and add them to ``seen``."""
        proposed: list[Genome] = []
        for n in batches:
            genomes = optimizer.ask(n, seen)
            seen.update(genome_key(genome) for genome in genomes)
            proposed += genomes
            optimizer.tell(
                [Evaluation(Candidate(0, g, 0), Status.OK, all_values(problem, g)) for g in genomes]
            )
        return proposed

    def test_it_proposes_as_many_canonical_genomes_as_asked_for(self) -> None:
        problem = self.make_problem()
        optimizer = self.make_optimizer(problem, 0)
        seen: set[str] = set()
        for n in (20, 20, 1, 1, 7):
            genomes = self.course(optimizer, problem, [n], seen)
            assert len(genomes) == n
            assert all(problem.space.validate(genome) == genome for genome in genomes)

    def test_nothing_is_proposed_twice(self) -> None:
        problem = self.make_problem()
        genomes = self.course(self.make_optimizer(problem, 1), problem, [20] * 10, set())
        assert len({genome_key(genome) for genome in genomes}) == len(genomes) == 200

    def test_of_listed_designs_each_is_proposed_once_and_nothing_else(self) -> None:
        problem = self.make_problem()
        problem.designs = sample_designs(problem, 50)
        optimizer = self.make_optimizer(problem, 2)
        genomes = self.course(optimizer, problem, [20, 20, 20, 20], set())
        listed = {genome_key(genome) for genome in problem.designs}
        assert sorted(genome_key(genome) for genome in genomes) == sorted(listed)

    def test_the_seed_decides(self) -> None:
        problem = self.make_problem()
        first, again, other = (
            self.course(self.make_optimizer(problem, seed), problem, [20, 20, 20], set())
            for seed in (3, 3, 4)
        )
        assert first == again
        assert first != other

    def test_it_continues_exactly_from_its_state_at_every_batch(self) -> None:
        problem = self.make_problem()
        for batches in ([20] * 6, [20] + [1] * 30, [3] * 12):
            optimizer, seen = self.make_optimizer(problem, 5), set[str]()
            for done in range(len(batches)):
                state = json.loads(json.dumps(optimizer.state()))
                restored = self.make_optimizer(problem, 99)
                restored.restore(state)
                rest = batches[done : done + 3]
                expected = self.course(optimizer, problem, rest[:1], already := set(seen))
                found = self.course(restored, problem, rest, set(seen))
                assert found[: len(expected)] == expected
                seen = already

    def test_it_goes_on_when_a_whole_batch_failed(self) -> None:
        problem = self.make_problem()
        optimizer, seen = self.make_optimizer(problem, 6), set[str]()
        for _ in range(3):
            genomes = optimizer.ask(20, seen)
            assert len(genomes) == 20
            seen.update(genome_key(genome) for genome in genomes)
            optimizer.tell([])
        assert len(self.course(optimizer, problem, [20, 20], seen)) == 40

    def test_it_asks_ahead_without_being_told(self) -> None:
        problem = self.make_problem()
        optimizer, seen = self.make_optimizer(problem, 7), set[str]()
        for _ in range(60):
            (genome,) = optimizer.ask(1, seen)
            seen.add(genome_key(genome))
        assert len(seen) == 60
