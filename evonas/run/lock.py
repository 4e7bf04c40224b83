"""One process writes to a run at a time."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from evonas.errors import RunError, RunLockedError
from evonas.run.layout import LOCK

PATIENCE = 0.2
"""Time in seconds for which a lock is tried: :func:`is_locked` holds one for a moment."""


def is_locked(directory: Path) -> bool:
    """Whether a process is writing to the run; its directory may be read-only."""
    with suppress(FileNotFoundError, PermissionError), (directory / LOCK).open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def take_lock(directory: Path) -> IO[str]:
    """Hold a run until the file is closed or the process ends, however it ends.

    The file says who holds it, for the message to others.

    Args:
        directory: Directory of the run.

    Raises:
        RunLockedError: Another process holds it; the message names it.
        RunError: The directory is missing or cannot be written.
    """
    path = directory / LOCK
    try:
        lock = path.open("a+")
    except OSError as error:
        raise RunError(f"run '{directory}' cannot be written: {error.strerror}") from None
    end = time.monotonic() + PATIENCE
    while not _locked(lock) and time.monotonic() < end:
        time.sleep(PATIENCE / 20)
    if not _locked(lock):
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        lock.close()
        raise RunLockedError(
            f"run '{directory}' is being written by {holder}; wait for it or stop it first"
        )
    if not _is_at(path, lock):
        # Its last holder removed it: others would lock another file.
        lock.close()
        return take_lock(directory)
    lock.truncate(0)
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    lock.write(f"process {os.getpid()} on {socket.gethostname()} (since {started})")
    lock.flush()
    return lock


def _locked(lock: IO[str]) -> bool:
    """Try to lock a file; locking it again does nothing."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, lock: IO[str]) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        return False
