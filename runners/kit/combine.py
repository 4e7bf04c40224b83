"""Combine the results of several kits that were measured on one device."""

from __future__ import annotations

from collections.abc import Sequence

from evonas.errors import DataError
from evonas.runners.kit.formats import Kit, Measured, Result
from evonas.space import genome_key


def combine_results(results: Sequence[Result]) -> tuple[Kit, list[list[Measured]]]:
    """Combine the designs and the measured models of all kits.

    Where a later kit was measured against the same reference model as the first, its times are
    expressed in the first's: what the clock or other work did to the device meanwhile drops out.

    Args:
        results: One result or more, of one device, the first kit first.

    Returns:
        A kit with all designs, each once, and the measured models of each result, whose ``design``
        is an index of that kit.

    Raises:
        DataError: They are not of one device, or their kits do not go together.
    """
    first = results[0]
    for number, result in enumerate(results[1:], 2):
        _check_same(first, result, number)
        if result.kit in {earlier.kit for earlier in results[: number - 1]}:
            raise DataError(f"result {number} is of the same kit as one before; give one of them")
    kit = first.made_from.model_copy(deep=True)
    place = {genome_key(genome): row for row, genome in enumerate(kit.designs)}
    groups = []
    for result in results:
        other = result.made_from
        for row, genome in enumerate(other.designs):
            if place.setdefault(genome_key(genome), len(place)) < len(kit.designs):
                continue
            kit.designs.append(genome)
            for kind, ms in kit.proxy_ms.items():
                ms.append(other.proxy_ms[kind][row])
            for name, view in kit.views.items():
                view.append(other.views[name][row])
        rows = [place[genome_key(genome)] for genome in other.designs]
        scale = first.reference_ms / result.reference_ms if _same_reference(kit, other) else 1.0
        groups.append(
            [
                model.model_copy(update={"design": rows[model.design], "ms": scale * model.ms})
                for model in result.models
            ]
        )
    return kit, groups


def _columns(kit: Kit) -> dict[str, int]:
    """Name every view that designs are described by, and say how many columns it has."""
    return {name: len(view[0]) for name, view in kit.views.items()}


def _same_reference(one: Kit, other: Kit) -> bool:
    model, against = one.reference_model, other.reference_model
    return (model.kind, one.designs[model.design]) == (against.kind, other.designs[against.design])


def _check_same(first: Result, result: Result, number: int) -> None:
    one, other = first.made_from, result.made_from
    if (one.space, one.kinds) != (other.space, other.kinds):
        raise DataError(
            f"result {number} is of the problem '{other.problem}' and the first of "
            f"'{one.problem}', or their spaces differ; give results of one problem"
        )
    if _columns(one) != _columns(other):
        raise DataError(
            f"result {number} describes designs otherwise than the first, so problem "
            f"'{one.problem}' has changed in between; make and measure the kits anew"
        )
    for what, here, there in (
        ("made with the options", one.options, other.options),
        ("made on the processor", one.made_on, other.made_on),
        ("measured on the processor", first.host.get("processor"), result.host.get("processor")),
        ("measured with --threads", first.threads, result.threads),
    ):
        if here != there:
            raise DataError(
                f"result {number} was {what} {there!r} and the first with {here!r}; "
                "fit them as two devices"
            )
