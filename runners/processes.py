"""A runner in a pool of persistent worker processes on this machine."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_any
from typing import Literal

from evonas.errors import WorkError
from evonas.host import available_cores, worker_name
from evonas.problem import Problem
from evonas.records import Evaluation, Status, Task
from evonas.runners.common import check_parameters, overrun
from evonas.runners.worker_process import HELLO, READY, WorkerProcess, pickled


@dataclass
class _Job:
    """A task, and how often it has been started."""

    task: Task
    attempts: int = 0


@dataclass(eq=False)
class _Worker:
    """A worker process, what it is doing, and since when."""

    process: WorkerProcess
    state: Literal["starting", "idle", "busy"] = "starting"
    job: _Job | None = None
    started: float = math.inf

    @property
    def name(self) -> str:
        return worker_name(self.process.pid)


class ProcessRunner:
    """Evaluate in persistent processes, which load the problem once.

    The pools of the usual libraries share one queue among their workers, so that a worker which
    dies can take the whole pool with it. Here every worker has a connection of its own: what a
    dead worker was doing is known, and nothing else is touched.

    The problem travels by cloudpickle, so its class may live in a script or a notebook, and the
    script needs no ``if __name__ == "__main__"`` guard: workers do not import it.

    Args:
        problem: The prepared problem; it must pickle.
        workers: Number of processes, by default one for every core; each keeps its numerical
            libraries to one thread, unless the environment (``OMP_NUM_THREADS`` and the like)
            says otherwise.
        timeout: Seconds an evaluation may take before its worker is killed and replaced.
        retries: Number of times that a task is started again after its worker died.

    Raises:
        UsageError: A parameter is out of range.
        ProblemError: The problem does not pickle.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        workers: int | None = None,
        timeout: float | None = None,
        retries: int = 2,
    ) -> None:
        workers = available_cores() if workers is None else workers
        check_parameters(workers, timeout, retries)
        self._payload = pickled(problem)
        self._limit = workers
        self._timeout = math.inf if timeout is None else timeout
        self._retries = retries
        self._queue: deque[_Job] = deque()
        self._workers: list[_Worker] = []
        self._finished: list[Evaluation] = []
        self._lost_starts = 0

    @property
    def workers(self) -> int:
        """How many evaluations run at the same time."""
        return self._limit

    def submit(self, tasks: Sequence[Task]) -> None:
        """Queue tasks; returns at once."""
        self._queue.extend(_Job(task) for task in tasks)
        self._dispatch()

    def wait(self, timeout: float | None = None) -> list[Evaluation]:
        """Wait until at least one task has finished, and return all that have.

        Args:
            timeout: Seconds after which an empty list may be returned; ``None`` waits for one.

        Raises:
            WorkError: Workers cannot start.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self._finished and (self._queue or any(w.job for w in self._workers)):
            self._dispatch()
            self._listen(end)
            if time.monotonic() >= end:
                break
        self._dispatch()  # keeps the workers busy while the caller thinks
        finished, self._finished = self._finished, []
        return finished

    def cancel(self) -> None:
        """Forget the tasks that have not started; those that run go on."""
        self._queue.clear()

    def close(self) -> None:
        """Stop at once: running evaluations are killed, and no process is left behind."""
        self._queue.clear()
        for worker in self._workers:
            worker.process.kill()
        self._workers.clear()

    def _dispatch(self) -> None:
        """Hand queued tasks to idle workers, and start workers while there are too few."""
        for worker in self._workers:
            if worker.state == "idle" and self._queue:
                worker.job, worker.state = self._queue.popleft(), "busy"
                worker.job.attempts += 1
                worker.started = time.monotonic()
                with suppress(OSError):  # a dead worker is noticed when it is listened to
                    worker.process.connection.send((worker.job.task, worker.job.attempts))
        starting = sum(worker.state == "starting" for worker in self._workers)
        wanted = min(self._limit - len(self._workers), len(self._queue) - starting)
        self._workers.extend(_Worker(WorkerProcess.start()) for _ in range(wanted))

    def _listen(self, end: float) -> None:
        """Wait until a worker says something, dies or overruns, but not beyond ``end``."""
        now = time.monotonic()
        due = min((w.started + self._timeout for w in self._workers if w.job), default=math.inf)
        # A process that an evaluation has forked can keep the connection of a dead worker open,
        # so the workers themselves are looked after every second.
        pause = max(0.0, min(end - now, due - now, 1.0))
        ready = wait_for_any([worker.process.connection for worker in self._workers], pause)
        for worker in list(self._workers):
            if worker.process.connection in ready:
                self._hear(worker)
            elif worker.process.has_ended():
                self._replace(worker)
            elif worker.job and time.monotonic() >= worker.started + self._timeout:
                self._workers.remove(worker)
                worker.process.kill()
                job = worker.job
                self._finished.append(overrun(job.task, self._timeout, worker.name, job.attempts))

    def _hear(self, worker: _Worker) -> None:
        try:
            message = worker.process.connection.recv()
        except (EOFError, OSError):
            self._replace(worker)
            return
        if isinstance(message, Evaluation):
            self._finished.append(message)
            worker.job, worker.state = None, "idle"
        elif message == HELLO:
            with suppress(OSError):
                worker.process.connection.send_bytes(self._payload)
        elif message == READY:
            worker.state = "idle"
            self._lost_starts = 0
        else:
            raise WorkError(f"worker processes cannot load the problem: {message}")

    def _replace(self, worker: _Worker) -> None:
        """Forget a worker that has died, and decide what becomes of its task."""
        self._workers.remove(worker)
        end = worker.process.kill()
        if worker.state == "starting":
            self._lost_starts += 1
            if self._lost_starts > self._retries:
                raise WorkError(
                    f"worker processes cannot start: the last {end} before it had loaded "
                    f"the problem, as did {self._retries} before it"
                )
        if job := worker.job:
            if job.attempts <= self._retries:
                self._queue.appendleft(job)
                return
            times = f" {job.attempts} times" if job.attempts > 1 else ""
            self._finished.append(
                Evaluation(
                    job.task.candidate,
                    Status.FAILED,
                    seconds=time.monotonic() - worker.started,
                    worker=worker.name,
                    error=f"the worker {end}{times}",
                    attempts=job.attempts,
                )
            )
