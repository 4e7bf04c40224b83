"""Conformance suites: tests that the authors of plug-ins inherit for their own parts.

::

    class TestMyProblem(ProblemSuite):
        def make_problem(self):
            return MyProblem()

Subclass :class:`ProblemSuite`, :class:`OptimizerSuite`, :class:`SurrogateSuite`,
:class:`GateSuite`, :class:`JournalSuite` or :class:`RunnerSuite` in a test module and run pytest.
"""

from __future__ import annotations

import json
import math
import pickle
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from evonas.catalogue import Catalogue
from evonas.errors import InfeasibleError, RunError, RunLockedError
from evonas.journal import Journal
from evonas.problem import Problem, check_problem
from evonas.protocols import Optimizer
from evonas.records import Candidate, Decision, Evaluation, Prediction, Status, Verdict
from evonas.space import Genome, genome_key
from evonas.testing_runner import Misbehaving, RunnerSuite
from evonas.testing_surrogate import GateSuite, SurrogateSuite

__all__ = [
    "GateSuite",
    "JournalSuite",
    "Misbehaving",
    "OptimizerSuite",
    "ProblemSuite",
    "RunnerSuite",
    "SurrogateSuite",
]


def sample_designs(problem: Problem, n: int, seed: int = 0) -> list[Genome]:
    """Draw random canonical genomes of a problem, of those that it lists if it does."""
    rng, catalogue = np.random.default_rng(seed), Catalogue(problem)
    drawn = (catalogue.unseen(code) for code in problem.space.sample(n, rng))
    return [genome for _, genome in filter(None, drawn)]


class ProblemSuite(ABC):
    """Tests of a Problem.

    Attributes:
        samples: How many random designs are looked at.
        evaluated: How many of them are evaluated.
        measured: Metrics whose values vary from one measurement to the next.
    """

    samples: ClassVar[int] = 200
    evaluated: ClassVar[int] = 5
    measured: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def make_problem(self) -> Problem:
        """Make the problem, prepared."""

    def test_its_declaration_holds_together(self) -> None:
        check_problem(self.make_problem())

    def test_its_description_is_json(self) -> None:
        description = self.make_problem().describe()
        assert json.loads(json.dumps(description)) == description

    def test_canonical_genomes_are_valid_and_stay_as_they_are(self) -> None:
        problem = self.make_problem()
        for genome in sample_designs(problem, self.samples):
            assert problem.space.validate(genome) == genome
            assert problem.canonical(genome) == genome

    def test_encoding_a_canonical_genome_loses_nothing(self) -> None:
        problem = self.make_problem()
        genomes = sample_designs(problem, self.samples)
        for genome, codes in zip(genomes, problem.space.encode(genomes), strict=True):
            assert problem.canonical(problem.space.decode(codes)) == genome

    def test_features_are_one_finite_row_a_genome(self) -> None:
        problem = self.make_problem()
        features = problem.features(sample_designs(problem, 20))
        kinds = features if isinstance(features, Mapping) else {"": features}
        for kind in kinds.values():
            if kind is not None:
                assert kind.shape[0] == 20
                assert kind.ndim == 2
                assert np.isfinite(kind).all()

    def test_views_are_finite_rows_and_those_of_one_kind_have_the_same_columns(self) -> None:
        problem = self.make_problem()
        genomes = sample_designs(problem, 20)
        columns: dict[str, int] = {}
        for name, values in problem.views(genomes).items():
            view = np.asarray(values, dtype=float)
            assert view.ndim == 2
            assert len(view) == len(genomes)
            assert np.isfinite(view).all()
            kind, colon, _ = name.partition(":")
            if colon:
                assert columns.setdefault(kind, view.shape[1]) == view.shape[1]

    def test_timed_models_are_exported_where_they_take_time(self) -> None:
        problem = self.make_problem()
        for genome in sample_designs(problem, 2) if problem.timed_models else ():
            try:
                values = problem.evaluate(genome, list(problem.timed_models.values()))
            except InfeasibleError:
                continue
            with tempfile.TemporaryDirectory() as folder:
                problem.export(genome, Path(folder))
                for model, metric in problem.timed_models.items():
                    assert values[metric] <= 0 or (Path(folder) / f"{model}.onnx").is_file()

    def test_it_pickles(self) -> None:
        problem = self.make_problem()
        assert pickle.loads(pickle.dumps(problem)).describe() == problem.describe()

    def test_every_metric_it_is_asked_for_is_a_finite_number(self) -> None:
        problem = self.make_problem()
        names = [metric.name for metric in problem.metrics]
        for genome in sample_designs(problem, self.evaluated):
            try:
                values = problem.evaluate(genome, names)
            except InfeasibleError:
                continue
            assert set(values) == set(names)
            assert all(math.isfinite(value) for value in values.values())

    def test_listed_designs_differ_are_canonical_and_have_values(self) -> None:
        problem = self.make_problem()
        designs = problem.designs or ()
        assert len({genome_key(genome) for genome in designs}) == len(designs)
        assert all(problem.canonical(genome) == genome for genome in designs)
        for genome in designs[: self.evaluated]:
            problem.evaluate(genome, [metric.name for metric in problem.metrics])

    def test_a_metric_asked_for_alone_has_the_same_value(self) -> None:
        problem = self.make_problem()
        names = [metric.name for metric in problem.metrics]
        for genome in sample_designs(problem, self.evaluated):
            try:
                together = problem.evaluate(genome, names)
            except InfeasibleError:
                continue
            for name in set(names) - self.measured:
                assert problem.evaluate(genome, [name])[name] == together[name]

    def test_designs_with_equal_memory_keys_share_the_value(self) -> None:
        problem = self.make_problem()
        found: dict[tuple[str, str], float] = {}
        for genome in sample_designs(problem, self.evaluated * 4):
            for metric in problem.metrics:
                if metric.name in self.measured:
                    continue
                key = metric.name, genome_key(problem.memory_key(metric.name, genome))
                try:
                    value = problem.evaluate(genome, [metric.name])[metric.name]
                except InfeasibleError:
                    continue
                assert found.setdefault(key, value) == value


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
        """Ask and tell for some batches; returns what was proposed, and adds it to ``seen``."""
        proposed: list[Genome] = []
        names = [metric.name for metric in problem.metrics]
        for n in batches:
            genomes = optimizer.ask(n, seen)
            seen.update(genome_key(genome) for genome in genomes)
            proposed += genomes
            optimizer.tell(
                [
                    Evaluation(Candidate(0, g, 0), Status.OK, problem.evaluate(g, names))
                    for g in genomes
                ]
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


class JournalSuite(ABC):
    """Tests of a journal on disk."""

    @abstractmethod
    def create(self, directory: Path) -> Journal:
        """Start a journal."""

    @abstractmethod
    def open(self, directory: Path) -> Journal:
        """Open a journal to go on writing to it."""

    CANDIDATES: ClassVar = [
        (Candidate(i, {"layers": i, "width": i / 3, "kernel": "a"}, i // 2), verdict)
        for i, verdict in enumerate(
            [
                Verdict(Decision.EVALUATE, "no surrogate"),
                Verdict(Decision.PRUNE, "dominated", {"error": Prediction(1 / 3, 0.1)}),
                Verdict(Decision.AUDIT, "audit"),
                Verdict(Decision.EVALUATE, "read from memory"),
            ]
        )
    ]

    def test_it_gives_back_what_was_committed(self) -> None:
        evaluations = [
            Evaluation(self.CANDIDATES[2][0], Status.FAILED, {}, 0.5, "host:1", "it broke", 3),
            Evaluation(self.CANDIDATES[0][0], Status.OK, {"error": 0.1}, 0.25, "host:2"),
        ]
        state = {"generator": 2**70, "values": [0.1, None, 1e300]}
        with tempfile.TemporaryDirectory() as name:
            with self.create(Path(name)) as journal:
                assert journal.snapshot() is None
                journal.commit(candidates=self.CANDIDATES, snapshot=(0, 0, state))
                journal.commit(evaluations=[(e, {}) for e in evaluations])
            with self.open(Path(name)) as journal:
                assert journal.candidates() == self.CANDIDATES
                assert journal.evaluations() == evaluations
                assert journal.evaluations(after=1) == evaluations[1:]
                assert journal.snapshot() == (0, 0, state)

    def test_a_value_from_memory_keeps_where_it_was_measured(self) -> None:
        first = Evaluation(self.CANDIDATES[0][0], Status.OK, {"error": 0.1, "ms": 2.0}, 3.0, "a:1")
        second = Evaluation(self.CANDIDATES[3][0], Status.OK, {"error": 0.1, "ms": 5.0}, 1.0, "b:2")
        with tempfile.TemporaryDirectory() as name, self.create(Path(name)) as journal:
            journal.commit(candidates=self.CANDIDATES)
            journal.commit(evaluations=[(first, {}), (second, {"error": 0})])
            assert journal.evaluations()[1].values == second.values
            assert journal.sources() == {(3, "error"): 0}

    def test_a_commit_is_whole_or_nothing(self) -> None:
        good = Evaluation(self.CANDIDATES[0][0], Status.OK, {"error": 0.1})
        with tempfile.TemporaryDirectory() as name, self.create(Path(name)) as journal:
            journal.commit(candidates=self.CANDIDATES)
            broken = replace(good, candidate=self.CANDIDATES[2][0], attempts=None)  # type: ignore[arg-type]
            try:
                journal.commit(evaluations=[(good, {}), (broken, {})])
            except Exception:
                assert journal.evaluations() == []
            else:
                raise AssertionError("a broken evaluation was committed")
            journal.commit(evaluations=[(good, {})])
            assert journal.evaluations() == [good]

    def test_two_writers_are_refused_and_readers_are_not(self) -> None:
        with tempfile.TemporaryDirectory() as name, self.create(Path(name)) as journal:
            try:
                self.open(Path(name))
            except RunLockedError as error:
                assert "process" in str(error)
            else:
                raise AssertionError("a second writer was let in")
            journal.commit(candidates=self.CANDIDATES)
            with journal.read(Path(name)) as reader:
                assert reader.candidates() == self.CANDIDATES

    def test_what_is_no_journal_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            with self.create(directory):
                pass
            files = [path for path in directory.iterdir() if path.suffix == ".sqlite"]
            for content in (b"", b"this is not a database at all" * 100):
                for path in files:
                    path.write_bytes(content)
                self._expect_run_error(directory)
            for path in files:
                path.unlink()
            self._expect_run_error(directory)
            self._expect_run_error(directory / "missing")

    def _expect_run_error(self, directory: Path) -> None:
        try:
            self.open(directory)
        except RunError as error:
            assert str(directory) in str(error)
        else:
            raise AssertionError(f"'{directory}' was opened")
