"""Where the profiles of fitted devices are kept, and how they are written and read.

A profile is two files: ``NAME.json`` and, beside it, ``NAME.npz`` with the arrays. The former holds
a checksum of itself (``checksum``) and the SHA-256 of the latter (``arrays``).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from platformdirs import user_data_path
from pydantic import ValidationError

from evonas.devices.profile import FORMAT, Profile
from evonas.errors import ConfigError, DataError, did_you_mean
from evonas.space import FloatArray

DEVICES_VARIABLE = "EVONAS_DEVICES"

EARLIER_FOLDER = Path("results/devices")
"""Where profiles were kept by earlier versions, below the current folder."""

REMEDY = "fit the device again from its kit-result.json, with 'evonas device fit'"


def devices_folder() -> Path:
    """Folder of the user's profiles: ``$EVONAS_DEVICES``, or ``devices`` in the data directory."""
    chosen = os.environ.get(DEVICES_VARIABLE)
    return Path(chosen).expanduser() if chosen else user_data_path("evonas") / "devices"


def device_names(folder: Path) -> list[str]:
    """Names of the devices that have a profile in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.json"))


def how_to_move(name: str, folder: Path) -> str:
    """Say how to move a profile (``*``: all) from where earlier versions kept it to a folder."""
    to = shlex.quote(str(folder.resolve()))
    kept = f"earlier versions kept profiles in '{EARLIER_FOLDER}'"
    return f"{kept}; move them: mkdir -p {to} && mv {EARLIER_FOLDER}/{name}.* {to}"


def check_name(name: str) -> None:
    """Check that a device's name can be the name of a file.

    Raises:
        ConfigError: It can't.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ConfigError(
            f"'{name}' cannot name a device; use letters, digits, dots, dashes and underscores"
        )


def save(profile: Profile, folder: Path) -> Path:
    """Write a profile's two files, and return the path of the JSON file.

    Raises:
        DataError: The folder cannot be written to.
    """
    try:
        return _write(profile, folder)
    except OSError as error:
        raise DataError(f"'{folder}' cannot hold profiles: {error.strerror}") from None


def load(name: str, folder: Path) -> Profile:
    """Read a profile.

    Args:
        name: Name of the device.
        folder: Folder that holds its profile.

    Raises:
        ConfigError: There is no profile of this name.
        DataError: The profile is damaged, or another version wrote it.
    """
    check_name(name)
    path = folder / f"{name}.json"
    if not path.is_file():
        raise _not_found(name, folder)
    content = read_json(path, "profile", REMEDY)
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        reader = "versions before commit 1faabc3" if version == 1 else "another version"
        raise DataError(
            f"profile '{path}' has the format {version!r}, which {reader} of EvoNAS can read, and "
            f"this one reads format {FORMAT}; {REMEDY}"
        )
    if content.pop("checksum", None) != _checksum(content):
        raise DataError(f"profile '{path}' is damaged: it is not as it was written; {REMEDY}")
    # Early profiles of this format do not hold the digest.
    arrays = _read_arrays(path.with_suffix(".npz"), content.pop("arrays", None))
    try:
        return Profile.model_validate({**content, "arrays": arrays})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(
            f"profile '{path}' is of an earlier version or made by hand: {place}: {first['msg']}; "
            f"{REMEDY}"
        ) from None


def read_json(path: Path, what: str, remedy: str) -> Any:
    """Read a JSON file that may be missing or damaged.

    Args:
        path: Path of the file.
        what: What the file is, for messages.
        remedy: What to do when it is missing or damaged, for messages.

    Raises:
        DataError: It is missing, or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"there is no {what} '{path}'; {remedy}") from None
    except OSError as error:
        raise DataError(f"{what} '{path}' cannot be read: {error.strerror}; {remedy}") from None
    except ValueError as error:
        raise DataError(f"{what} '{path}' is damaged: {error}; {remedy}") from None


def _not_found(name: str, folder: Path) -> ConfigError:
    missing = f"there is no device '{name}' in '{folder.resolve()}'"
    if name in device_names(EARLIER_FOLDER):
        return ConfigError(f"{missing}; {how_to_move(name, folder)}")
    known = device_names(folder)
    hint = did_you_mean(name, known) if known else "; 'evonas device fit' makes one"
    return ConfigError(missing + hint)


def _write(profile: Profile, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{profile.name}.json"
    buffer = io.BytesIO()
    # numpy below 2.1 would take an argument allow_pickle for one more array.
    np.savez(buffer, **profile.arrays)  # type: ignore[arg-type]
    packed = buffer.getvalue()
    content = {**profile.model_dump(), "arrays": hashlib.sha256(packed).hexdigest()}
    content["checksum"] = _checksum(content)
    header, arrays = path.with_suffix(".partial"), path.with_suffix(".npz.partial")
    header.write_text(json.dumps(content), encoding="utf-8")
    arrays.write_bytes(packed)
    # The header first: if this stops in between, its digest tells that the arrays are old.
    # An old header need not have one, and would be read with new arrays.
    header.replace(path)
    arrays.replace(path.with_suffix(".npz"))
    return path


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_arrays(path: Path, digest: str | None) -> dict[str, FloatArray]:
    """Read the npz file of a profile, whose SHA-256 must be as given."""
    try:
        packed = path.read_bytes()
        if digest not in (None, hashlib.sha256(packed).hexdigest()):
            raise DataError(
                f"profile '{path}' is damaged or of another fit than '{path.stem}.json' beside it; "
                f"{REMEDY}"
            )
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"profile '{path}' is damaged: {error}; {REMEDY}") from None
