"""The profile of a device, as ``evonas device fit`` writes it: predictors in JSON and npz."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from evonas import plugins
from evonas.errors import ConfigError, DataError, did_you_mean
from evonas.problem import Metric
from evonas.space import FloatArray, Genome, genome_key

FORMAT = 2
DEVICES = Path("results/devices")
DEVICES_VARIABLE = "EVONAS_DEVICES"

NORMAL_QUANTILE = 1.645
"""Half the width of a 90% interval in standard errors."""


def devices_folder() -> Path:
    """Where profiles are: ``$EVONAS_DEVICES``, or else here in ``results/devices``."""
    chosen = os.environ.get(DEVICES_VARIABLE)
    return Path(chosen).expanduser() if chosen else DEVICES


def read_json(path: Path, what: str, remedy: str) -> Any:
    """Read a file that somebody else may have damaged.

    Args:
        path: Of the file.
        what: It is.
        remedy: What to do when it is missing or damaged.

    Raises:
        DataError: It is missing, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"there is no {what} '{path}'; {remedy}") from None
    except OSError as error:
        raise DataError(f"{what} '{path}' cannot be read: {error.strerror}; {remedy}") from None
    except ValueError as error:
        raise DataError(f"{what} '{path}' is damaged: {error}; {remedy}") from None


def energy_of(kind: str) -> str:
    """Name, among the kinds of a profile, of the energy that models of a kind take."""
    return f"{kind} energy"


def with_ends(metric: str) -> tuple[str, str, str]:
    """Name a predicted metric, and the ends of its 90% interval."""
    return metric, f"{metric}_lower", f"{metric}_upper"


def end_metrics(metric: str, unit: str) -> list[Metric]:
    """Metrics that hold the ends of a predicted metric's interval."""
    return [Metric(name, unit, expensive=False) for name in with_ends(metric)[1:]]


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

    @property
    def probes(self) -> int:
        """Number of designs that were measured on the device, each counted once."""
        kinds = self.content["kinds"].values()
        return len({genome_key(row["genome"]) for kind in kinds for row in kind["probes"]})

    def __str__(self) -> str:
        error = max(kind["error"] for kind in self.content["kinds"].values())
        doubt = "" if self.trusted else ", NOT to be trusted"
        kinds = self.content["kinds"]
        metered = ", energy metered" if any(energy_of(kind) in kinds for kind in kinds) else ""
        return (
            f"{self.content['name']} (predicted from {self.probes} probes, "
            f"error {error:.1%}{doubt}): threads: {self.content['threads']}{metered}"
        )

    def unfit(self, what: str) -> ConfigError:
        """Make the error that this device was fitted for other networks, say, than are searched."""
        content = self.content
        return ConfigError(
            f"device '{content['name']}' was fitted for other {what}: problem "
            f"'{content['problem']}' with the options {content['options']}; make a kit of these "
            "with 'evonas device probe', or search with those options"
        )

    def measured(self, kind: str) -> dict[str, tuple[float, float, float]]:
        """Look up what was measured: key of a design -> ms, and the ends of its 90% interval."""
        found = {}
        for row in self.content["kinds"][kind]["probes"]:
            factor = math.exp(NORMAL_QUANTILE * row["uncertainty"])
            ms = row["measured"]
            found[genome_key(row["genome"])] = (ms, ms / factor, ms * factor)
        return found

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
        """Write ``NAME.json`` and ``NAME.npz``; the former holds the SHA-256 of the latter.

        Raises:
            DataError: The folder cannot be written to.
        """
        try:
            return self._write(folder)
        except OSError as error:
            raise DataError(f"'{folder}' cannot hold profiles: {error.strerror}") from None

    def _write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.content['name']}.json"
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **self.arrays)
        packed = buffer.getvalue()
        content = {**self.content, "arrays": hashlib.sha256(packed).hexdigest()}
        content["checksum"] = _checksum(content)
        header, arrays = path.with_suffix(".partial"), path.with_suffix(".npz.partial")
        header.write_text(json.dumps(content), encoding="utf-8")
        arrays.write_bytes(packed)
        # The header first: if this stops in between, its digest tells that the arrays are old.
        # An old header need not have one, and would be read with new arrays.
        header.replace(path)
        arrays.replace(path.with_suffix(".npz"))
        return path


class FittedCosts:
    """What models of one kind cost on a fitted device, with 90% intervals.

    Args:
        profile: Of the device.
        kind: Of the profile's kinds; costs are in ms, or of energies in mJ.
    """

    def __init__(self, profile: Profile, kind: str) -> None:
        self._profile, self._kind = profile, kind

    def predict(self, views: Mapping[str, FloatArray]) -> tuple[float, float, float]:
        """Predict a design's cost, and the ends of its interval.

        Args:
            views: Of the design, shape (1, columns) each.
        """
        found = self._predictor.predict(views)
        return float(found.mean[0]), float(found.lower[0]), float(found.upper[0])

    def of(self, genome: Genome, views: Mapping[str, FloatArray]) -> tuple[float, float, float]:
        """Likewise, or what was measured of the design if that is surer.

        Args:
            genome: In canonical form.
            views: Of the design, shape (1, columns) each.
        """
        predicted = self.predict(views)
        measured = self._measured.get(genome_key(genome), predicted)
        surer = measured[2] - measured[1] < predicted[2] - predicted[1]
        return measured if surer else predicted

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is built again."""
        return {"_profile": self._profile, "_kind": self._kind}

    @cached_property
    def _predictor(self) -> Any:
        return self._profile.predictor(self._kind)

    @cached_property
    def _measured(self) -> dict[str, tuple[float, float, float]]:
        return self._profile.measured(self._kind)


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


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
        raise ConfigError(f"there is no device '{name}' in '{folder.resolve()}'{hint}")
    content = read_json(path, "profile", "fit it again")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"profile '{path}' is not of format {FORMAT}; fit it again")
    if content.pop("checksum", None) != _checksum(content):
        raise DataError(f"profile '{path}' is damaged: it is not as it was written; fit it again")
    # Profiles that were written before do not say what their arrays are.
    return Profile(content, _read_arrays(path.with_suffix(".npz"), content.pop("arrays", None)))


def _read_arrays(path: Path, digest: str | None) -> dict[str, FloatArray]:
    """Read the npz file of a profile, whose SHA-256 must be as given."""
    try:
        packed = path.read_bytes()
        if digest not in (None, hashlib.sha256(packed).hexdigest()):
            raise DataError(
                f"profile '{path}' is damaged or of another fit than '{path.stem}.json' beside it; "
                "fit it again"
            )
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"profile '{path}' is damaged: {error}; fit it again") from None
