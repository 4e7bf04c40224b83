"""Find plug-ins by the name of their entry point, and problems also by where their class is."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from evonas.errors import PluginError, did_you_mean
from evonas.problem import Problem

Group = Literal["evonas.problems", "evonas.surrogates", "evonas.runners", "evonas.transfer"]

FILE_MODULE_PREFIX = "evonas_file_"
"""Modules loaded from a file have names that start with this; workers cannot import them."""

EXTRAS = {
    "PIL": "vision",
    "onnx": "vision",
    "onnxruntime": "vision",
    "ray": "ray",
    "torch": "vision",
}
"""Optional packages, by the name they are imported by, and the extra of evonas that brings each."""


@contextmanager
def extras_named(what: str) -> Iterator[None]:
    """Say which extra brings a package that turns out to be missing.

    Args:
        what: The subject of the message, which needs the package.

    Raises:
        PluginError: A package of :data:`EXTRAS` is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise PluginError(
            f"{what} needs {package}; pip install 'evonas[{EXTRAS[package]}]'"
        ) from error


def names(group: Group) -> list[str]:
    """Return the names registered in a group of entry points, sorted."""
    return sorted({point.name for point in entry_points(group=group)})


def load(group: Group, name: str) -> Any:
    """Load one registered plug-in.

    Raises:
        PluginError: The name is unknown, or the plug-in does not load.
    """
    points: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=group)}
    kind = group.removeprefix("evonas.").removesuffix("s")
    if name not in points:
        raise PluginError(f"unknown {kind} '{name}'{did_you_mean(name, points)}")
    try:
        with extras_named(f"the {kind} '{name}'"):
            return points[name].load()
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(
            f"plug-in '{name}' ({points[name].value}) does not load: "
            f"{type(error).__name__}: {error}"
        ) from error


def class_name(reference: str) -> str:
    """Return the class in a reference without its place: a file has a path from every folder."""
    return reference.rpartition(":")[2]


def problem_class(reference: str) -> type[Problem]:
    """Find a problem class by a registered name, ``module:Class`` or ``file.py:Class``.

    Raises:
        PluginError: It is not found, does not load, or is not a problem.
    """
    place, colon, attribute = reference.rpartition(":")
    if not colon:
        if reference.endswith(".py"):
            raise PluginError(
                f"'{reference}' names a file; add the class, as in {reference}:MyProblem"
            )
        found = load("evonas.problems", reference)
    else:
        module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
        if not hasattr(module, attribute):
            classes = [n for n, value in vars(module).items() if _is_problem(value)]
            raise PluginError(
                f"'{place}' has no class '{attribute}'{did_you_mean(attribute, classes)}"
            )
        found = getattr(module, attribute)
    if not _is_problem(found):
        raise PluginError(f"'{reference}' is not a subclass of evonas.Problem")
    result: type[Problem] = found
    return result


def option_defaults(kind: type[Problem]) -> dict[str, object]:
    """Return the options of a problem class and their defaults (``inspect.Parameter.empty``)."""
    if kind.__init__ is object.__init__:
        return {}
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name: p.default for p in parameters if p.kind in named}


def _is_problem(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Problem) and value is not Problem


def _load_module(name: str) -> ModuleType:
    try:
        with extras_named(f"module '{name}'"):
            return importlib.import_module(name)
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(
            f"module '{name}' does not import: {type(error).__name__}: {error}"
        ) from error


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise PluginError(f"there is no file '{path}'")
    path = path.resolve()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    name = f"{FILE_MODULE_PREFIX}{digest}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"'{path}' is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        # So that the file can import its neighbours, as it could when run as a script.
        sys.path.insert(0, str(path.parent))
    try:
        with extras_named(f"'{path}'"):
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, PluginError):
            raise
        raise PluginError(f"'{path}' does not load: {type(error).__name__}: {error}") from error
    return module
