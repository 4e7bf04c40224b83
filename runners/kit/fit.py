"""Fit the profile of a new device to what was measured there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evonas import plugins
from evonas.devices.profile import FittedCost, Probe, Profile, energy_of
from evonas.devices.store import check_name
from evonas.devices.transfer import Predictor, transfer_models
from evonas.errors import ConfigError, DataError
from evonas.runners.kit.combine import combine_results
from evonas.runners.kit.follow_up import follow_up_designs
from evonas.runners.kit.formats import Kit, Measured, Result
from evonas.space import FloatArray

KIT_MACHINE = "this kit's machine"
"""Name, among the proxies, of the machine that made the kit."""

LEAST_OTHERS = 3
"""Probes that a left-out one is predicted from, at least."""


def fit(name: str, results: Sequence[Result], proxies: Sequence[Profile] = ()) -> Profile:
    """Fit a device's predictors: for every kind of model its time and, if metered, its energy.

    Args:
        name: Name of the device.
        results: Results of its kits, the first kit first.
        proxies: Profiles of other devices for the same space, which the predictors learn from. The
            machine that made the kit is always one more proxy.

    Raises:
        UsageError: A proxy or a result is of another space, or there are too few probes.
    """
    check_name(name)
    kit, groups = combine_results(results)
    for proxy in proxies:
        _check_proxy(name, proxy, kit)
    fitted: dict[str, FittedCost] = {}
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
        costs = {kind: of_kind} | ({energy_of(kind): metered} if any(metered) else {})
        for cost, measured in costs.items():
            fitted[cost], found = _fit_cost(cost, kind, kit, measured, proxies)
            arrays |= {f"{cost}/{array}": values for array, values in found.items()}
    trusted = all(cost.trusted for cost in fitted.values())
    return Profile(
        name=name,
        kits=[result.kit for result in results],
        problem=kit.problem,
        options=kit.options,
        space=kit.space,
        reference=(kit.reference_model.kind, kit.designs[kit.reference_model.design]),
        host=results[0].host,
        threads=results[0].threads,
        proxies=[KIT_MACHINE, *(proxy.name for proxy in proxies)],
        kinds=fitted,
        next=[] if trusted else [kit.designs[row] for row in follow_up_designs(kit, groups)],
        arrays=arrays,
    )


def _check_proxy(name: str, proxy: Profile, kit: Kit) -> None:
    """Check that a proxy knows something about the designs of a kit."""
    if proxy.name == name:
        raise ConfigError(f"'{name}' cannot be its own --proxy; leave it out")
    class_name = plugins.class_name
    if class_name(proxy.problem) != class_name(kit.problem) or proxy.space != kit.space:
        raise DataError(
            f"the kit is of the problem '{kit.problem}' and --proxy {proxy.name} of "
            f"'{proxy.problem}' or of another space; give proxies of the kit's problem"
        )
    if set(kit.kinds) - set(proxy.kinds):
        raise DataError(f"--proxy {proxy.name} lacks models that the kit times")


def _fit_cost(
    cost: str,
    kind: str,
    kit: Kit,
    groups: Sequence[Sequence[Measured]],
    proxies: Sequence[Profile],
) -> tuple[FittedCost, dict[str, FloatArray]]:
    """Fit the time or the energy of one kind of model.

    A proxy serves an energy by its own energy if it was metered, and else by its time.

    Args:
        cost: Name of the cost in the profile.
        kind: Kind of model.
        kit: Kit of all designs.
        groups: Measured models of this kind, one sequence for each kit.
        proxies: Profiles of other devices.

    Returns:
        The fit, and the arrays of its predictor.
    """
    energy = cost != kind
    rows = kit.rows(kind)
    views = kit.views_of(rows)
    known = [np.array(kit.proxy_ms[kind])[rows]]
    for proxy in proxies:
        predictor = proxy.predictor(cost if cost in proxy.kinds else kind)
        known.append(predictor.predict(views).mean)
    families = [KIT_MACHINE, *(proxy.name for proxy in proxies)]
    # A view that is named after a kind describes its models alone.
    own_views = {kind: views[kind]} if kind in views else views
    transfer = transfer_models().make_transfer(own_views, np.column_stack(known), families)
    measured = [model for group in groups for model in group]
    probes = np.array([rows.index(model.design) for model in measured])
    costs = np.array([model.energy_mj if energy else model.ms for model in measured], dtype=float)
    spread = np.array([model.uncertainty for model in measured])
    number = np.repeat(np.arange(len(groups)), [len(group) for group in groups])

    def fit_to(chosen: NDArray[np.bool_]) -> Predictor:
        return transfer.fit(probes[chosen], costs[chosen], spread[chosen])

    predictor = fit_to(number >= 0)
    earlier = [fit_to(number < later).predict() for later in range(1, len(groups))]
    table = []
    for index, model in enumerate(measured):
        if number[index]:  # It was chosen by what the kits before predicted.
            left_out = earlier[number[index] - 1]
        else:
            left_out = fit_to((number == 0) & (np.arange(len(measured)) != index)).predict()
        row = probes[index]
        table.append(
            Probe(
                label=model.name.removesuffix(f"-{kind}"),
                genome=kit.designs[model.design],
                kit=int(number[index]),
                measured=float(costs[index]),
                uncertainty=model.uncertainty,
                predicted=float(left_out.mean[row]),
                lower=float(left_out.lower[row]),
                upper=float(left_out.upper[row]),
            )
        )
    header, arrays = predictor.save()
    trust = predictor.trust
    fitted = FittedCost(
        metric=kit.kinds[kind],
        unit="mJ" if energy else "ms",
        method=predictor.method,
        error=trust.error,
        spearman=trust.spearman,
        trusted=bool(trust.good),
        probes=table,
        predictor=header,
    )
    return fitted, arrays
