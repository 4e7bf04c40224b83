"""What a run's directory holds."""

from __future__ import annotations

import shutil
from pathlib import Path

JOURNAL, LOCK = "journal.sqlite", "journal.lock"
PARTIAL = f"{JOURNAL}.partial"

RECORD = (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm")
"""The journal, and what SQLite keeps beside it."""

DEVICES = "devices"
"""Folder of the profiles of fitted devices that the run's problem was made with."""

UNBORN = (LOCK, *RECORD[1:], PARTIAL, f"{PARTIAL}-journal")
"""What a search leaves that was killed before it began."""

FILES = (
    "config.yaml",
    "manifest.json",
    *(f"front.{kind}" for kind in ("csv", "json", "parquet", "png")),
    *(f"front.{kind}.partial" for kind in ("csv", "json", "parquet")),
    "models",
    DEVICES,
)
"""What else a run writes, and all else that is ever removed to make room for another."""


def remove_files(directory: Path) -> None:
    """Remove the files of a run, if there is one; its lock stays, and whatever else there is.

    The journal goes last: where there is none, nothing else is a run's.
    """
    there = (directory / JOURNAL).exists()
    for path in map(directory.joinpath, (*FILES, *RECORD) if there else RECORD):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
