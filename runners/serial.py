"""A runner in this process."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from evonas.errors import UsageError
from evonas.evaluation import evaluate
from evonas.host import worker_name
from evonas.problem import Problem
from evonas.records import Evaluation, Task
from evonas.runners.common import check_parameters, overrun


class _OverrunSignal(BaseException):
    """Raised by the alarm; no ``Exception``, so that an evaluation does not handle it."""


class SerialRunner:
    """Evaluate in this process, one task in every call of :meth:`wait`.

    A timeout interrupts Python code; a call that is stuck inside a C library is interrupted only
    when it returns, and a crash ends the search. The runner ``processes`` has neither limit.

    Args:
        problem: The prepared problem.
        workers: Must be 1.
        timeout: Seconds an evaluation may take. Needs the main thread of a POSIX system.
        retries: Unused; a worker that is this process cannot be lost and replaced.

    Raises:
        UsageError: A parameter is out of range, or a timeout cannot be kept here.
    """

    def __init__(
        self, problem: Problem, *, workers: int = 1, timeout: float | None = None, retries: int = 2
    ) -> None:
        check_parameters(workers, timeout, retries)
        if workers != 1:
            raise UsageError(f"the runner 'serial' has 1 worker, not {workers}; use 'processes'")
        alarm = hasattr(signal, "setitimer") and (
            threading.current_thread() is threading.main_thread()
        )
        if timeout is not None and not alarm:
            raise UsageError(
                "the runner 'serial' can keep a timeout only in the main thread of a POSIX system; "
                "use the runner 'processes'"
            )
        self._problem = problem
        self._timeout = timeout
        self._queue: deque[Task] = deque()

    @property
    def workers(self) -> int:
        """How many evaluations run at the same time: one."""
        return 1

    def submit(self, tasks: Sequence[Task]) -> None:
        """Queue tasks; nothing runs before :meth:`wait`."""
        self._queue.extend(tasks)

    def wait(self, timeout: float | None = None) -> list[Evaluation]:
        """Evaluate the next task, however long it takes; empty when nothing is queued."""
        if not self._queue:
            return []
        task = self._queue.popleft()
        if self._timeout is None:
            return [evaluate(self._problem, task)]
        try:
            with _alarm(self._timeout):
                return [evaluate(self._problem, task)]
        except _OverrunSignal:
            return [overrun(task, self._timeout, worker_name())]

    def cancel(self) -> None:
        """Forget the tasks that have not started."""
        self._queue.clear()

    def close(self) -> None:
        """Forget everything."""
        self._queue.clear()


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise _OverrunSignal

    previous = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, previous)
