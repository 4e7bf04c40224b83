"""What is expected of designs that were not evaluated."""

import pytest

import evonas
from evonas import Evaluation, Status
from evonas.acquisition.posterior import PosteriorModel
from evonas.problems.toy import Blocks
from evonas.records import Candidate


class Cheap(Blocks):
    """Blocks of which one metric is computed rather than predicted."""

    metrics = (evonas.Metric("error"), evonas.Metric("operations", expensive=False))


def test_cheap_metrics_are_computed_and_never_predicted(oracle, observed):
    problem, surrogate = Cheap(), oracle(lambda g: {"error": 1.0})
    model, _, unseen = observed(problem, surrogate)
    posterior = model.posterior(unseen[:20])
    assert set(surrogate.fitted[0]) == {"error"}
    for row, genome in enumerate(unseen[:20]):
        truth = problem.evaluate(genome, ["operations"])["operations"]
        assert posterior.means["operations"][row] == truth
        assert set(posterior.predictions(row)) == {"error"}


def test_failures_have_no_values_to_learn_from(oracle):
    model = PosteriorModel(Blocks(), oracle(lambda g: {}))
    genome = {"layers": 1, "width": 1, "kernel": 3}
    for status in (Status.FAILED, Status.TIMEOUT, Status.INFEASIBLE):
        model.observe([Evaluation(Candidate(0, genome, 0), status)])
    assert not model.evaluations


def test_designs_next_to_failures_are_likely_to_fail(constant, corner, fill):
    problem = corner()
    model = PosteriorModel(problem, constant(cost=(1.0, 1.0), error=(1.0, 1.0)))
    designs = [{"size": size} for size in (1, 21, 27, 39)]
    fill(model, problem, range(0, 24, 2))
    assert model.posterior(designs).success.tolist() == [1.0, 1.0, 1.0, 1.0]
    fill(model, problem, (30, 32, 34, 36, 38), lambda size: True, first=50)
    success = model.posterior(designs).success
    assert success[0] == pytest.approx(5.5 / 6)
    assert success[3] == pytest.approx(0.5 / 6)
    assert success[0] >= success[1] > success[2] > success[3]
