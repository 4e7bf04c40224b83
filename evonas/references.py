"""Make problems from what names them: ``digits``, ``module:Class`` or ``file.py:Class``."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from pathlib import Path

from evonas import plugins
from evonas.devices import store
from evonas.devices.presets import DEVICES, fitted_device
from evonas.devices.problem import DeviceProblem
from evonas.devices.profile import Profile
from evonas.errors import ConfigError, EvonasError, PluginError, did_you_mean
from evonas.problem import Problem, check_problem


def load_problem(
    reference: str, options: Mapping[str, object] | None = None, devices: Path | None = None
) -> Problem:
    """Make a problem.

    Args:
        reference: A registered name, ``module:Class`` or ``file.py:Class``.
        options: Keyword arguments of its constructor. Those that say what its models run on
            (:attr:`evonas.Problem.runs_on`; ``device`` by default) may name a fitted device, and
            need not be arguments of the constructor. Times of these models are predicted
            (:class:`evonas.devices.problem.DeviceProblem`).
        devices: Folder of profiles that come before the user's: those that a run keeps.

    Raises:
        PluginError: The problem is not found, does not load, or its constructor fails.
        UsageError: An option is unknown, or the problem says what is wrong with its value.
    """
    kind = plugins.problem_class(reference)
    own = plugins.option_defaults(kind)
    given = dict(options or {})
    machines = set(kind.runs_on.values()) or {"device"}
    # Of a constructor's own options, only those in runs_on are known to take a device.
    profiles = _fitted(given, set(own) & set(kind.runs_on.values()), devices)
    arguments = {o: v for o, v in given.items() if o in own or o not in machines}
    arguments |= {option: fitted_device(profile.name) for option, profile in profiles.items()}
    problem = _make(kind, reference, own, arguments)
    check_problem(problem)
    if named := {option: given[option] for option in given if option not in arguments}:
        if not problem.timed_models:
            raise PluginError(
                f"problem '{reference}' has neither an option '{min(named)}' nor 'timed_models', "
                "the models whose times would be predicted for a fitted device; its author sets "
                "one of them"
            )
        profiles |= {option: _profile(str(name), devices) for option, name in named.items()}
    if not profiles:
        _check_device_is_used(problem, reference, given.get("device"))
        return problem
    runs_on = kind.runs_on or dict.fromkeys(problem.timed_models, "device")
    of_models = {m: profiles[option] for m, option in runs_on.items() if option in profiles}
    found = DeviceProblem(problem, of_models, reference, arguments)
    check_problem(found)
    return found


def _make(
    kind: type[Problem],
    reference: str,
    own: Mapping[str, object],
    arguments: Mapping[str, object],
) -> Problem:
    """Call the constructor of a problem, whose own options have these defaults."""
    for name in arguments:
        if name not in own:
            raise PluginError(
                f"problem '{reference}' has no option '{name}'"
                + (did_you_mean(name, own) if own else "; it takes none")
            )
    needed = [name for name, default in own.items() if default is inspect.Parameter.empty]
    missing = [name for name in needed if name not in arguments]
    if missing:
        raise PluginError(
            f"problem '{reference}' needs the option '{missing[0]}'; "
            f"give it as --set {missing[0]}=VALUE"
        )
    try:
        return kind(**arguments)
    except EvonasError:
        raise
    except Exception as error:
        raise PluginError(
            f"problem '{reference}' cannot be made: {type(error).__name__}: {error}"
        ) from error


def _profile(name: str, kept: Path | None) -> Profile:
    """Read a profile that a run keeps, or else the user's."""
    is_kept = kept is not None and name in store.device_names(kept)
    return store.load(name, kept if kept and is_kept else store.devices_folder())


def _fitted(
    given: Mapping[str, object], options: Collection[str], kept: Path | None
) -> dict[str, Profile]:
    """Find the fitted devices among options that may name presets as well: option -> profile."""
    folder = store.devices_folder()
    fitted, of_run = store.device_names(folder), store.device_names(kept) if kept else []
    names = {o: name for o, name in given.items() if o in options and isinstance(name, str)}
    for name in names.values():
        if name in DEVICES and name in fitted and name not in of_run:
            raise ConfigError(
                f"'{name}' is a preset and, in '{folder}', a fitted device; fit it by another name"
            )
    return {o: _profile(n, kept) for o, n in names.items() if n in (*fitted, *of_run)}


def _check_device_is_used(problem: Problem, reference: str, device: object) -> None:
    """Check that an option of a problem's own called ``device`` does not hide a fitted device."""
    if not problem.timed_models or "device" in problem.runs_on.values():
        return
    if device in store.device_names(store.devices_folder()):
        raise PluginError(
            f"'{device}' is a fitted device, but problem '{reference}' has an option 'device' of "
            "its own and predicts nothing for it; give that option another name"
        )
