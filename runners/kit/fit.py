"""Fit the predictors of a new device to what was measured there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evonas import plugins
from evonas.devices.profile import FORMAT, Profile, check_name, energy_of
from evonas.errors import ConfigError, DataError
from evonas.runners.kit.formats import Kit, Measured, Result
from evonas.runners.kit.further import further_designs
from evonas.runners.kit.merge import merge
from evonas.space import FloatArray

HERE = "this kit's machine"

LEAST_OTHERS = 3
"""Probes that a left-out one is predicted from, at least."""


def fit(name: str, results: Sequence[Result], proxies: Sequence[Profile] = ()) -> Profile:
    """Fit a device's predictors: of the time, and if it was metered the energy, of each kind.

    Args:
        name: Of the device.
        results: What was measured there, the first kit first.
        proxies: Devices that were fitted before, on the same space; the machine that made the
            kit is always one.

    Raises:
        UsageError: A proxy or a result is of another space, or there are too few probes.
    """
    check_name(name)
    kit, groups = merge(results)
    for proxy in proxies:
        _check_proxy(name, proxy, kit)
    kinds: dict[str, Any] = {}
    arrays: dict[str, FloatArray] = {}
    for kind in kit.kinds:
        of_kind = [[model for model in group if model.kind == kind] for group in groups]
        if len(of_kind[0]) <= LEAST_OTHERS:
            raise DataError(
                f"the first result has {len(of_kind[0])} models of kind '{kind}' and a fit needs "
                f"more than {LEAST_OTHERS}; give that of the device's own kit first"
            )
        metered = [[model for model in group if model.energy_mj is not None] for group in of_kind]
        if any(metered) and not metered[0]:
            raise DataError("a later result has energies and the first has none; give it first")
        fitted = {kind: _fit_kind(kind, kit, of_kind, proxies)}
        if any(metered):
            fitted[energy_of(kind)] = _fit_kind(kind, kit, metered, proxies, energy=True)
        for name_of_kind, (entry, found) in fitted.items():
            kinds[name_of_kind] = entry
            arrays |= {f"{name_of_kind}/{array}": values for array, values in found.items()}
    trusted = all(entry["trusted"] for entry in kinds.values())
    further = [] if trusted else further_designs(kit, groups)
    content = {
        "format": FORMAT,
        "name": name,
        "kits": [result.kit for result in results],
        "problem": kit.problem,
        "options": kit.options,
        "space": kit.space,
        "reference": [kit.reference_model.kind, kit.designs[kit.reference_model.design]],
        "host": results[0].host,
        "threads": results[0].threads,
        "proxies": [HERE, *(proxy.content["name"] for proxy in proxies)],
        "kinds": kinds,
        "next": [kit.designs[row] for row in further],
    }
    return Profile(content, arrays)


def _check_proxy(name: str, proxy: Profile, kit: Kit) -> None:
    """Check that a proxy tells something about the designs of a kit."""
    theirs = proxy.content
    if theirs["name"] == name:
        raise ConfigError(f"'{name}' cannot be its own --proxy; leave it out")
    name_of = plugins.class_name
    if name_of(theirs["problem"]) != name_of(kit.problem) or theirs["space"] != kit.space:
        raise DataError(
            f"the kit is of the problem '{kit.problem}' and --proxy {theirs['name']} of "
            f"'{theirs['problem']}' or of another space; give proxies of the kit's problem"
        )
    if set(kit.kinds) - set(theirs["kinds"]):
        raise DataError(f"--proxy {theirs['name']} lacks models that the kit times")


def _fit_kind(
    kind: str,
    kit: Kit,
    groups: Sequence[Sequence[Measured]],
    proxies: Sequence[Profile],
    energy: bool = False,
) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Fit one kind of model; give its part of the profile, and its arrays.

    A probe of the first kit is predicted from its other probes; one of a later kit from the kits
    before, as it was predicted when it was chosen. Proxies tell the energy by their own, if they
    know it, else by their time.
    """
    rows = kit.rows(kind)
    views = kit.views_of(rows)
    known = [np.array(kit.proxy_ms[kind])[rows]]
    for proxy in proxies:
        own = energy and energy_of(kind) in proxy.content["kinds"]
        known.append(proxy.predictor(energy_of(kind) if own else kind).predict(views).mean)
    families = [HERE, *(proxy.content["name"] for proxy in proxies)]
    # A view that is named after a kind describes its models alone.
    own_views = {kind: views[kind]} if kind in views else views
    transfer = plugins.load("evonas.transfer", "default").Transfer(
        own_views, np.column_stack(known), families
    )
    measured = [model for group in groups for model in group]
    probes = np.array([rows.index(model.design) for model in measured])
    costs = np.array([model.energy_mj if energy else model.ms for model in measured], dtype=float)
    spread = np.array([model.uncertainty for model in measured])
    predictor = transfer.fit(probes, costs, spread)
    number = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    before = [number < later for later in range(1, len(groups))]
    from_kits = [transfer.fit(probes[b], costs[b], spread[b]).predict() for b in before]
    table = []
    for index, model in enumerate(measured):
        if number[index]:
            left_out = from_kits[number[index] - 1]
        else:
            others = (number == 0) & (np.arange(len(measured)) != index)
            left_out = transfer.fit(probes[others], costs[others], spread[others]).predict()
        row = probes[index]
        table.append(
            {
                "label": model.name.removesuffix(f"-{kind}"),
                "genome": kit.designs[model.design],
                "kit": int(number[index]),
                "measured": float(costs[index]),
                "uncertainty": model.uncertainty,
                "predicted": float(left_out.mean[row]),
                "lower": float(left_out.lower[row]),
                "upper": float(left_out.upper[row]),
            }
        )
    header, arrays = predictor.save()
    trust = predictor.trust
    entry = {
        "metric": kit.kinds[kind],
        "unit": "mJ" if energy else "ms",
        "method": predictor.method,
        "error": trust.error,
        "spearman": trust.spearman,
        "trusted": bool(trust.good),
        "probes": table,
        "predictor": header,
    }
    return entry, arrays
