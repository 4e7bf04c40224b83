"""The machine and the process that code runs in."""

from __future__ import annotations

import os
import socket


def worker_name(pid: int | None = None) -> str:
    """Name a process of this machine as ``host:pid``; by default the calling one."""
    return f"{socket.gethostname()}:{os.getpid() if pid is None else pid}"


def available_cores() -> int:
    """Count the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
