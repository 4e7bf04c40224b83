import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import evonas
from evonas import Choice, Constraint, Integer, Metric, Objective, Space
from evonas.problem import check_problem
from evonas.space import Genome


class Good(evonas.Problem):
    space = Space(Integer("layers", 1, 4), Integer("width", 1, 8))
    metrics = (Metric("error", "%"), Metric("latency_ms", "ms", genes=["width"]))
    objectives = (Objective("error"), Objective("latency_ms"))

    def evaluate(self, genome: Genome, metrics):
        return {}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"space": None}, "does not set 'space'"),
        ({"metrics": ()}, "does not set 'metrics'"),
        ({"objectives": ()}, "does not set 'objectives'"),
        ({"space": "layers"}, "it must be a Space"),
        ({"metrics": ["error"]}, "'metrics' holds 'error'; it must hold Metric"),
        ({"objectives": [Objective("eror")]}, "objective 'eror' .* did you mean 'error'"),
        ({"constraints": [Constraint("ms", upper=1)]}, "constraint 'ms' .* is not one of its"),
        ({"metrics": [*Good.metrics, Metric("error")]}, "declares the metric 'error' twice"),
        ({"objectives": [Objective("error")] * 2}, "declares the objective 'error' twice"),
        ({"final_metrics": [Metric("error")]}, "declares the metric 'error' twice"),
        ({"metrics": [*Good.metrics, Metric("width")]}, "'width' for a gene and for a metric"),
        (
            {"metrics": [*Good.metrics, Metric("size", genes=["wdith"])]},
            "unknown gene 'wdith'; did you mean 'width'",
        ),
        ({"metrics": Metric("error")}, "'metrics' is Metric.*; it must be a list"),
        ({"constraints": iter(())}, "'constraints' is .*; it must be a list"),
        ({"designs": iter(())}, "'designs' is .*; it must be a list"),
        ({"metrics": [*Good.metrics, Metric("id")]}, "calls a gene or a metric 'id'"),
        ({"space": Space(*Good.space.genes, Integer("units", 1, 9))}, "gene or a metric 'units'"),
        (
            {"space": Space(*Good.space.genes, Choice("act", ["relu"])), "highlight": "act"},
            "highlights the gene 'act', whose options are no numbers",
        ),
        ({"designs": []}, "lists no designs"),
        ({"designs": [{"layers": 1, "width": 9}]}, "design 1: gene 'width' is 9"),
        (
            {
                "space": Space(
                    Integer("layers", 1, 4), Integer("width", 1, 8, when={"layers": [2]})
                ),
                "designs": [{"layers": 1, "width": 2}],
            },
            "design 1 is .*; its canonical form is {'layers': 1}",
        ),
        ({"designs": [{"layers": 1, "wdith": 2}]}, "did you mean 'width'"),
        ({"timed_models": {"net": "latncy_ms"}}, "model 'net' by 'latncy_ms', which .*mean 'laten"),
        ({"timed_models": {"net": "latency_ms"}}, "'timed_models', but exports no models"),
    ],
)
def test_a_problem_that_does_not_hold_together_is_refused(attributes, message):
    check_problem(Good())
    problem = Good()
    vars(problem).update(attributes)
    with pytest.raises(evonas.ProblemError, match=message):
        check_problem(problem)


def test_a_wrong_goal_or_an_empty_constraint_is_refused():
    with pytest.raises(evonas.ProblemError, match="'minimise' or 'maximise'"):
        Objective("error", "minimize")
    with pytest.raises(evonas.ProblemError, match="neither upper nor lower"):
        Constraint("error")
    with pytest.raises(evonas.ProblemError, match="from 5 to 1; lower must not be above upper"):
        Constraint("error", upper=1, lower=5)


def test_a_class_is_not_a_problem():
    with pytest.raises(evonas.ProblemError, match=r"must be an object of a class .*Good"):
        evonas.search(Good)


@given(
    st.floats(-100, 100),
    st.floats(-50, 50).filter(lambda x: abs(x) > 1e-3),
    st.floats(0.1, 50),
)
def test_a_violation_is_positive_exactly_beyond_the_bounds(value, lower, width):
    upper = lower + width
    violation = Constraint("m", upper=upper, lower=lower).violation(value)
    assert (violation > 0) == (value < lower or value > upper)
    assert math.isfinite(violation)


def test_violations_of_different_units_are_comparable():
    assert Constraint("m", upper=10.0).violation(15.0) == pytest.approx(0.5)
    assert Constraint("m", upper=1e6).violation(1.5e6) == pytest.approx(0.5)
    assert Constraint("m", upper=0.0).violation(0.5) == pytest.approx(0.5)


def test_memory_keys_are_the_genes_that_a_metric_names():
    problem, genome = Good(), {"layers": 2, "width": 3}
    assert problem.memory_key("error", genome) == genome
    assert problem.memory_key("latency_ms", genome) == {"width": 3}
    with pytest.raises(evonas.ProblemError, match="did you mean 'latency_ms'"):
        problem.memory_key("latency", genome)
