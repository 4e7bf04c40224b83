"""Where a run's files go."""

from __future__ import annotations

import itertools
import shlex
from contextlib import suppress
from pathlib import Path

from evonas.errors import RunError, UsageError
from evonas.run.layout import JOURNAL, UNBORN
from evonas.run.lock import take_lock

RUNS = Path("results/runs")

LEFT = (*UNBORN, "ray.log")
"""What there may be in the directory of a start that was killed."""


def reserve(out: str | None, name: str, overwrite: bool) -> Path:
    """Choose the directory of a new run, and make it if need be.

    Args:
        out: The directory that the user named; ``None`` takes a new one under :data:`RUNS`.
        name: The problem's name, for a new one.
        overwrite: Whether it may hold a run.

    Raises:
        UsageError: There is a run or something else already, or the directory cannot be made.
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
            f"'{out}' holds a run already; continue it with "
            f"'evonas resume {shlex.quote(str(out))}', choose another --out, or replace it with "
            "--overwrite"
        )
    # Nobody's files but a run's are ever written over or removed.
    if not has_run(directory) and not set(names) <= set(LEFT):
        raise UsageError(f"'{out}' is not empty; choose a new directory for the run")
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
    return (directory / JOURNAL).exists()


def remove_unborn(directory: Path) -> None:
    """Remove the directory of a start that went wrong, if nothing else is in it."""
    try:
        with take_lock(directory):
            for name in LEFT:
                (directory / name).unlink(missing_ok=True)
    except RunError:  # It is another process that starts there, or the directory is gone.
        return
    with suppress(OSError):
        directory.rmdir()
