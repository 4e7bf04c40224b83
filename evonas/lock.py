"""One process writes to a run at a time."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path
from typing import IO

from evonas.errors import RunLockedError


def is_locked(directory: Path) -> bool:
    """Whether a process is writing to the run."""
    try:
        take_lock(directory, note=False).close()
    except RunLockedError:
        return True
    return False


def take_lock(directory: Path, note: bool = True) -> IO[str]:
    """Hold a run until the file is closed or the process ends, however it ends.

    Args:
        directory: The run's.
        note: Write into the file who holds it, for the message to others.

    Raises:
        RunLockedError: Another process holds it; the message names it.
    """
    lock = (directory / "journal.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        lock.close()
        raise RunLockedError(
            f"run '{directory}' is being written by {holder}; wait for it or stop it first"
        ) from None
    if note:
        lock.truncate(0)
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        lock.write(f"process {os.getpid()} on {socket.gethostname()} (since {started})")
        lock.flush()
    return lock
