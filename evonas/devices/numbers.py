"""Read a device or a link from a short text: the name of a preset, or its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from evonas.errors import ConfigError, did_you_mean

Profile = TypeVar("Profile")


def preset(what: str, name: str, presets: Mapping[str, Profile]) -> Profile:
    """Find a preset by name.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in presets:
        raise ConfigError(f"there is no {what} '{name}'{did_you_mean(name, presets)}")
    return presets[name]


def numbers(
    what: str, text: str, required: Sequence[str], optional: Mapping[str, float]
) -> dict[str, float]:
    """Read ``name=number`` pairs, separated by commas.

    Args:
        what: ``"device"`` or ``"link"``, for messages.
        text: The pairs.
        required: Names that must be given.
        optional: Other names, with the numbers they have when they are not given.

    Raises:
        ConfigError: A name is unknown or missing, or a value is not a number from 0 on.
    """
    known = (*required, *optional)
    given: dict[str, float] = {}
    for pair in text.split(","):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in known:
            raise ConfigError(f"a {what} has no '{name}'{did_you_mean(name, known)}")
        try:
            given[name] = float(value)
        except ValueError:
            raise ConfigError(f"{name} of the {what} is '{value}'; it must be a number") from None
        if not 0 <= given[name] < math.inf:
            raise ConfigError(f"{name} of the {what} is {value}; it must be 0 or more")
    for name in required:
        if name not in given:
            raise ConfigError(f"the {what} '{text}' lacks {name}; give a preset, or {name}=NUMBER")
    return {**optional, **given}
