"""Where a run's files go, and making room for it."""

from __future__ import annotations

import itertools
import shutil
from contextlib import suppress
from pathlib import Path

from evonas.errors import UsageError
from evonas.journal import FILE_NAME
from evonas.lock import take_lock

RUNS = Path("results/runs")

FILES = ("config.yaml", "manifest.json", "report.html", "ray.log", "journal.*", "front.*", "models")
"""What a run's directory holds, and all that is ever removed from it."""


def reserve(out: str | None, name: str, overwrite: bool) -> Path:
    """Choose and make the directory of a new run.

    Args:
        out: The directory that the user named; ``None`` takes a new one under :data:`RUNS`.
        name: The problem's name, for a new one.
        overwrite: Remove a run that is there.

    Raises:
        UsageError: There is a run or something else already, or the directory cannot be made.
        RunLockedError: The run to be removed is being written.
    """
    try:
        directory = _new(name) if out is None else Path(out)
        directory.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in directory.iterdir()]
    except OSError as error:
        raise UsageError(
            f"cannot make the run's directory '{error.filename}': {error.strerror}"
        ) from None
    if has_run(directory) and not overwrite:
        raise UsageError(
            f"'{out}' holds a run already; continue it with 'evonas resume {out}', "
            "choose another --out, or replace it with --overwrite"
        )
    # Nobody's files but a run's are ever written over or removed.
    if names and not any(name.startswith("journal.") for name in names):
        raise UsageError(f"'{out}' is not empty; choose a new directory for the run")
    remove(directory)
    directory.mkdir(exist_ok=True)
    take_lock(directory, note=False).close()
    return directory


def _new(name: str) -> Path:
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    for directory in map(RUNS.joinpath, itertools.chain([name], numbered)):
        with suppress(FileExistsError):
            directory.mkdir(parents=True)
            return directory
    raise AssertionError("the numbers do not end")


def has_run(directory: Path) -> bool:
    """Whether there is a run in a directory, readable or not."""
    return (directory / FILE_NAME).exists()


def remove(directory: Path) -> None:
    """Remove a run: its own files, and the directory if nothing else is in it.

    Raises:
        RunLockedError: A process is writing to the run.
    """
    with take_lock(directory, note=False):
        for path in itertools.chain.from_iterable(map(directory.glob, FILES)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    with suppress(OSError):
        directory.rmdir()
