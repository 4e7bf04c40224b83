"""Our own parts pass the suites that we ask plug-ins to pass."""

from pathlib import Path

import numpy as np
import pytest

from evonas.optimizers.nsga2 import NSGA2
from evonas.problems.toy import ZDT1, BinhKorn, Blocks
from evonas.run.journal import Journal
from evonas.testing import JournalSuite, OptimizerSuite, ProblemSuite


class MixedProblem(Blocks):
    """Blocks with a continuous gene, so that it has designs without end."""

    from evonas import Choice, Integer, Real, Space

    space = Space(*Blocks.space.genes, Real("ratio", 0.0, 1.0))

    def evaluate(self, genome, metrics):
        values = super().evaluate(genome, metrics)
        return {name: value * (1.5 - genome["ratio"]) for name, value in values.items()}


class TestBlocks(ProblemSuite):
    evaluated = 50

    def make_problem(self):
        return Blocks()


class TestZDT1(ProblemSuite):
    def make_problem(self):
        return ZDT1()


class TestBinhKorn(ProblemSuite):
    def make_problem(self):
        return BinhKorn()


class Timed(Blocks):
    """Blocks with models and views, as they should be or not."""

    def __init__(self, right=True):
        super().__init__()
        self.right = right
        self.timed_models = {"net": self.metrics[0].name}

    def views(self, genomes):
        return {
            "graph:all": np.ones((len(genomes), 3)),
            "graph:live": np.ones((len(genomes), 3 if self.right else 2)),
        }

    def export(self, genome, directory):
        (directory / ("net.onnx" if self.right else "network.onnx")).touch()


class TestTimed(ProblemSuite):
    def make_problem(self):
        return Timed()


@pytest.mark.parametrize("test", ["views_are_finite_rows", "timed_models_are_exported"])
def test_views_and_models_that_are_wrong_do_not_pass(test):
    suite = TestTimed()
    suite.make_problem = lambda: Timed(right=False)
    (name,) = [name for name in dir(suite) if name.startswith(f"test_{test}")]
    with pytest.raises(AssertionError):
        getattr(suite, name)()


class TestNSGA2OnRealGenes(OptimizerSuite):
    def make_problem(self):
        return ZDT1()

    def make_optimizer(self, problem, seed):
        return NSGA2(problem, population=20, seed=seed)


class TestNSGA2OnMixedGenes(OptimizerSuite):
    def make_problem(self):
        return MixedProblem()

    def make_optimizer(self, problem, seed):
        return NSGA2(problem, population=10, seed=seed)


class TestJournal(JournalSuite):
    def create(self, directory: Path):
        return Journal.create(directory, {"settings": {}})

    def open(self, directory: Path):
        return Journal.open(directory)


def test_a_journal_of_another_version_is_refused(tmp_path):
    with Journal.create(tmp_path, {}) as journal:
        journal.set_meta({"schema": 99})
    with pytest.raises(Exception, match="schema version 99"):
        Journal.open(tmp_path)
