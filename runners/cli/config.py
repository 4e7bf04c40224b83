"""What a search is asked to do, from a YAML file and from the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from evonas.engine.settings import SearchSettings, load_runner
from evonas.errors import ConfigError, PluginError, UsageError
from evonas.runners.cli.options import option

FILE_NAME = "config.yaml"


class Config(SearchSettings):
    """A search with its problem and its directory; the keys of a configuration file."""

    problem: str = Field(
        default="",
        min_length=1,
        description="Problem to search: a registered name, module:Class, or file.py:Class",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Keyword arguments of the problem's constructor"
    )
    out: str | None = Field(
        default=None,
        min_length=1,
        description="Directory of the run; by default a new one in results/runs",
    )

    @property
    def settings(self) -> SearchSettings:
        """The parameters of the search."""
        return SearchSettings(**{k: getattr(self, k) for k in SearchSettings.model_fields})

    def text(self) -> str:
        """Write the configuration as a YAML file, defaults included."""
        content = self.model_dump(exclude_none=True)
        first = {name: content.pop(name) for name in ("problem", "options")}
        text: str = yaml.safe_dump(first | content, sort_keys=False, allow_unicode=True)
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
        PluginError: The runner is unknown, or does not load.
    """
    settings, lines = _read(file) if file else ({}, {})
    settings |= given
    in_file = settings.setdefault("options", {})
    if isinstance(in_file, dict):
        settings["options"] = in_file | dict(options or {})

    def written(key: str) -> str:
        return option(key) if key in given else f"'{key}' in '{file}', line {lines[key]}"

    try:
        config = Config.model_validate(settings, context={"written": written})
        load_runner(config, written)
    except PluginError:
        raise
    except UsageError as error:
        raise ConfigError(str(error)) from None
    if not config.problem:
        raise ConfigError(f"'{file}' does not name a problem; add a line such as 'problem: digits'")
    return config


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
