"""What a search is asked to do, from a YAML file and from the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evonas.errors import ConfigError, did_you_mean
from evonas.host import available_cores

FILE_NAME = "config.yaml"

RAY_KEYS = ("address", "cpus_per_evaluation", "gpus_per_evaluation")
"""Settings that only the runner ``ray`` has."""

RAY_GRACE = 20.0
"""Seconds, because what stops a cluster's job often kills it after 30."""


class Config(BaseModel):
    """Everything that determines a search; the keys of a configuration file.

    Attributes:
        problem: A registered name, ``module:Class``, or ``file.py:Class``.
        options: Keyword arguments of the problem's constructor.
        evaluations: End after this many.
        seconds: End after this wall time.
        generations: End after this many batches.
        seed: Of everything random in the search.
        population: Candidates of the opening batch (with a surrogate at most 20), and survivors of
            every later one.
        offspring: Candidates of every later batch; left out, with a surrogate 5, or as many as
            there are workers if these are more, and without one as many as the population.
        asynchronous: Propose whenever a worker is free, not batch by batch; left out, as the
            runner prefers.
        surrogate: Let a surrogate decide which designs are worth evaluating; without it, the
            search is plain NSGA-II.
        runner: A registered name.
        workers: Evaluations at the same time; left out, one for every core (``serial``: one,
            ``ray``: as many as fit the cluster).
        timeout: Seconds an evaluation may take; left out, any.
        retries: How often an evaluation whose worker died is started again.
        grace: Seconds that a stop leaves to what is running; left out, any (``ray``: 20).
        address: Of the Ray cluster, ``auto`` or ``host:port``; left out, a private one.
        cpus_per_evaluation: That Ray sets apart; left out, 1.
        gpus_per_evaluation: Likewise; left out, none.
        out: The run's directory; left out, a new one under ``results/runs``.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    problem: str = Field(min_length=1)
    options: dict[str, Any] = Field(default_factory=dict)
    evaluations: int | None = Field(None, ge=1)
    seconds: float | None = Field(None, gt=0, allow_inf_nan=False)
    generations: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0)
    population: int = Field(40, ge=1)
    offspring: int | None = Field(None, ge=1)
    asynchronous: bool | None = None
    surrogate: bool = True
    runner: str = "processes"
    workers: int | None = Field(None, ge=1)
    timeout: float | None = Field(None, gt=0, allow_inf_nan=False)
    retries: int = Field(2, ge=0)
    grace: float | None = Field(None, gt=0, allow_inf_nan=False)
    address: str | None = Field(None, min_length=1)
    cpus_per_evaluation: float | None = Field(None, gt=0, allow_inf_nan=False)
    gpus_per_evaluation: float | None = Field(None, ge=0, allow_inf_nan=False)
    out: str | None = Field(None, min_length=1)

    def arguments(self) -> dict[str, Any]:
        """Return what :func:`evonas.search` is called with, beside the problem."""
        arguments = self.model_dump(exclude={"problem", "surrogate", *RAY_KEYS})
        arguments["surrogate"] = "default" if self.surrogate else None
        if self.runner == "ray":
            arguments["runner_options"] = self.model_dump(include=set(RAY_KEYS), exclude_none=True)
        return arguments

    def text(self) -> str:
        """Write the configuration as a YAML file, defaults included."""
        settings = self.model_dump(exclude_none=True)
        text: str = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        return text


def make_config(
    given: Mapping[str, object],
    options: Mapping[str, object] | None = None,
    file: Path | None = None,
) -> Config:
    """Read and check a configuration.

    Args:
        given: Settings of the command line; they take the place of those in the file.
        options: Options of the problem from the command line; they join those in the file.
        file: A YAML file; without one, ``given`` holds the problem.

    Raises:
        ConfigError: The file is missing or is no YAML mapping, or a key is unknown or has a value
            of the wrong kind; the message names the line.
    """
    settings, lines = _read(file) if file else ({}, {})
    settings |= given
    in_file = settings.setdefault("options", {})
    if isinstance(in_file, dict):
        settings["options"] = in_file | dict(options or {})
    on_ray = settings.get("runner") == "ray"
    if on_ray:
        settings.setdefault("grace", RAY_GRACE)
    else:
        settings.setdefault(
            "workers", 1 if settings.get("runner") == "serial" else available_cores()
        )

    def place(key: str) -> str:
        if key in given:
            return f"--{key.replace('_', '-')}"
        return f"'{key}' in '{file}', line {lines[key]}"

    try:
        config = Config.model_validate(settings)
        for key in RAY_KEYS:
            if key in settings and not on_ray:
                raise ConfigError(f"{place(key)} is for the runner 'ray', not '{config.runner}'")
        return config
    except ValidationError as error:
        # A misspelt key comes first: it may be the reason why another one is missing.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    key, kind = str(first["loc"][0]), first["type"]
    if kind == "missing":
        raise ConfigError(f"'{file}' does not name a problem; add a line such as 'problem: digits'")
    if kind == "extra_forbidden":
        raise ConfigError(f"unknown key {place(key)}{did_you_mean(key, Config.model_fields)}")
    right = RIGHT.get(kind, first["msg"]).format(**first.get("ctx", {}))
    raise ConfigError(f"{place(key)} is {first['input']!r}; it must be {right}")


RIGHT = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text",
    "dict_type": "a mapping, option: value",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge}",
}
"""What a value must be, by pydantic's name for what it is not."""


def parse_options(texts: Iterable[str]) -> dict[str, object]:
    """Read ``key=value`` texts; a value is read as YAML.

    >>> parse_options(["image_size=16", "data=folder:leaves", "links=[5g, wifi]"])
    {'image_size': 16, 'data': 'folder:leaves', 'links': ['5g', 'wifi']}

    Raises:
        ConfigError: A text has no key, or its value is not YAML.
    """
    options: dict[str, object] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set takes key=value, as in '--set image_size=16', not '{text}'")
        try:
            options[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(
                f"the value in '--set {text}' is not YAML; put quotes around it"
            ) from None
    return options


def _read(file: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Read a YAML mapping, and the line of each key."""
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"cannot read '{file}': {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"'{file}' is not a text file in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"'{file}', line {line}, is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"'{file}' is not YAML: {' '.join(str(error).split())}") from None
    if node is None:
        raise ConfigError(f"'{file}' is empty; it needs at least 'problem: digits'")
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"'{file}' holds no settings; write lines such as 'problem: digits'")
    lines: dict[str, int] = {}
    for name, _ in node.value:
        key, line = str(name.value), name.start_mark.line + 1
        if key in lines:
            raise ConfigError(
                f"'{file}' has the key '{key}' twice, on lines {lines[key]} and {line}"
            )
        lines[key] = line
    return {str(key): value for key, value in content.items()}, lines
