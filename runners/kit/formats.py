"""The formats of ``kit.json`` and ``kit-result.json``, and the checks of results."""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from evonas.devices.store import read_json
from evonas.errors import DataError
from evonas.space import FloatArray, Value, genome_key

FORMAT = 1

WILD = 0.15
"""Relative standard error of a model's time from which on it says nothing."""

WILD_SHARE = 0.25
"""Share of such models up to which the others are still believed."""

REMEDY = "bring it from the device again, as measure.py wrote it"

# Models of the designs hold single precision.
Described = Annotated[float, Field(allow_inf_nan=False, ge=-1e38, le=1e38)]
NotNegative = Annotated[float, Field(allow_inf_nan=False, ge=0)]

# Beyond these no device is measured: a nanosecond to some hours a call, at up to a kilowatt.
Milliseconds = Annotated[float, Field(allow_inf_nan=False, ge=1e-6, le=1e7)]
Millijoules = Annotated[float, Field(allow_inf_nan=False, ge=1e-9, le=1e10)]

# Half of the bursts are off by no more than their median, which makes a spread of 1.48.
Spread = Annotated[float, Field(allow_inf_nan=False, ge=0, le=2)]


class Model(BaseModel):
    """A model file of a kit: one kind (head, tail) of a design."""

    name: str
    kind: str
    design: int
    file: str
    sha256: str


class Kit(BaseModel):
    """The content of ``kit.json``.

    Args:
        kit: Identifier: SHA-256 of everything else.
        problem: The problem, as it was named on the command line.
        options: Options of the problem.
        space: The problem's space, as :meth:`evonas.Space.describe` gives it.
        kinds: Kind of model -> the metric that is its time.
        made_on: Processor of the machine that made the kit, which is the proxy.
        reference: Name of the model that all others are measured against.
        models: Models to measure.
        designs: Genomes of the designs that the proxy measured.
        proxy_ms: Kind -> time of each design on the proxy in ms; 0 where it has no such model.
        views: Name of a feature view -> features of each design.
    """

    format: Literal[1]
    kit: str
    problem: str
    options: dict[str, Any]
    space: list[dict[str, Any]]
    kinds: dict[str, str]
    made_on: str
    reference: str
    models: list[Model]
    designs: list[dict[str, Value]]
    proxy_ms: dict[str, list[NotNegative]]
    views: dict[str, list[list[Described]]]

    @property
    def reference_model(self) -> Model:
        """The model that all are measured against."""
        return next(model for model in self.models if model.name == self.reference)

    def rows(self, kind: str) -> list[int]:
        """Indices of the designs that have a model of a kind."""
        return [index for index, ms in enumerate(self.proxy_ms[kind]) if ms > 0]

    def views_of(self, rows: list[int]) -> dict[str, FloatArray]:
        """Views of some designs, shape (designs, columns) each."""
        return {name: np.array(view, dtype=float)[rows] for name, view in self.views.items()}


class Measured(BaseModel):
    """Measurement of a model on the device.

    Args:
        name: Name of the model.
        kind: Kind of the model.
        design: Index of its design in the kit.
        ms: Median time of a call in ms.
        spread: Relative standard deviation of the time of a burst of calls.
        bursts: Number of bursts.
        energy_mj: Energy of a call in mJ, if the user metered it.
    """

    name: str
    kind: str
    design: int
    ms: Milliseconds
    spread: Spread
    bursts: Annotated[int, Field(ge=1, le=1_000_000)]
    energy_mj: Millijoules | None = None

    @property
    def uncertainty(self) -> float:
        """Relative standard error of the time: that of a median of as many bursts."""
        return 1.2533 * self.spread / math.sqrt(self.bursts)


class Result(BaseModel):
    """The content of ``kit-result.json``, as ``measure.py`` writes it.

    Args:
        kit: Identifier of the kit.
        complete: Whether all models were measured.
        threads: Threads that a model ran on.
        host: What ``measure.py`` found out about the device.
        reference_ms: Median time of the reference model in ms.
        models: Measurements.
        made_from: The kit.
    """

    format: Literal[1]
    kit: str
    complete: bool
    threads: Annotated[int, Field(ge=1)]
    host: dict[str, Any]
    reference_ms: Milliseconds
    models: list[Measured]
    made_from: Kit


def identify(content: Mapping[str, Any]) -> str:
    """Identify a kit by its content."""
    rest = {key: value for key, value in content.items() if key != "kit"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_result(path: Path) -> Result:
    """Read and check what ``measure.py`` wrote.

    Raises:
        DataError: It is missing, damaged, incomplete, or says nothing.
    """
    raw = read_json(path, "result", REMEDY)
    if isinstance(raw, dict) and "proxy_ms" in raw:
        raise DataError(f"'{path}' is a kit; run measure.py on the device, and give what it writes")
    version = raw.get("format") if isinstance(raw, dict) else None
    if version != FORMAT:
        raise DataError(
            f"'{path}' has the format {version!r}, not {FORMAT}; give what measure.py wrote"
        )
    try:
        result = Result.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].replace("Input should", f"{reprlib.repr(first['input'])} should")
        raise DataError(f"result '{path}' is damaged at {place}: {reason}; {REMEDY}") from None
    if not result.kit == result.made_from.kit == identify(raw["made_from"]):
        raise DataError(
            f"result '{path}' is damaged: its kit is not what the kit's number says; {REMEDY}"
        )
    _check_kit(path, result.made_from)
    _check_models(path, result)
    return result


def _check_kit(path: Path, kit: Kit) -> None:
    """Check that each design is there once, with all its times and views."""
    columns: list[Sequence[object]] = [*kit.proxy_ms.values(), *kit.views.values()]
    whole = kit.views and kit.proxy_ms.keys() == kit.kinds.keys()
    whole = whole and all(len(of_designs) == len(kit.designs) for of_designs in columns)
    widths = [{len(row) for row in view} for view in kit.views.values()]
    if not whole or any(len(width) != 1 for width in widths) or max(map(max, widths)) == 0:
        raise DataError(
            f"result '{path}' is damaged: its kit's times and views do not fit; {REMEDY}"
        )
    if len({genome_key(genome) for genome in kit.designs}) != len(kit.designs):
        raise DataError(f"result '{path}' is damaged: its kit has a design twice; {REMEDY}")
    for model in kit.models:
        if model.kind not in kit.kinds or model.design not in kit.rows(model.kind):
            raise DataError(f"result '{path}' is damaged: '{model.name}' is of no design; {REMEDY}")


def _check_models(path: Path, result: Result) -> None:
    kit = result.made_from
    if kit.reference not in {model.name for model in kit.models}:
        raise DataError(f"result '{path}' is damaged: its kit has no model '{kit.reference}'")
    expected = {(model.name, model.kind, model.design) for model in kit.models}
    found = [(model.name, model.kind, model.design) for model in result.models]
    if unknown := set(found) - expected:
        raise DataError(f"result '{path}' holds '{min(unknown)[0]}', which is not of its kit")
    if len(found) != len(set(found)):
        raise DataError(f"result '{path}' holds a model twice")
    if missing := sorted(name for name, *_ in expected - set(found)):
        raise DataError(
            f"result '{path}' lacks {len(missing)} of {len(expected)} models, "
            f"{missing[0]} for one; run measure.py again to go on"
        )
    if not result.complete:
        raise DataError(f"result '{path}' is not complete; run measure.py again to go on")
    for kind in kit.kinds:
        metered = [model.energy_mj is not None for model in result.models if model.kind == kind]
        if any(metered) and not all(metered):
            raise DataError(
                f"result '{path}' has 'energy_mj' for {sum(metered)} of {len(metered)} models of "
                f"kind '{kind}'; give it for all or for none"
            )
    wild = [model for model in result.models if model.uncertainty > WILD]
    if len(wild) > WILD_SHARE * len(found):
        raise DataError(
            f"{len(wild)} of {len(found)} times in '{path}' are uncertain by more than {WILD:.0%}; "
            "measure again while nothing else runs on the device, or with more --seconds-per-model"
        )
