"""NSGA-II passes the suite of optimizers."""

from evonas import Real, Space
from evonas.optimizers.nsga2 import NSGA2
from evonas.problems.toy import ZDT1, Blocks
from evonas.testing import OptimizerSuite


class MixedProblem(Blocks):
    """Blocks with a continuous gene, so that it has designs without end."""

    space = Space(*Blocks.space.genes, Real("ratio", 0.0, 1.0))

    def evaluate(self, genome, metrics):
        values = super().evaluate(genome, metrics)
        return {name: value * (1.5 - genome["ratio"]) for name, value in values.items()}


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
