"""Problems on a fitted device: what is predicted, and what stays the problem's own."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evonas
from evonas import Integer, Metric, Objective, Space, Status, Task
from evonas.derived import all_values
from evonas.devices import store
from evonas.devices.problem import DeviceProblem, keep_profiles
from evonas.devices.profile import Profile
from evonas.evaluation import evaluate
from evonas.testing.problem import ProblemSuite


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
    """A function that puts the models of a problem on the board, all of them by default."""

    def put(problem, options=None, costs=None, models=None, name="board"):
        profile = make_profile(
            {cost: [] for cost in costs or problem.timed_models},
            Board,
            name=name,
            problem=f"net.py:{type(problem).__name__}",
            options=options or {},
            space=problem.space.describe(),
        )
        for cost, fitted in profile.kinds.items():
            fitted.unit = "mJ" if cost.endswith("energy") else "ms"
        profiles = dict.fromkeys(models or problem.timed_models, profile)
        return DeviceProblem(problem, profiles, profile.problem, options or {})

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
    assert found["notes"] == ["calibrated", f"net on device {problem.profiles[0]}"]
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
    class Fed(Net):
        def __init__(self, data=""):
            super().__init__()

    profile = on_device(Fed(), {"data": "here/images"}).profiles[0]
    profiles, reference = {"net": profile}, profile.problem
    DeviceProblem(Fed(), profiles, reference, {"data": Path("here/images")})
    with pytest.raises(evonas.ConfigError, match="fitted for other models"):
        DeviceProblem(Fed(), profiles, reference, {"data": Path("there/images")})


def test_only_options_that_decide_what_the_models_are_must_be_equal(on_device):
    class Fed(Net):
        runs_on = {"net": "machine"}  # noqa: RUF012

        def __init__(self, data="digits", bound=1.0, machine=""):
            super().__init__()

    profile = on_device(Fed(), {"bound": 2.0, "machine": "preset"}).profiles[0]
    profiles, reference = {"net": profile}, profile.problem
    # What a model runs on is no part of it, and a default need not be given.
    DeviceProblem(Fed(), profiles, reference, {"bound": 2.0, "data": "digits"})
    with pytest.raises(evonas.ConfigError, match="fitted for other models"):
        DeviceProblem(Fed(), profiles, reference, {})
    Fed.model_options = ("data",)
    DeviceProblem(Fed(), profiles, reference, {})
    with pytest.raises(evonas.ConfigError, match="fitted for other models"):
        DeviceProblem(Fed(), profiles, reference, {"data": "letters"})


def test_a_metric_is_the_time_of_one_model(on_device):
    problem = Net()
    problem.timed_models["copy"] = "ms"
    with pytest.raises(evonas.ConfigError, match="metric 'ms' is the time of several models"):
        on_device(problem)


class Pair(evonas.Problem):
    """Head and tail; the tail is missing at depth 0."""

    space = Space(Integer("depth", 0, 9))
    metrics = (
        Metric("head_ms", "ms", genes=[]),
        Metric("tail_ms", "ms"),
        Metric("sum_ms", "ms", derived_from=("head_ms", "tail_ms")),
        Metric("energy", "mJ", derived_from=("head_ms",)),
    )
    objectives = (Objective("sum_ms"),)
    timed_models = {"head": "head_ms", "tail": "tail_ms"}  # noqa: RUF012
    model_energies = {"head": "energy"}  # noqa: RUF012

    def __init__(self):
        self.measured = []

    def evaluate(self, genome, metrics):
        self.measured += metrics
        return dict.fromkeys(metrics, 2.0 * genome["depth"])

    def derive(self, metric, parts):
        return sum(parts.values()) * (10 if metric == "energy" else 1)

    def export(self, genome, directory):
        pass


class Knowing(Pair):
    """It knows which designs have a tail without measuring."""

    def has_model(self, model, genome):
        return model == "head" or genome["depth"] > 0


def expensive(problem):
    return {metric.name for metric in problem.metrics if metric.expensive}


def test_what_is_predicted_is_not_measured_where_models_are_known(on_device):
    problem = on_device(Knowing())
    assert expensive(problem) == {"sum_ms", "energy"}
    found = all_values(problem, {"depth": 3})
    assert (found["head_ms"], found["tail_ms"], found["sum_ms"]) == (5.0, 5.0, 10.0)
    assert found["energy"] == 50.0
    found = all_values(problem, {"depth": 0})
    assert (found["tail_ms"], found["tail_ms_upper"], found["sum_ms"]) == (0.0, 0.0, 5.0)
    assert problem.unwrapped.measured == []


def test_else_times_are_measured_to_know_which_models_there_are(on_device):
    problem = on_device(Pair())
    assert expensive(problem) >= {"head_ms", "head_ms_lower", "tail_ms", "tail_ms_upper"}
    assert problem.evaluate({"depth": 0}, ["tail_ms_lower"]) == {"tail_ms_lower": 0.0}
    assert problem.unwrapped.measured == ["tail_ms"]


def test_one_model_on_a_fitted_device_leaves_the_others_as_they_are(on_device):
    problem = on_device(Knowing(), models=["head"])
    names = [metric.name for metric in problem.metrics]
    assert "head_ms_lower" in names
    assert "tail_ms_lower" not in names
    found = all_values(problem, {"depth": 3})
    assert (found["head_ms"], found["tail_ms"], found["sum_ms"]) == (5.0, 6.0, 11.0)
    assert problem.unwrapped.measured == ["tail_ms"]
    assert problem.notes == [f"head on device {problem.profiles[0]}"]
    # What is predicted follows the whole design.
    assert problem.memory_key("head_ms", {"depth": 3}) == {"depth": 3}
    assert problem.unwrapped.memory_key("head_ms", {"depth": 3}) == {}


def test_energy_that_was_metered_is_predicted_for_any_problem(on_device):
    problem = on_device(Knowing(), costs=["head", "head energy", "tail"])
    found = all_values(problem, {"depth": 3})
    assert [found[f"energy{end}"] for end in ("", "_lower", "_upper")] == [5.0, 4.0, 6.0]
    assert problem.metric("energy").derived_from == ()
    assert "energy metered" in problem.notes[0]


def test_a_predicted_metric_has_the_unit_of_the_prediction(on_device):
    problem = Knowing()
    problem.metrics = [*Pair.metrics[:3], Metric("energy", "J", derived_from=("head_ms",))]
    on_device(problem)
    with pytest.raises(evonas.ConfigError, match="'energy' has the unit 'J', and is predicted in"):
        on_device(problem, costs=["head", "head energy", "tail"])


def test_models_run_on_devices_of_their_own(on_device, make_profile, tmp_path):
    problem = Knowing()
    head = on_device(problem).profiles[0]
    tail = on_device(problem, name="rack").profiles[0]
    problem = DeviceProblem(problem, {"head": head, "tail": tail}, head.problem, {})
    assert problem.describe()["probes"] == {"board": 0, "rack": 0}
    assert problem.describe()["kits"] == {"board": ["one"], "rack": ["one"]}
    assert problem.notes == [f"head on device {head}", f"tail on device {tail}"]
    keep_profiles(problem, tmp_path / "kept")
    keep_profiles(Knowing(), tmp_path / "none")
    assert store.device_names(tmp_path / "kept") == ["board", "rack"]
    assert not (tmp_path / "none").exists()


def test_a_front_is_not_made_again_for_times_on_another_device(on_device):
    options = {"evaluations": 4, "population": 4, "surrogate": False}
    run = evonas.search(Knowing(), **options, report=lambda line: None)
    with pytest.raises(
        evonas.UsageError, match="predicted for no device, and the problem's for bo"
    ):
        run.front_for(on_device(Knowing()))
    run = evonas.search(on_device(Knowing()), **options, report=lambda line: None)
    assert len(run.front_for(on_device(Knowing()))) == len(run.front)
    with pytest.raises(
        evonas.UsageError, match="predicted for board, and the problem's for no dev"
    ):
        run.front_for(Knowing())


class TestConformance(ProblemSuite):
    samples = 20

    @pytest.fixture(autouse=True)
    def _make(self, make_profile, monkeypatch):
        problem = Knowing()
        described = {"problem": "net.py:Knowing", "space": problem.space.describe()}
        profile = make_profile({"head": [], "tail": []}, Board, **described)
        self._profiles = {"head": profile, "tail": profile}

    def make_problem(self):
        return DeviceProblem(Knowing(), self._profiles, "net.py:Knowing", {})
