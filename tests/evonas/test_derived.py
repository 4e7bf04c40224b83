"""Metrics that follow from others, and how sure one is of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evonas
from evonas import Metric, Objective, Problem, ProblemError, Real, Space
from evonas.derived import add_derived, all_values, derivation_order, propagate
from evonas.problem import check_problem


class Chain(Problem):
    """Two parts, their sum, and the square of the sum."""

    space = Space(Real("x", 0.0, 1.0))
    metrics = (
        Metric("square", "ms^2", derived_from=("total",)),
        Metric("total", "ms", derived_from=("first", "second")),
        Metric("first", "ms"),
        Metric("second", "ms"),
    )
    objectives = (Objective("total"), Objective("first"))

    def evaluate(self, genome, metrics):
        assert set(metrics) <= {"first", "second"}
        return {"first": genome["x"], "second": 2 - genome["x"] ** 2}

    def derive(self, metric, parts):
        return parts["total"] ** 2 if metric == "square" else parts["first"] + parts["second"]


def test_metrics_come_after_those_that_they_follow_from():
    assert [m.name for m in derivation_order(Chain())][-2:] == ["total", "square"]
    assert {m.name for m in derivation_order(Chain(), ["total"])} == {"first", "second", "total"}


def test_what_follows_is_computed_as_far_as_parts_are_known():
    assert all_values(Chain(), {"x": 0.5}) == {
        "first": 0.5, "second": 1.75, "total": 2.25, "square": 2.25**2,
    }  # fmt: skip
    assert set(add_derived(Chain(), {"first": np.ones(3)})) == {"first"}


deviation = st.floats(0.0, 2.0)


@given(deviation, deviation)
def test_deviations_of_a_sum_add_in_squares(first, second):
    means = {"first": np.array([3.0]), "second": np.array([4.0])}
    deviations = {"first": np.array([first]), "second": np.array([second])}
    mean, spread = propagate(Chain(), ["total", "square", "first"], means, deviations)
    assert mean["total"] == 7
    assert math.isclose(spread["total"][0], math.hypot(first, second), abs_tol=1e-9)
    # The derivative of the square is twice the sum.
    assert math.isclose(spread["square"][0], 14 * math.hypot(first, second), abs_tol=1e-9)
    assert spread["first"][0] == first


def test_parts_that_are_never_negative_are_not_taken_to_be():
    means, deviations = {"first": np.array([-1.0]), "second": np.array([1.0])}, np.array([2.0])
    mean, spread = propagate(
        Chain(), ["total"], means, {"first": deviations, "second": 0 * deviations}, {"first": 0.0}
    )
    assert mean["total"] == 1
    # From 0, where it is bounded, to 2 above it.
    assert spread["total"] == pytest.approx(0.5)


def test_a_search_measures_parts_and_keeps_what_follows():
    run = evonas.search(Chain(), evaluations=30, surrogate="default", runner="serial", population=8)
    table = run.front.to_frame()
    assert np.allclose(table["square"], (table["first"] + table["second"]) ** 2)
    assert run.status()["failed"] == 0


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([Metric("a", derived_from=["b"])], "from an unknown metric 'b'"),
        ([Metric("a", derived_from="first")], "derived_from='first'; it must be a list"),
        (
            [Metric("a", derived_from=["b"]), Metric("b", derived_from=["a"])],
            "derived in a circle",
        ),
    ],
)
def test_a_metric_follows_from_metrics_that_exist_and_not_from_itself(metrics, message):
    problem = Chain()
    problem.metrics, problem.objectives = metrics, [Objective("a")]
    with pytest.raises(ProblemError, match=message):
        check_problem(problem)


def test_a_final_metric_is_measured():
    problem = Chain()
    problem.final_metrics = [Metric("test", derived_from=["first"])]
    with pytest.raises(ProblemError, match=r"final metric 'test' .* cannot be derived"):
        check_problem(problem)


def test_a_problem_that_does_not_say_how_is_named():
    class Silent(Chain):
        derive = Problem.derive

    with pytest.raises(ProblemError, match="'Silent' does not say how 'total' is derived"):
        all_values(Silent(), {"x": 0.5})


class Partial(Chain):
    """A chain whose total is not known of every design."""

    objectives = (Objective("square"), Objective("first"))

    def derive(self, metric, parts):
        if metric == "total" and (parts["first"] > 0.7).any():
            raise ValueError("too long a part")
        return super().derive(metric, parts)


@pytest.mark.parametrize("surrogate", [False, True])
def test_a_design_of_which_a_metric_cannot_be_derived_fails_and_the_search_goes_on(surrogate):
    run = evonas.search(
        Partial(), evaluations=24, population=8, surrogate=surrogate, runner="serial",
        report=lambda line: None,
    )  # fmt: skip
    status = run.status()
    assert status["evaluated"] == 24
    errors = {e.error for e in run._journal.evaluations() if e.status == "failed"}
    assert 0 < status["failed"] < 24
    assert all("cannot derive 'total': ValueError: too long a part" in error for error in errors)


def test_of_several_designs_those_without_a_value_are_told_apart():
    parts = {"first": np.array([0.5, 0.9, 0.7]), "second": np.ones(3)}
    total = add_derived(Partial(), parts)["total"]
    assert np.array_equal(total, [1.5, np.nan, 1.7], equal_nan=True)


def test_a_problem_that_changes_its_arguments_changes_nothing_that_was_measured():
    class Careless(Chain):
        def derive(self, metric, parts):
            for values in parts.values():
                values += 1
            return super().derive(metric, parts)

    parts = {"first": np.ones(2), "second": np.ones(2)}
    assert add_derived(Careless(), parts)["first"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda total: total.sum(), r"'square': ValueError: it returned shape \(\) for parts of"),
        (lambda total: "much", "'square': ValueError: could not convert"),
        (lambda total: total + np.inf, "derives inf for 'square'; it must be finite"),
    ],
)
def test_what_derive_returns_is_checked(returned, message):
    class Wrong(Chain):
        def derive(self, metric, parts):
            return returned(parts["total"]) if metric == "square" else super().derive(metric, parts)

    with pytest.raises(ProblemError, match=message):
        all_values(Wrong(), {"x": 0.5})
