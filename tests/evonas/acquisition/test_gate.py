"""Which designs are evaluated, pruned and audited."""

import numpy as np
import pytest

import evonas
from evonas import Evaluation, Status
from evonas.acquisition.gate import EvaluateAll, SurrogateGate
from evonas.acquisition.posterior import PosteriorModel
from evonas.problems.toy import Blocks
from evonas.records import Candidate, Decision
from evonas.surrogates.metric_models import MetricModels
from evonas.testing import GateSuite


def pruned(verdicts):
    return [v is not None and v.decision is Decision.PRUNE for v in verdicts]


def test_nothing_is_pruned_before_enough_was_predicted(oracle, observed):
    problem = Blocks()
    names = [metric.name for metric in problem.metrics]
    surrogate = oracle(lambda g: problem.evaluate(g, names))
    _, few, unseen = observed(problem, surrogate, n=32)
    assert not any(pruned(few.judge(unseen, 5)))
    _, enough, unseen = observed(problem, surrogate, n=36)
    assert any(pruned(enough.judge(unseen, 5)))


def test_what_was_predicted_badly_makes_pruning_cautious(oracle, observed):
    problem = Blocks()
    names = [metric.name for metric in problem.metrics]
    shares = []
    for off in (0.0, 10.0, 1000.0):
        _, gate, unseen = observed(problem, oracle(lambda g: problem.evaluate(g, names)), off=off)
        shares.append(np.mean(pruned(gate.judge(unseen, 5))))
    assert shares[0] > 1.1 * shares[1] > 0
    assert shares[2] == 0


def test_a_good_surrogate_prunes_exactly_what_is_dominated(oracle, observed):
    problem = Blocks()
    names = [metric.name for metric in problem.metrics]
    model, gate, unseen = observed(problem, oracle(lambda g: problem.evaluate(g, names)))
    front = model.costs(model.front())
    for genome, verdict in zip(unseen, gate.judge(unseen, 5), strict=True):
        cost = np.array(list(problem.evaluate(genome, names).values()))
        clearly = ((front <= cost - 0.05).all(axis=1)).any()
        possibly = ((front <= cost + 0.05).all(axis=1)).any()
        if verdict is not None and verdict.decision is Decision.PRUNE:
            assert possibly
        elif clearly:
            assert verdict is None or "audit" in verdict.reason


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_what_was_never_negative_is_not_hoped_to_be(shift, constant, corner):
    problem = corner()
    problem.shift = shift
    model = PosteriorModel(problem, constant(cost=(-1.0, 5.0), error=(50.0, 0.01)))
    gate = SurrogateGate(problem, model, audits=0.0)
    designs = [{"size": size} for size in (0, *range(20, 40))]
    gate.observe(
        [
            Evaluation(Candidate(i, g, 0), Status.OK, problem.evaluate(g, ["cost", "error"]))
            for i, g in enumerate(designs)
        ]
    )
    assert model.least_costs().tolist() == [0.0 if shift == 0 else -np.inf, 0.0]
    verdicts = gate.judge([{"size": 1}, {"size": 2}], 1)
    reason = next(v.reason for v in verdicts if v is not None and v.decision is Decision.EVALUATE)
    # At an error of 50 the front costs 0 (or -1, where a lower cost is still to be hoped for).
    if shift == 0:
        assert "enters the front with probability 0.0" in reason
    else:
        assert "spread along the predicted front" in reason


@pytest.mark.parametrize(("known", "half"), [(12, "enters the front"), (13, "spread along")])
def test_of_designs_that_promise_the_same_neighbours_of_the_front_come_first(
    known, half, constant, corner
):
    class Plane(corner):
        space = evonas.Space(evonas.Integer("x", 0, 40), evonas.Integer("y", 0, 40))

    problem = Plane()
    model = PosteriorModel(problem, constant(cost=(4.0, 0.1), error=(6.0, 0.1)))
    gate = SurrogateGate(problem, model, audits=0.0)
    # The first dominates all others.
    gate.observe(
        [
            Evaluation(Candidate(i, {"x": i, "y": i}, 0), Status.OK, {"cost": c, "error": c})
            for i, c in enumerate(np.linspace(5.0, 9.0, known))
        ]
    )
    stranger, neighbour = gate.judge([{"x": 30, "y": 30}, {"x": 30, "y": 0}], 1)
    assert stranger is None
    assert neighbour.decision is Decision.EVALUATE
    assert half in neighbour.reason


def test_where_evaluations_fail_is_looked_at_last(constant, corner, fill):
    problem = corner()
    # By what is predicted all are equally good.
    model = PosteriorModel(problem, constant(cost=(0.0, 1.0), error=(0.0, 1.0)))
    gate = SurrogateGate(problem, model, audits=0.0)
    fill(model, problem, range(0, 40, 2), lambda size: size > 20)
    unseen = [{"size": size} for size in (39, 37, 31, 11, 9, 5, 3)]
    verdicts = gate.judge(unseen, 4)
    # None of the others is pruned: it may still be evaluated, when nothing else is left.
    assert [v is not None and v.decision is Decision.EVALUATE for v in verdicts] == [
        design["size"] < 20 for design in unseen
    ]
    assert not any(pruned(verdicts))


class CheapFails(evonas.Problem):
    """A cheap metric that some designs do not have."""

    space = evonas.Space(evonas.Integer("size", 0, 40))
    metrics = (evonas.Metric("cost", expensive=False), evonas.Metric("error"))
    objectives = (evonas.Objective("cost"), evonas.Objective("error"))

    def __init__(self, how="infeasible"):
        self.how = how

    def evaluate(self, genome, metrics):
        if genome["size"] % 5 == 0:
            if self.how == "infeasible":
                raise evonas.InfeasibleError("no such size")
            if self.how == "raises":
                raise ValueError("no such size")
            return {"error": 1.0} | ({"cost": np.nan} if self.how == "nan" else {})
        return {"cost": float(genome["size"]), "error": 50.0 - genome["size"]}


@pytest.mark.parametrize("how", ["infeasible", "raises", "nan", "missing"])
def test_designs_without_a_cheap_metric_are_neither_evaluated_nor_audited(how, constant, fill):
    problem = CheapFails(how)
    model = PosteriorModel(problem, constant(error=(0.0, 1.0)))
    gate = SurrogateGate(problem, model, audits=1.0)
    fill(model, problem, [size for size in range(1, 30) if size % 5])
    unseen = [{"size": size} for size in range(30, 41)]
    assert model.posterior(unseen).impossible.tolist() == [g["size"] % 5 == 0 for g in unseen]
    for genome, verdict in zip(unseen, gate.judge(unseen, 8), strict=True):
        if genome["size"] % 5 == 0:
            assert verdict.decision is Decision.PRUNE
            assert verdict.reason == "known to have no values"
        else:
            assert verdict.decision is not Decision.PRUNE


def test_a_search_goes_on_when_a_cheap_metric_raises():
    run = evonas.search(
        CheapFails("raises"), evaluations=32, surrogate="default", report=lambda line: None
    )
    status = run.status()
    assert status["evaluated"] == 32
    # Those of the initial design: before there are predictions, nothing is known to fail.
    assert 0 < status["failed"] <= 6


def test_audits_are_pruned_designs_and_their_share_is_kept(oracle, observed):
    problem = Blocks()
    names = [metric.name for metric in problem.metrics]
    _, gate, unseen = observed(problem, oracle(lambda g: problem.evaluate(g, names)), audits=0.1)
    verdicts = [v for v in gate.judge(unseen, 300) if v is not None]
    audits = [v for v in verdicts if v.decision is Decision.AUDIT]
    assert all("audit: predicted dominated with probability" in v.reason for v in audits)
    doomed = len(audits) + sum(v.decision is Decision.PRUNE for v in verdicts)
    doomed += sum("predicted" in v.reason for v in verdicts if v.decision is Decision.EVALUATE)
    assert 0.05 < len(audits) / doomed < 0.16


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
