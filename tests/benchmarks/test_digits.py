"""The benchmark on the digits supernet, on problems that need no supernet."""

import json

import numpy as np
import pandas as pd
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


def test_searches_that_find_nothing_are_told():
    with pytest.raises(WorkError, match="no search found a feasible design"):
        digits.shares([np.full((3, 2), np.inf)])


def test_a_comparison_writes_a_table_and_a_figure(tmp_path):
    lines = []
    found = digits.run(
        tmp_path, seeds=2, evaluations=80, budget=60, problem="blocks", report=lines.append
    )
    assert len(lines) == 4
    table = pd.read_csv(tmp_path / "digits_prune.csv")
    assert list(table["seed"]) == [0, 1]
    for row in found["seeds"]:
        assert 0 < row["plain_at_budget"] <= row["plain_at_end"] <= 1
        assert (row["needed"] is not None) == (row["evonas_at_budget"] >= row["plain_at_end"])
        assert row["evonas_seconds"] > 0
    assert found["seeds_reached"] == table["needed"].notna().sum()
    assert (tmp_path / "digits_prune.png").read_bytes().startswith(b"\x89PNG")
    again = digits.run(
        tmp_path, seeds=2, evaluations=80, budget=60, problem="blocks", report=lines.append
    )
    keys = ["plain_at_budget", "plain_at_end", "evonas_at_budget", "needed"]
    for row, before in zip(again["seeds"], found["seeds"], strict=True):
        assert [row[key] for key in keys] == [before[key] for key in keys]


def test_a_curve_that_ends_low_is_in_the_figure(tmp_path, monkeypatch):
    limits = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda f, *a, **o: limits.append(f.axes[0].get_ylim())
    )
    curves = {("plain", 0): np.array([0.5, 0.97]), ("evonas", 0): np.array([0.6, 0.8])}
    digits.draw(tmp_path / "figure.png", curves, 1)
    assert limits[0][0] < 0.8


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
    assert not list(tmp_path.glob("*.csv"))


def test_an_unknown_option_is_named(tmp_path):
    result = CliRunner().invoke(bench, ["digits", "--set", "devise=phone", "--out", str(tmp_path)])
    assert isinstance(result.exception, PluginError)
    assert "no option 'devise'; did you mean 'device'" in str(result.exception)


def test_the_command_prints_json(tmp_path, monkeypatch):
    monkeypatch.setattr(
        digits.run, "__kwdefaults__", {**digits.run.__kwdefaults__, "problem": "blocks"}
    )
    arguments = ["digits", "--seeds", "1", "--evaluations", "40", "--budget", "30", "--json"]
    result = CliRunner().invoke(bench, [*arguments, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["evaluations"], found["budget"], len(found["seeds"])) == (40, 30, 1)
