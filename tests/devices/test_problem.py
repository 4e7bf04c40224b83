"""Problems on a fitted device: what is predicted, and what stays the problem's own."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evonas
from evonas import Integer, Metric, Objective, Space, Status, Task
from evonas.devices.problem import OnDevice
from evonas.devices.profile import Profile
from evonas.runners.evaluate import evaluate


class Board(Profile):
    """A device on which everything takes 5 ms."""

    def predictor(self, kind):
        ends = (np.array([ms]) for ms in (5.0, 4.0, 6.0))
        found = SimpleNamespace(**dict(zip(("mean", "lower", "upper"), ends, strict=True)))
        return SimpleNamespace(predict=lambda views: found)


class Net(evonas.Problem):
    space = Space(Integer("depth", 0, 9))
    metrics = (Metric("error"), Metric("ms", "ms"))
    objectives = (Objective("error"), Objective("ms"))

    def __init__(self, here=lambda depth: 1.0 * depth):
        self.here, self.timed_models = here, {"net": "ms"}

    def evaluate(self, genome, metrics):
        return {"error": 9.0 - genome["depth"], "ms": self.here(genome["depth"])}

    def export(self, genome, directory):
        (directory / "net.onnx").touch()


@pytest.fixture
def on_device(make_profile):
    """A function that puts a problem on the board."""

    def put(problem, options=None):
        profile = make_profile(
            {model: [] for model in problem.timed_models},
            Board,
            problem=f"net.py:{type(problem).__name__}",
            options=options or {},
            space=problem.space.describe(),
        )
        return OnDevice(problem, profile, profile.problem, options or {})

    return put


def evaluated(problem, depth):
    names = tuple(metric.name for metric in problem.metrics)
    return evaluate(problem, Task(evonas.Candidate(0, {"depth": depth}, 0), names))


@pytest.mark.parametrize(("depth", "times"), [(3, [5.0, 4.0, 6.0]), (0, [0.0] * 3)])
def test_times_are_predicted_where_there_is_a_model(on_device, depth, times):
    assert list(evaluated(on_device(Net()), depth).values.values()) == [9.0 - depth, *times]


@pytest.mark.parametrize("here", [math.nan, math.inf])
def test_a_time_that_is_no_number_fails_as_without_the_device(on_device, here):
    problem = Net(lambda depth: here)
    for one in (problem, on_device(problem)):
        found = evaluated(one, 3)
        assert found.status is Status.FAILED
        assert found.error == f"evaluate returned {here} for 'ms'; it must be finite"


class Changing(Net):
    """Its values come from a file, and preparing it takes a note."""

    data = "one"

    def prepare(self, report):
        self.notes = ["calibrated"]

    def describe(self):
        return {**super().describe(), "data": self.data}


def test_what_a_problem_adds_to_its_description_is_kept(on_device):
    problem = on_device(Changing())
    problem.prepare(print)
    found = problem.describe()
    assert (found["problem"], found["data"]) == ("Changing", "one")
    assert found["notes"] == ["calibrated", f"device {problem.profiles[0]}"]
    assert [metric["name"] for metric in found["metrics"]][2:] == ["ms_lower", "ms_upper"]
    assert found["probes"] == {"board": 0}


def test_a_search_on_a_device_is_not_resumed_when_the_data_changed(on_device, tmp_path):
    out, options = tmp_path / "run", {"population": 4, "surrogate": False, "report": print}
    evonas.search(on_device(Changing()), evaluations=4, out=out, **options)
    changed = Changing()
    changed.data = "two"
    with pytest.raises(evonas.RunError, match="the data of problem 'Changing' changed"):
        evonas.resume(out, problem=on_device(changed), evaluations=8)


def test_options_from_python_are_those_of_the_command_line(on_device):
    profile = on_device(Net(), {"data": "here/images"}).profiles[0]
    reference = profile.problem
    OnDevice(Net(), profile, reference, {"data": Path("here/images")})
    with pytest.raises(evonas.ConfigError, match="fitted for other models"):
        OnDevice(Net(), profile, reference, {"data": Path("there/images")})


def test_a_metric_is_the_time_of_one_model(on_device):
    problem = Net()
    problem.timed_models["copy"] = "ms"
    with pytest.raises(evonas.ConfigError, match="metric 'ms' is the time of several models"):
        on_device(problem)
