"""Problems are made from what names them, and put on fitted devices."""

from pathlib import Path

import pytest

from evonas import ConfigError, Integer, Metric, Objective, PluginError, Problem, Space
from evonas.devices import store
from evonas.devices.presets import Device
from evonas.devices.problem import DeviceProblem
from evonas.references import load_problem


class Net(Problem):
    """It runs on the option ``device``, which it does not have itself."""

    space = Space(Integer("depth", 0, 9))
    metrics = (Metric("head_ms", "ms"), Metric("tail_ms", "ms"))
    objectives = (Objective("head_ms"),)
    timed_models = {"head": "head_ms", "tail": "tail_ms"}  # noqa: RUF012

    def evaluate(self, genome, metrics):
        return dict.fromkeys(metrics, 1.0)

    def export(self, genome, directory):
        pass


class Split(Net):
    """It has options of its own for what runs its models, say for presets."""

    runs_on = {"head": "device", "tail": "server"}  # noqa: RUF012
    model_options = ()

    def __init__(self, device="phone", server="server"):
        self.device, self.server = device, server


class Apart(Net):
    """Its models run on two options, none of which it has itself."""

    runs_on = {"head": "board", "tail": "rack"}  # noqa: RUF012


class Hiding(Net):
    def __init__(self, device="cpu"):
        pass


@pytest.fixture
def fitted(make_profile, monkeypatch):
    """A function that fits a device for a problem of this file; give the name to load it by."""
    load = "evonas.devices.profile.Profile.predictor"
    monkeypatch.setattr(load, lambda profile, kind: None)

    def fit(kind, name="board", folder=None, **changes):
        reference = f"{__name__}:{kind.__name__}"
        profile = make_profile(
            {"head": [], "tail": []},
            name=name,
            problem=reference,
            space=kind.space.describe(),
            **changes,
        )
        store.save(profile, folder or store.devices_folder())
        return reference

    return fit


def devices(problem):
    """Which profile predicts which metric."""
    return [note.partition(" (")[0] for note in problem.notes]


def test_all_models_run_on_the_option_device_by_default(fitted):
    reference = fitted(Net)
    problem = load_problem(reference, {"device": "board"})
    assert isinstance(problem, DeviceProblem)
    assert devices(problem) == ["head and tail on device board"]
    assert type(load_problem(reference)) is Net


def test_a_problem_says_which_option_names_the_device_of_a_model(fitted):
    reference = fitted(Apart)
    fitted(Apart, "other")
    problem = load_problem(reference, {"board": "board", "rack": "other"})
    assert devices(problem) == ["head on device board", "tail on device other"]
    assert devices(load_problem(reference, {"rack": "board"})) == ["tail on device board"]
    with pytest.raises(PluginError, match="has no option 'device'"):
        load_problem(reference, {"device": "board"})
    with pytest.raises(ConfigError, match="there is no device 'bord'"):
        load_problem(reference, {"rack": "bord"})


def test_a_problem_with_presets_of_its_own_gets_a_device_instead_of_a_name(fitted):
    reference = fitted(Split)
    problem = load_problem(reference, {"device": "board", "server": "phone"})
    assert devices(problem) == ["head on device board"]
    own = problem.unwrapped
    assert isinstance(own.device, Device)
    assert (own.device.name, own.device.factor, own.server) == ("board", 1, "phone")
    assert type(load_problem(reference, {"device": "no device"})) is Split


def test_a_fitted_device_does_not_share_its_name_with_a_preset(fitted):
    reference = fitted(Split, "phone")
    with pytest.raises(ConfigError, match=r"'phone' is a preset and, in .* a fitted device"):
        load_problem(reference, {"device": "phone"})


def test_profiles_of_a_run_come_first(fitted, tmp_path):
    reference = fitted(Split, threads=1)
    for name in ("board", "phone"):
        fitted(Split, name, tmp_path, threads=2)
    for problem in (
        load_problem(reference, {"device": "board"}, tmp_path),
        # Nobody had a preset of that name when the run was made.
        load_problem(reference, {"device": "phone"}, tmp_path),
    ):
        assert problem.profiles[0].threads == 2
    assert load_problem(reference, {"device": "board"}, Path("none")).profiles[0].threads == 1


def test_an_option_that_hides_a_fitted_device_is_refused(fitted):
    reference = fitted(Hiding)
    with pytest.raises(PluginError, match="has an option 'device' of its own and predicts nothing"):
        load_problem(reference, {"device": "board"})
    assert type(load_problem(reference, {"device": "gpu"})) is Hiding
