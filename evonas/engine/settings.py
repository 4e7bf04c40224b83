"""The parameters of a search: command line, YAML and Python take them from here.

A journal keeps them too, so that a resumed run goes on with what it was started with.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import PydanticCustomError

from evonas import plugins
from evonas.errors import RunError, UsageError, did_you_mean
from evonas.problem import Problem
from evonas.protocols import Runner, Surrogate

RunnerFactory = Callable[..., Runner]
"""Called as ``factory(problem, workers=..., timeout=..., ...)`` with what :data:`RUNNER` names.

What is left at its default is left out. A runner may have two attributes that serve as defaults:
``prefers_asynchronous``, and ``grace`` in seconds.
"""

SurrogateFactory = Callable[[Problem], Surrogate]
"""Makes the surrogate of a problem."""

INITIAL_DESIGNS, OFFSPRING = 20, 5
"""Sizes of the first batch and of every later one in a search with a surrogate: smaller than a
population, since each batch is chosen with what the last one taught. Later ones are larger where
there are more workers."""

DEFAULT_EVALUATIONS = 200
"""The budget of a search that is given none."""

BUDGET = ("evaluations", "seconds", "generations")
"""Parameters that end a search, whichever comes first."""

COURSE = ("seed", "population", "initial_designs", "offspring", "asynchronous", "surrogate")
"""Parameters that a run keeps: with other ones it would be another search."""

CLUSTER = ("address", "cpus_per_evaluation", "gpus_per_evaluation")
"""Parameters of a runner on a cluster."""

RUNNER = ("workers", "timeout", "retries", *CLUSTER)
"""Parameters that the runner is made with."""

OWN = "own"
"""What a journal keeps in place of a factory, which only the program that has it can pass again."""


class SearchSettings(BaseModel):
    """The parameters of a search, all with defaults.

    >>> SearchSettings(evaluations=80).changed(seed=1).seed
    1

    Raises:
        UsageError: A parameter is unknown, of the wrong type, or out of its bounds.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    evaluations: int | None = Field(
        default=None,
        ge=1,
        description="Number of evaluations after which the search ends, the probes of fitted "
        f"devices included; by default {DEFAULT_EVALUATIONS} when nothing else ends it",
    )
    seconds: float | None = Field(
        default=None, gt=0, description="Wall time in seconds after which the search ends"
    )
    generations: int | None = Field(
        default=None, ge=1, description="Number of batches after which the search ends"
    )
    seed: int = Field(default=0, ge=0, description="Seed of the random number generator")
    population: int = Field(
        default=40, ge=2, description="Number of designs that survive a generation"
    )
    initial_designs: int | None = Field(
        default=None,
        ge=1,
        description="Number of designs in the first batch; by default the population, with a "
        f"surrogate at most {INITIAL_DESIGNS}",
    )
    offspring: int | None = Field(
        default=None,
        ge=1,
        description=f"Number of designs in every later batch; by default {OFFSPRING}, or one for "
        "every worker if these are more, and without a surrogate the population",
    )
    asynchronous: bool | None = Field(
        default=None,
        description="Whether to propose a design whenever a worker is free rather than batch by "
        "batch; by default only on Ray",
    )
    surrogate: bool | str | SurrogateFactory | None = Field(
        default=True,
        description="Whether a surrogate decides which designs are worth evaluating; without it "
        "the search is plain NSGA-II, which is faster where an evaluation takes less than a second",
    )
    runner: str | RunnerFactory = Field(
        default="processes", description="Where evaluations run: serial, processes or ray"
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        description="Number of evaluations at the same time; by default one for every core, and "
        "on Ray as many as fit the cluster",
    )
    timeout: float | None = Field(
        default=None,
        gt=0,
        description="Time in seconds that an evaluation may take; by default unlimited, and on "
        "Ray 3600",
    )
    retries: int = Field(
        default=2,
        ge=0,
        description="Number of times that an evaluation is repeated whose worker died",
    )
    grace: float | None = Field(
        default=None,
        gt=0,
        description="Time in seconds that Ctrl-C leaves to running evaluations; by default "
        "unlimited, and on Ray 20",
    )
    address: str | None = Field(
        default=None,
        min_length=1,
        description="Address of a Ray cluster: auto, or host:port of its head; by default a "
        "private one is started",
    )
    cpus_per_evaluation: float | None = Field(
        default=None,
        gt=0,
        description="Number of processors that Ray reserves per evaluation; by default 1",
    )
    gpus_per_evaluation: float | None = Field(
        default=None,
        ge=0,
        description="Number of graphics processors, or share of one, that Ray reserves per "
        "evaluation; by default 0",
    )

    @field_validator("surrogate", mode="plain")
    @classmethod
    def _check_surrogate(cls, value: object) -> object:
        if value is None or isinstance(value, bool | str) or callable(value):
            return value
        raise PydanticCustomError("surrogate", "true, false, or the name of a surrogate")

    @field_validator("runner", mode="plain")
    @classmethod
    def _check_runner(cls, value: object) -> object:
        if isinstance(value, str) or callable(value):
            return value
        raise PydanticCustomError("runner", "text")

    @model_validator(mode="wrap")
    @classmethod
    def _explained(
        cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        """Say what is wrong in one sentence; the context may say how the caller wrote a name."""
        try:
            return handler(value)
        except ValidationError as error:
            # A misspelt name comes first: it may be the reason why another one is missing.
            first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        key, kind = str(first["loc"][0]), first["type"]
        written: Callable[[str], str] = (info.context or {}).get("written", str)
        if kind == "extra_forbidden":
            what = f"key {written(key)}" if info.context else f"parameter '{key}'"
            raise UsageError(f"unknown {what}{did_you_mean(key, cls.model_fields)}")
        right = RIGHT.get(kind, first["msg"]).format(**first.get("ctx", {}))
        raise UsageError(f"{written(key)} is {first['input']!r}; it must be {right}")

    @field_serializer("surrogate", "runner")
    def _without_factory(self, value: object) -> object:
        return OWN if callable(value) else value

    def changed(self, written: Callable[[str], str] | None = None, /, **changes: object) -> Self:
        """Return settings with other values.

        Args:
            written: Function that maps a parameter's name to how the caller wrote it, for messages.
            **changes: Parameters to change.

        Raises:
            UsageError: A parameter is unknown, of the wrong type, or out of its bounds.
        """
        context = None if written is None else {"written": written}
        return self.model_validate({**dict(self), **changes}, context=context)

    def resumed(self, written: Callable[[str], str] = str, /, **changes: object) -> Self:
        """Return what a run goes on with when it is resumed.

        A new budget replaces the whole of the old one. What was told to another runner is
        forgotten.

        Args:
            written: Function that maps a parameter's name to how the caller wrote it, for messages.
            **changes: Parameters to change.

        Raises:
            UsageError: A parameter is wrong, or it is one that a run keeps.
        """
        for name in COURSE:
            if name in changes:
                raise UsageError(f"{written(name)} stays as it was when the run was started")
        runner = changes.get("runner", self.runner)
        stale = set(BUDGET) if not changes.keys().isdisjoint(BUDGET) else set()
        if (OWN if callable(runner) else runner) != self.runner:
            stale |= {"workers", *CLUSTER}
        return self.changed(written, **dict.fromkeys(stale) | changes)

    @property
    def first_batch(self) -> int:
        """Number of designs in the first batch."""
        most = INITIAL_DESIGNS if self.surrogate else self.population
        return self.initial_designs or min(self.population, most)

    @property
    def later_batch(self) -> int:
        """Number of designs in every later batch, as far as it does not depend on the workers."""
        return self.offspring or (OFFSPRING if self.surrogate else self.population)

    def limit(self, known: int = 0) -> float:
        """Number of evaluations at which the search ends.

        Args:
            known: Number of evaluations of the budget that were made before the search began.
        """
        limits = [float("inf")]
        if self.evaluations is not None:
            limits.append(self.evaluations - known)
        if self.generations is not None:
            limits.append(self.first_batch + (self.generations - 1) * self.later_batch)
        return min(limits)

    def resolved(self, runner: Runner) -> Self:
        """Replace defaults that depend on the rest or on the runner: what a journal keeps."""
        batch = max(self.later_batch, runner.workers) if self.surrogate else self.later_batch
        chosen = {
            "initial_designs": self.first_batch,
            "offspring": batch,
            "asynchronous": getattr(runner, "prefers_asynchronous", False),
            "grace": getattr(runner, "grace", None),
        }
        return self.changed(**{k: v for k, v in chosen.items() if getattr(self, k) is None})


CHANGEABLE = [name for name in SearchSettings.model_fields if name not in COURSE]
"""Parameters that may be others when a run is resumed."""

RIGHT = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text",
    "dict_type": "a mapping, option: value",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
}
"""What a value must be, by pydantic's name for what it is not."""


def load_runner(settings: SearchSettings, written: Callable[[str], str] = str) -> RunnerFactory:
    """Load the runner, and check that it takes the parameters that are set.

    Args:
        settings: Settings that name the runner.
        written: Function that maps a parameter's name to how the caller wrote it, for messages.

    Raises:
        PluginError: There is no such runner, or it does not load.
        UsageError: A parameter of a cluster is given to a runner that has none.
    """
    runner = settings.runner
    factory: RunnerFactory = (
        plugins.load("evonas.runners", runner) if isinstance(runner, str) else runner
    )
    parameters = inspect.signature(factory).parameters
    any_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in CLUSTER:
        if getattr(settings, name) is not None and name not in parameters and not any_name:
            called = f"'{runner}'" if isinstance(runner, str) else "the one that was passed"
            raise UsageError(f"{written(name)} is for the runner 'ray', not {called}")
    return factory


def read_settings(stored: Mapping[str, Any]) -> SearchSettings:
    """Read the settings that a journal keeps, those of earlier versions included.

    Args:
        stored: Settings from a journal. Earlier ones have ``opening``, ``runner_options`` and a
            mapping ``budget``, and ``None`` for a runner that was a factory.

    Raises:
        RunError: The settings were written by another version, or are corrupt.
    """
    settings = dict(stored)
    if "budget" in settings:
        settings |= settings.pop("budget")
        settings["initial_designs"] = settings.pop("opening", settings["population"])
        settings |= settings.pop("runner_options", {})
        settings["runner"] = settings["runner"] or OWN
        settings.setdefault("surrogate", None)
    try:
        return SearchSettings.model_validate(settings)
    except UsageError as error:
        raise RunError(f"the settings of the run cannot be read: {error}") from None
