"""Read the numbers of a device or a link from a short text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evonas.errors import ConfigError, did_you_mean


def parse_numbers(
    kind: str, text: str, required: Sequence[str], optional: Mapping[str, float]
) -> dict[str, float]:
    """Read ``name=number`` pairs, separated by commas.

    Args:
        kind: ``"device"`` or ``"link"``, for messages.
        text: The pairs.
        required: Names that must be given.
        optional: Other names, with the numbers that they have when they are left out.

    Raises:
        ConfigError: A name is unknown or missing, or a value is not a number from 0 on.
    """
    known = (*required, *optional)
    given: dict[str, float] = {}
    for pair in text.split(","):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in known:
            raise ConfigError(f"a {kind} has no '{name}'{did_you_mean(name, known)}")
        try:
            given[name] = float(value)
        except ValueError:
            raise ConfigError(f"{name} of the {kind} is '{value}'; it must be a number") from None
        if not 0 <= given[name] < math.inf:
            raise ConfigError(f"{name} of the {kind} is {value}; it must be 0 or more")
    for name in required:
        if name not in given:
            raise ConfigError(f"the {kind} '{text}' lacks {name}; give a preset, or {name}=NUMBER")
    return {**optional, **given}
