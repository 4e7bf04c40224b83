"""What a run's directory holds."""

from __future__ import annotations

import shutil
from pathlib import Path

JOURNAL, LOCK = "journal.sqlite", "journal.lock"

UNBORN = (LOCK, f"{JOURNAL}.partial")
"""What a search leaves that was killed before it began."""

FILES = (
    JOURNAL,
    f"{JOURNAL}-wal",
    f"{JOURNAL}-shm",
    f"{JOURNAL}.partial",
    "config.yaml",
    "manifest.json",
    *(f"front.{kind}" for kind in ("csv", "json", "parquet", "png")),
    *(f"front.{kind}.partial" for kind in ("csv", "json", "parquet")),
    "models",
)
"""What a run writes besides its lock, and all that is ever removed to make room for another."""


def remove_files(directory: Path) -> None:
    """Remove a run's files; its lock stays, and whatever else there is."""
    for path in map(directory.joinpath, FILES):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
