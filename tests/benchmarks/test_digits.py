"""The benchmark on the digits supernet, on problems that need no supernet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks import digits
from benchmarks.__main__ import bench
from evonas import Integer, Metric, Objective, Problem, Space
from evonas.errors import InfeasibleError, PluginError, WorkError
from evonas.records import Candidate, Status, Task


class Noisy(Problem):
    """Every call gives another latency; the design 0 has no values."""

    space = Space(Integer("x", 0, 9))
    metrics = (Metric("size"), Metric("latency_ms", "ms"))
    objectives = (Objective("size"), Objective("latency_ms"))
    timed_models = {"whole": "latency_ms"}  # noqa: RUF012

    def __init__(self):
        self.calls = []

    def evaluate(self, genome, metrics):
        self.calls.append(tuple(metrics))
        if genome["x"] == 0:
            raise InfeasibleError("no values")
        latency = [3.0, 9.0, 4.0][(len(self.calls) - 1) % 3]
        return {"size": float(genome["x"]), "latency_ms": latency}


def test_a_design_is_measured_once_and_its_times_are_medians():
    problem = Noisy()
    measured = digits.Measured(problem)
    both, size = ("size", "latency_ms"), ("size",)
    first = measured.look_up(Task(Candidate(0, {"x": 3}, 0), both))
    assert first.values == {"size": 3.0, "latency_ms": 4.0}
    assert problem.calls == [both, ("latency_ms",), ("latency_ms",)]
    again = measured.look_up(Task(Candidate(7, {"x": 3}, 2), size))
    assert (again.candidate.id, again.values, again.seconds) == (7, {"size": 3.0}, first.seconds)
    assert len(problem.calls) == 3
    assert len(measured) == 1


def test_a_design_without_values_stays_one():
    problem = Noisy()
    measured = digits.Measured(problem)
    for _ in range(2):
        found = measured.look_up(Task(Candidate(0, {"x": 0}, 0), ("size", "latency_ms")))
        assert (found.status, found.values) == (Status.INFEASIBLE, {})
    assert len(problem.calls) == 1


Costs = st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=1, max_size=12)


@given(Costs, Costs)
def test_the_share_only_grows_and_all_together_have_everything(first, second):
    runs = [np.array(costs, float) for costs in (first, second, first + second)]
    one, other, both = digits.shares(runs)
    assert (np.diff(both) >= 0).all()
    assert both[-1] == pytest.approx(1.0)
    assert max(one[-1], other[-1]) <= both[-1] + 1e-12


def test_scaling_does_not_depend_on_units_nor_on_failures():
    costs = np.random.default_rng(0).random((2, 30, 3))
    costs[0, 4] = np.inf
    for one, other in zip(
        digits.shares(costs), digits.shares(costs * [1.0, 1e3, 1e-6] + 5), strict=True
    ):
        assert one == pytest.approx(other)


def test_searches_that_find_nothing_are_an_error():
    with pytest.raises(WorkError, match="no search found a feasible design"):
        digits.shares([np.full((3, 2), np.inf)])


def test_a_comparison_has_a_row_a_seed(tmp_path):
    lines = []
    (found,) = digits.run(
        tmp_path, seeds=2, evaluations=60, budget=40, problem="blocks", report=lines.append
    )
    table = found.table
    assert len(lines) == 4
    assert list(table["seed"]) == [0, 1]
    assert (table["plain_at_budget"] <= table["plain_at_end"]).all()
    assert (table["needed"].notna() == (table["evonas_at_budget"] >= table["plain_at_end"])).all()
    assert (table["evonas_seconds"] > 0).all()


def test_a_curve_that_ends_low_is_in_the_figure():
    curves = {("plain", 0): np.array([0.5, 0.97]), ("evonas", 0): np.array([0.6, 0.8])}
    assert digits.draw(curves, 1).axes[0].get_ylim()[0] < 0.8


def test_a_stop_ends_the_comparison(tmp_path):
    problem = tmp_path / "stopping.py"
    problem.write_text(
        "import signal\n"
        "from evonas.problems.toy import Blocks\n"
        "class Stopping(Blocks):\n"
        "    def evaluate(self, genome, metrics):\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "        return super().evaluate(genome, metrics)\n"
    )
    with pytest.raises(WorkError, match="plain-0 was stopped"):
        digits.run(tmp_path, problem=f"{problem}:Stopping", report=lambda text: None)


def test_an_unknown_option_is_named(tmp_path):
    result = CliRunner().invoke(bench, ["digits", "--set", "devise=phone", "--out", str(tmp_path)])
    assert isinstance(result.exception, PluginError)
    assert "no option 'devise'; did you mean 'device'" in str(result.exception)
