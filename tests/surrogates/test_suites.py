"""Our own gates and look-ahead pass the suites that we ask plug-ins to pass."""

from evonas.acquisition.gate import EvaluateAll, SurrogateGate
from evonas.acquisition.posterior import PosteriorModel
from evonas.optimizers.lookahead import LookAhead
from evonas.problems.toy import ZDT1, Blocks
from evonas.surrogates.metric_models import MetricModels
from evonas.testing import GateSuite, OptimizerSuite


class TestSurrogateGate(GateSuite):
    def make_problem(self):
        return Blocks()

    def make_gate(self, problem):
        return SurrogateGate(problem, PosteriorModel(problem, MetricModels(problem)), seed=1)


class TestEvaluateAll(GateSuite):
    def make_problem(self):
        return Blocks()

    def make_gate(self, problem):
        return EvaluateAll()


class TestLookAheadBeforeThereIsAPosteriorModel(OptimizerSuite):
    def make_problem(self):
        return ZDT1()

    def make_optimizer(self, problem, seed):
        model = PosteriorModel(problem, MetricModels(problem))
        return LookAhead(problem, model, population=20, seed=seed, initial_designs=20)
