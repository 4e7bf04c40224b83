"""Tests of the Problem interface."""

from __future__ import annotations

import json
import math
import pickle
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from evonas.derived import add_derived, all_values
from evonas.errors import InfeasibleError
from evonas.optimizers.catalogue import Catalogue
from evonas.problem import Problem, check_problem
from evonas.space import Genome, genome_key


def sample_designs(problem: Problem, n: int, seed: int = 0) -> list[Genome]:
    """Draw random canonical genomes of a problem, from the designs that it lists, if it does.

    Args:
        problem: The problem.
        n: Number of genomes to draw; they may repeat.
        seed: Seed of the random number generator.
    """
    rng, catalogue = np.random.default_rng(seed), Catalogue(problem)
    drawn = (catalogue.unseen(code) for code in problem.space.sample(n, rng))
    return [genome for _, genome in filter(None, drawn)]


class ProblemSuite(ABC):
    """Tests of a Problem.

    Attributes:
        samples: Number of random designs that are looked at.
        evaluated: Number of them that are evaluated.
        measured: Names of metrics whose values vary from one measurement to the next.
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
                    assert problem.has_model(model, genome) in (None, values[metric] > 0)

    def test_it_pickles(self) -> None:
        problem = self.make_problem()
        assert pickle.loads(pickle.dumps(problem)).describe() == problem.describe()

    def test_every_metric_it_is_asked_for_is_a_finite_number(self) -> None:
        problem = self.make_problem()
        names = [metric.name for metric in problem.measured_metrics]
        for genome in sample_designs(problem, self.evaluated):
            try:
                values = problem.evaluate(genome, names)
            except InfeasibleError:
                continue
            assert set(values) == set(names)
            assert all(math.isfinite(value) for value in values.values())

    def test_derived_metrics_follow_element_by_element_from_their_parts(self) -> None:
        problem = self.make_problem()
        rows = []
        for genome in sample_designs(problem, self.evaluated):
            try:
                rows.append(all_values(problem, genome))
            except InfeasibleError:
                continue
        names = [metric.name for metric in problem.metrics]
        assert all(set(row) == set(names) for row in rows)
        table = {m.name: np.array([row[m.name] for row in rows]) for m in problem.measured_metrics}
        for name, column in add_derived(problem, table).items():
            assert np.array_equal(column, [row[name] for row in rows])
            assert np.isfinite(column).all()

    def test_listed_designs_differ_are_canonical_and_have_values(self) -> None:
        problem = self.make_problem()
        designs = problem.designs or ()
        assert len({genome_key(genome) for genome in designs}) == len(designs)
        assert all(problem.canonical(genome) == genome for genome in designs)
        for genome in designs[: self.evaluated]:
            problem.evaluate(genome, [metric.name for metric in problem.measured_metrics])

    def test_a_metric_asked_for_alone_has_the_same_value(self) -> None:
        problem = self.make_problem()
        names = [metric.name for metric in problem.measured_metrics]
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
            for metric in problem.measured_metrics:
                if metric.name in self.measured:
                    continue
                key = metric.name, genome_key(problem.memory_key(metric.name, genome))
                try:
                    value = problem.evaluate(genome, [metric.name])[metric.name]
                except InfeasibleError:
                    continue
                assert found.setdefault(key, value) == value
