"""Make problems from what names them: ``digits``, ``module:Class`` or ``file.py:Class``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path

from evonas import plugins
from evonas.devices import store
from evonas.devices.problem import OnDevice
from evonas.devices.profile import Profile
from evonas.errors import EvonasError, PluginError, did_you_mean
from evonas.problem import Problem, check_problem


def load_problem(
    reference: str, options: Mapping[str, object] | None = None, devices: Path | None = None
) -> Problem:
    """Make a problem.

    Args:
        reference: A registered name, ``module:Class`` or ``file.py:Class``.
        options: Keyword arguments of its constructor; and ``device``, a fitted device that the
            times of its models are predicted for, if it sets ``timed_models`` and has no option
            of that name itself (:class:`evonas.devices.problem.OnDevice`).
        devices: Folder of profiles that come before the user's: those that a run keeps.

    Raises:
        PluginError: It is not found, does not load, or its constructor fails.
        UsageError: An option is unknown, or the problem says what is wrong with its value.
    """
    kind = plugins.problem_class(reference)
    options = dict(options or {})
    known = plugins.option_defaults(kind)
    device = None if "device" in known else options.pop("device", None)
    for name in options:
        if name not in known:
            raise PluginError(
                f"problem '{reference}' has no option '{name}'"
                + (did_you_mean(name, known) if known else "; it takes none")
            )
    needed = [name for name, default in known.items() if default is inspect.Parameter.empty]
    missing = [name for name in needed if name not in options]
    if missing:
        raise PluginError(
            f"problem '{reference}' needs the option '{missing[0]}'; "
            f"give it as --set {missing[0]}=VALUE"
        )
    try:
        problem = kind(**options)
    except EvonasError:
        raise
    except Exception as error:
        raise PluginError(
            f"problem '{reference}' cannot be made: {type(error).__name__}: {error}"
        ) from error
    check_problem(problem)
    if device is None:
        _check_device_is_used(problem, reference, str(options.get("device", "")))
        return problem
    if not problem.timed_models:
        raise PluginError(
            f"problem '{reference}' has neither an option 'device' nor 'timed_models', the models "
            "whose times would be predicted for a fitted device; its author sets one of them"
        )
    return _on_device(problem, _profile(str(device), devices), reference, options)


def _check_device_is_used(problem: Problem, reference: str, device: str) -> None:
    """Check that an option of a problem's own called ``device`` does not hide a fitted device."""
    if not problem.timed_models or problem.profiles:
        return
    if device in store.device_names(store.devices_folder()):
        raise PluginError(
            f"'{device}' is a fitted device, but problem '{reference}' has an option 'device' of "
            "its own and predicts nothing for it; give that option another name"
        )


def _profile(device: str, devices: Path | None) -> Profile:
    kept = devices is not None and device in store.device_names(devices)
    return store.load(device, devices if devices and kept else store.devices_folder())


def _on_device(
    problem: Problem, profile: Profile, reference: str, options: Mapping[str, object]
) -> Problem:
    found = OnDevice(problem, profile, reference, options)
    check_problem(found)
    return found
