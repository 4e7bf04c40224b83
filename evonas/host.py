"""Where code runs."""

from __future__ import annotations

import os
import socket


def worker_name(pid: int | None = None) -> str:
    """Name a process of this machine as ``host:pid``; by default the calling one."""
    return f"{socket.gethostname()}:{os.getpid() if pid is None else pid}"
