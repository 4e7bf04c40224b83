"""The files of a run's directory."""

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
"""Files that a search leaves which was killed before it began."""

FILES = (
    "config.yaml",
    "manifest.json",
    *(f"front.{kind}" for kind in ("csv", "json", "parquet", "png")),
    *(f"front.{kind}.partial" for kind in ("csv", "json", "parquet")),
    "models",
    DEVICES,
)
"""Everything else that a run writes, and that is removed to make room for another run."""


def remove_files(directory: Path) -> None:
    """Remove the files of a run, if there is one; its lock and all other files stay.

    The journal goes last: without one, no other file is taken for a run's.
    """
    there = (directory / JOURNAL).exists()
    for path in map(directory.joinpath, (*FILES, *RECORD) if there else RECORD):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
