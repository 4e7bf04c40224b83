"""Ctrl-C: once finishes what is running, twice stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from evonas.problem import Report


class StopRequest:
    """Turns the first SIGINT or SIGTERM into a request, and the second into KeyboardInterrupt.

    Use as a context manager; outside the main thread it handles no signals.

    Args:
        report: Function that is called with a line of text when a stop is asked for.
        grace: Time in seconds that running evaluations are given, for that line; ``None`` is
            unlimited.
    """

    def __init__(self, report: Report, grace: float | None = None) -> None:
        self.requested = False
        self._limit = "" if grace is None else f", for up to {grace:g} s"
        self._report = report
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._report(
            f"Stopping: what is running is finished first{self._limit}. "
            "Press Ctrl-C again to stop now."
        )
