"""Options of a command, made from the parameters of a search."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, get_args

import typer

from evonas.engine.settings import SearchSettings
from evonas.engine.signature import describe

FLAGS = {
    "asynchronous": "--asynchronous/--synchronous",
    "surrogate": "--surrogate/--no-surrogate",
}
"""Options that take no value."""


def option(name: str) -> str:
    """Write a parameter's name as its option.

    >>> option("cpus_per_evaluation")
    '--cpus-per-evaluation'
    """
    return f"--{name.replace('_', '-')}"


def with_settings(names: Iterable[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each parameter, with the parameter's type and description.

    Args:
        names: Names of fields of :class:`SearchSettings`.

    Returns:
        A decorator of a command; the command gets ``given``, a mapping of the parameters that the
        call names.
    """
    names = list(names)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            values = {name: arguments.pop(name) for name in names}
            given = {name: value for name, value in values.items() if value is not None}
            command(**arguments, given=given)

        signature = inspect.signature(command, eval_str=True)
        keyword = inspect.Parameter.KEYWORD_ONLY
        own = [p.replace(kind=keyword) for p in signature.parameters.values() if p.name != "given"]
        options = [_parameter(name) for name in names]
        # The argument first, and what a command has for itself after the parameters of its search.
        run.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[own[0], *options, *own[1:]]
        )
        run.__annotations__ = {}
        return run

    return decorate


def _parameter(name: str) -> inspect.Parameter:
    annotation = SearchSettings.model_fields[name].annotation
    kinds = get_args(annotation) or (annotation,)
    kind = bool if name in FLAGS else next(k for k in (int, float, str) if k in kinds)
    flags = [FLAGS[name]] if name in FLAGS else []
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, typer.Option(*flags, help=f"{describe(name)}.")],
    )
