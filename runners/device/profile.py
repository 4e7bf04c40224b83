"""The profile of a new device: predictors fitted to a kit's result, kept as JSON and npz."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evonas import plugins
from evonas.errors import ConfigError, DataError, did_you_mean
from evonas.space import FloatArray
from runners.device.formats import Kit, Measured, Result, read_json

FORMAT = 1
DEVICES = Path("results/devices")
HERE = "this kit's machine"


@dataclass(frozen=True)
class Profile:
    """A device that was fitted.

    Args:
        content: What is in the JSON file.
        arrays: What is in the npz file beside it.
    """

    content: dict[str, Any]
    arrays: dict[str, FloatArray]

    @property
    def trusted(self) -> bool:
        """Whether the predictors of all kinds of models are to be relied on."""
        return all(kind["trusted"] for kind in self.content["kinds"].values())

    def predictor(self, kind: str) -> Any:
        """Load the predictor of a kind of model."""
        arrays = {
            name.removeprefix(f"{kind}/"): array
            for name, array in self.arrays.items()
            if name.startswith(f"{kind}/")
        }
        header = self.content["kinds"][kind]["predictor"]
        return plugins.load("evonas.transfer", "default").Predictor.load(header, arrays)

    def save(self, folder: Path) -> Path:
        """Write ``NAME.json`` and ``NAME.npz``; the former is written last."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.content['name']}.json"
        np.savez(path.with_suffix(".npz"), allow_pickle=False, **self.arrays)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(self.content, indent=1), encoding="utf-8")
        partial.replace(path)
        return path


def names(folder: Path) -> list[str]:
    """Names of the devices that were fitted."""
    return sorted(path.stem for path in folder.glob("*.json"))


def check_name(name: str) -> None:
    """Check that a name can be one of a file.

    Raises:
        ConfigError: It cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ConfigError(
            f"'{name}' cannot name a device; use letters, digits, dots, dashes and underscores"
        )


def load(name: str, folder: Path) -> Profile:
    """Read a device's profile.

    Raises:
        ConfigError: There is none of this name.
        DataError: It is damaged, or of another version.
    """
    check_name(name)
    path = folder / f"{name}.json"
    if not path.is_file():
        known = names(folder)
        hint = did_you_mean(name, known) if known else "; 'evonas device fit' makes one"
        raise ConfigError(f"there is no device '{name}' in '{folder}'{hint}")
    content = read_json(path, "profile")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"profile '{path}' is not of format {FORMAT}; fit it again")
    try:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
            return Profile(content, dict(arrays))
    except (OSError, ValueError) as error:
        raise DataError(f"profile '{path.with_suffix('.npz')}' is damaged: {error}") from None


def fit(name: str, result: Result, proxies: Sequence[Profile] = ()) -> Profile:
    """Fit a device's predictors, one for each kind of model.

    Args:
        name: Of the device.
        result: What was measured there.
        proxies: Devices that were fitted before, on the same space; the machine that made the
            kit is always one.

    Raises:
        UsageError: A proxy is of another space, or there are too few probes.
    """
    check_name(name)
    kit = result.made_from
    for proxy in proxies:
        _check_proxy(name, proxy, kit)
    kinds: dict[str, Any] = {}
    arrays: dict[str, FloatArray] = {}
    for kind in kit.kinds:
        measured = [model for model in result.models if model.kind == kind]
        kinds[kind], found = _fit_kind(kind, kit, measured, proxies)
        arrays |= {f"{kind}/{array}": values for array, values in found.items()}
    content = {
        "format": FORMAT,
        "name": name,
        "kit": kit.kit,
        "problem": kit.problem,
        "options": kit.options,
        "space": kit.space,
        "host": result.host,
        "threads": result.threads,
        "proxies": [HERE, *(proxy.content["name"] for proxy in proxies)],
        "kinds": kinds,
    }
    return Profile(content, arrays)


def _check_proxy(name: str, proxy: Profile, kit: Kit) -> None:
    """Check that a proxy tells something about the designs of a kit."""
    theirs = proxy.content
    if theirs["name"] == name:
        raise ConfigError(f"'{name}' cannot be its own --proxy; leave it out")
    if theirs["problem"] != kit.problem or theirs["space"] != kit.space:
        raise DataError(
            f"the kit is of the problem '{kit.problem}' and --proxy {theirs['name']} of "
            f"'{theirs['problem']}' or of another space; give proxies of the kit's problem"
        )
    if set(kit.kinds) - set(theirs["kinds"]):
        raise DataError(f"--proxy {theirs['name']} lacks models that the kit times")


def _fit_kind(
    kind: str, kit: Kit, measured: Sequence[Measured], proxies: Sequence[Profile]
) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Fit one kind of model; give its part of the profile, and its arrays."""
    rows = kit.rows(kind)
    views = kit.views_of(rows)
    known = [np.array(kit.proxy_ms[kind])[rows]]
    known += [proxy.predictor(kind).predict(views).mean for proxy in proxies]
    families = [HERE, *(proxy.content["name"] for proxy in proxies)]
    transfer = plugins.load("evonas.transfer", "default").Transfer(
        views, np.column_stack(known), families
    )
    probes = [rows.index(model.design) for model in measured]
    costs = np.array([model.ms for model in measured])
    spread = np.array([model.uncertainty for model in measured])
    predictor = transfer.fit(probes, costs, spread)
    table = []
    for index, model in enumerate(measured):
        others = np.arange(len(measured)) != index
        left_out = transfer.fit(np.array(probes)[others], costs[others], spread[others]).predict()
        row = probes[index]
        table.append(
            {
                "design": model.design,
                "measured": model.ms,
                "predicted": float(left_out.mean[row]),
                "lower": float(left_out.lower[row]),
                "upper": float(left_out.upper[row]),
            }
        )
    header, arrays = predictor.save()
    trust = predictor.trust
    entry = {
        "metric": kit.kinds[kind],
        "method": predictor.method,
        "error": trust.error,
        "spearman": trust.spearman,
        "trusted": bool(trust.good),
        "probes": table,
        "next": [] if trust.good else [kit.designs[rows[i]] for i in predictor.next_probes(10)],
        "predictor": header,
    }
    return entry, arrays
