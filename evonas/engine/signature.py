"""Functions that show the parameters of a search as their own."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from evonas.engine.settings import SearchSettings

Function = TypeVar("Function", bound=Callable[..., Any])


def takes_settings(names: Iterable[str], defaults: bool = True) -> Callable[[Function], Function]:
    """Show parameters of a search in place of a function's ``**parameters``.

    The function's signature (for ``help``, notebooks and the reference) gets a keyword for each,
    and its docstring a line for each in place of that on ``**parameters``. So there is one list of
    them, and what type checkers know is the constructor of :class:`SearchSettings`.

    Args:
        names: Names of the parameters.
        defaults: Whether a parameter that is not given has its default.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        shown = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        lines = []
        for name in names:
            field = SearchSettings.model_fields[name]
            shown.append(
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=field.default if defaults else ...,
                    annotation=SearchSettings.__annotations__[name],
                )
            )
            text = describe(name) if defaults else field.description
            lines.append(textwrap.fill(f"{name}: {text}.", 88, subsequent_indent=" " * 12))
        text = ("\n" + " " * 8).join(lines)
        function.__doc__ = re.sub(r"\*\*parameters: .*", text, function.__doc__ or "")
        function.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
        return function

    return decorate


def describe(name: str) -> str:
    """Describe a parameter, its default included.

    >>> describe("seed")
    'Seed of the random number generator (default: 0)'
    """
    field = SearchSettings.model_fields[name]
    if field.default is None:
        return str(field.description)
    default = "yes" if field.default is True else field.default
    return f"{field.description} (default: {default})"
