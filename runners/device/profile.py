"""Fit the predictors of a new device to what was measured there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evonas import plugins
from evonas.device_profile import FORMAT, Profile, check_name
from evonas.errors import ConfigError, DataError
from evonas.space import FloatArray
from runners.device.formats import Kit, Measured, Result

HERE = "this kit's machine"


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
