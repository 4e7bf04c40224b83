"""The parameters of a search: one list, for every way to start one."""

import inspect
import json

import pytest
from typer.main import get_command

import evonas
from evonas import SearchSettings, UsageError
from evonas.engine.settings import CHANGEABLE, OWN, load_runner, read_settings
from evonas.errors import RunError
from evonas.runners.cli.config import Config
from evonas.runners.cli.main import app
from evonas.runners.processes import ProcessRunner
from evonas.runners.serial import SerialRunner
from evonas.surrogates.metric_models import MetricModels

FIELDS = SearchSettings.model_fields


class Pool:
    """A runner as far as settings know one."""

    def __init__(self, workers=1):
        self.workers = workers


class Far(Pool):
    prefers_asynchronous = True
    grace = 20.0


def parameters(function):
    found = inspect.signature(function).parameters
    return {name: found[name].default for name in FIELDS if name in found}


def test_python_has_every_parameter_with_its_default_and_description():
    assert parameters(evonas.search) == {name: field.default for name, field in FIELDS.items()}
    assert list(parameters(evonas.resume)) == [n for n in FIELDS if n in {*CHANGEABLE, "surrogate"}]
    for name in FIELDS:
        assert f"        {name}: {FIELDS[name].description[:40]}" in evonas.search.__doc__


def test_the_command_line_and_yaml_have_every_parameter():
    options = {p.name: p for p in get_command(app).commands["search"].params}
    assert set(FIELDS) <= set(options)
    assert set(FIELDS) <= set(Config.model_fields)
    for name, field in FIELDS.items():
        assert options[name].help.startswith(field.description)
    # What is not given must be told from what is given and equals a default.
    assert {options[name].default for name in FIELDS} == {None}
    resumed = {p.name for p in get_command(app).commands["resume"].params}
    assert resumed & set(FIELDS) == set(CHANGEABLE)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"evaluations": 0}, "evaluations is 0; it must be at least 1"),
        ({"evaluations": True}, "evaluations is True; it must be a whole number"),
        ({"seconds": float("nan")}, "seconds is nan; it must be a finite number"),
        ({"seconds": 0}, "seconds is 0; it must be more than 0"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"population": 1}, "population is 1; it must be at least 2"),
        ({"population": 2.5}, "population is 2.5; it must be a whole number"),
        ({"retries": -1}, "retries is -1; it must be at least 0"),
        ({"grace": 0}, "grace is 0; it must be more than 0"),
        ({"address": ""}, "address is ''; it must be text"),
        ({"gpus_per_evaluation": -0.5}, "gpus_per_evaluation is -0.5; it must be at least 0"),
        ({"surrogate": 3}, "surrogate is 3; it must be true, false, or the name of a surrogate"),
        ({"runner": None}, "runner is None; it must be text"),
        ({"workers": 0, "wrkers": 1}, "unknown parameter 'wrkers'; did you mean 'workers'?"),
    ],
)
def test_a_wrong_value_is_told_in_one_sentence(given, message):
    with pytest.raises(UsageError) as caught:
        SearchSettings(**given)
    assert str(caught.value) == message
    with pytest.raises(UsageError) as caught:
        SearchSettings().changed(**given)
    assert str(caught.value) == message


def test_a_message_names_a_parameter_as_it_was_written():
    with pytest.raises(UsageError, match=r"^<workers> is 0; it must be at least 1$"):
        SearchSettings().changed(lambda name: f"<{name}>", workers=0)
    with pytest.raises(UsageError, match=r"^<address> is for the runner 'ray', not 'serial'$"):
        load_runner(SearchSettings(runner="serial", address="auto"), lambda name: f"<{name}>")


def test_a_runner_takes_what_concerns_a_cluster_if_its_signature_says_so():
    assert load_runner(SearchSettings()) is ProcessRunner

    def mine(problem, *, address=None, **others):
        raise NotImplementedError

    assert load_runner(SearchSettings(runner=mine, gpus_per_evaluation=0.5)) is mine
    with pytest.raises(UsageError, match="for the runner 'ray', not the one that was passed"):
        load_runner(SearchSettings(runner=SerialRunner, address="auto"))


@pytest.mark.parametrize(
    ("given", "workers", "first", "later"),
    [
        ({}, 1, 20, 5),
        ({}, 8, 20, 8),
        ({"surrogate": "default"}, 2, 20, 5),
        ({"surrogate": MetricModels}, 2, 20, 5),
        ({"surrogate": False}, 8, 40, 40),
        ({"surrogate": None, "population": 12}, 1, 12, 12),
        ({"population": 12}, 1, 12, 5),
        ({"initial_designs": 30, "offspring": 3}, 8, 30, 3),
    ],
)
def test_batches_follow_from_surrogate_population_and_workers(given, workers, first, later):
    settings = SearchSettings(**given).resolved(Pool(workers))
    assert (settings.initial_designs, settings.offspring) == (first, later)
    assert (settings.first_batch, settings.later_batch) == (first, later)


def test_a_runner_may_have_defaults_of_its_own():
    near, far = SearchSettings().resolved(Pool()), SearchSettings().resolved(Far())
    assert (near.asynchronous, near.grace) == (False, None)
    assert (far.asynchronous, far.grace) == (True, 20.0)
    told = SearchSettings(asynchronous=False, grace=3).resolved(Far())
    assert (told.asynchronous, told.grace) == (False, 3)


def test_a_budget_ends_at_whichever_comes_first():
    settings = SearchSettings(population=10, offspring=3, surrogate=False)
    assert settings.limit() == float("inf")
    assert settings.changed(evaluations=90).limit(known=10) == 80
    assert settings.changed(generations=4).limit(known=10) == 10 + 3 * 3
    assert settings.changed(generations=4, evaluations=12).limit() == 12


def test_a_journal_keeps_what_a_run_goes_on_with():
    settings = SearchSettings(evaluations=9, timeout=5, surrogate="default").resolved(Far(3))
    stored = json.loads(json.dumps(settings.model_dump(mode="json")))
    assert read_settings(stored) == settings
    own = SearchSettings(surrogate=MetricModels, runner=Far).model_dump(mode="json")
    assert (own["surrogate"], own["runner"]) == (OWN, OWN)


FIRST_VERSION = {
    "seed": 3,
    "population": 40,
    "opening": 20,
    "offspring": 5,
    "asynchronous": True,
    "surrogate": "default",
    "runner": "ray",
    "workers": None,
    "timeout": None,
    "retries": 2,
    "runner_options": {"address": "auto", "cpus_per_evaluation": 2},
    "grace": 20.0,
    "budget": {"evaluations": 90, "seconds": None, "generations": None},
}


def test_settings_of_the_first_version_are_read():
    assert read_settings(FIRST_VERSION) == SearchSettings(
        evaluations=90, seed=3, initial_designs=20, offspring=5, asynchronous=True,
        surrogate="default", runner="ray", grace=20.0, address="auto", cpus_per_evaluation=2,
    )  # fmt: skip
    later = ("opening", "surrogate", "runner_options", "grace")  # the oldest runs have none
    oldest = {name: value for name, value in FIRST_VERSION.items() if name not in later}
    settings = read_settings({**oldest, "runner": None, "offspring": 40})
    assert (settings.initial_designs, settings.surrogate, settings.runner) == (40, None, OWN)


def test_settings_that_cannot_be_read_are_refused():
    with pytest.raises(RunError, match="cannot be read: unknown parameter 'patience'"):
        read_settings({**FIRST_VERSION, "runner_options": {"patience": 3}})


def test_a_resumed_run_keeps_what_makes_its_course():
    settings = read_settings(FIRST_VERSION)
    longer = settings.resumed(seconds=60)
    assert (longer.evaluations, longer.seconds) == (None, 60)
    assert settings.resumed(workers=4, timeout=9) == settings.changed(workers=4, timeout=9)
    here = settings.changed(workers=4).resumed(runner="processes")
    assert (here.workers, here.address, here.cpus_per_evaluation) == (None, None, None)
    assert settings.resumed(runner="ray").address == "auto"
    with pytest.raises(UsageError, match=r"^seed stays as it was when the run was started$"):
        settings.resumed(seed=4)
