"""A runner on a Ray cluster that survives what happens to clusters.

Every wait has an end. Workers are actors that answer every few seconds even while an evaluation
runs (:mod:`evonas.runners.ray.worker`); one that does not answer is lost, and its task starts again
on another. Ray itself restarts and retries nothing, so that each task is counted exactly once.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from typing import ClassVar

import ray
import ray.exceptions

from evonas.errors import UsageError, WorkError
from evonas.host import available_cores
from evonas.problem import Problem
from evonas.records import Evaluation, Status, Task
from evonas.runners.common import check_parameters
from evonas.runners.ray.actor import Job, Patience, RemoteWorker, brief, cause
from evonas.runners.ray.cluster import Node, Quarantine, Watch, joined, living_and_dead, slots
from evonas.runners.ray.worker import Lost, NotLoaded, Place, Ready, memory_of

LOG = logging.getLogger(__name__)

DEFAULT_TIMEOUT = 3600.0
"""Seconds an evaluation may take when no timeout is given: nothing waits without an end."""

OVERDUE = "did not answer in time"


class RayRunner:
    """Evaluate on a Ray cluster.

    Args:
        problem: The prepared problem; it must pickle. It travels once to every node, and its
            arrays are shared, read-only, between the workers there.
        workers: Number of workers; ``None`` takes as many as fit the cluster, also when nodes
            join or leave it. Workers that do not fit wait for nodes that join.
        timeout: Seconds an evaluation may take before its process is killed and replaced; left
            out, :data:`DEFAULT_TIMEOUT`.
        retries: Number of times that a task is started again after its worker was lost.
        address: Address of the cluster: ``"auto"`` or ``host:port``. Left out, a private one is
            started on this machine, and ended by :meth:`close`. A process that is connected with a
            cluster already uses that one.
        cpus_per_evaluation: Processors that Ray sets apart for each worker.
        gpus_per_evaluation: Number of graphics processors, or a share of one.
        patience: Times to wait for answers.

    Raises:
        UsageError: A parameter is out of range, or the cluster cannot be joined.
        ProblemError: The problem does not pickle.
        WorkError: No worker can evaluate the problem, or one says that it cannot.
    """

    prefers_asynchronous: ClassVar[bool] = True
    grace: ClassVar[float] = 20.0
    """Seconds, because what stops a cluster's job often kills it after 30."""

    def __init__(
        self,
        problem: Problem,
        *,
        workers: int | None = None,
        timeout: float | None = None,
        retries: int = 2,
        address: str | None = None,
        cpus_per_evaluation: float = 1.0,
        gpus_per_evaluation: float = 0.0,
        patience: Patience | None = None,
    ) -> None:
        check_parameters(1 if workers is None else workers, timeout, retries)
        if not 0 < cpus_per_evaluation < math.inf or not 0 <= gpus_per_evaluation < math.inf:
            raise UsageError(
                f"an evaluation takes {cpus_per_evaluation:g} CPUs and {gpus_per_evaluation:g} "
                "GPUs; it must take more than 0 CPUs, and no less than 0 GPUs"
            )
        self._fixed = workers
        self._timeout = DEFAULT_TIMEOUT if timeout is None else timeout
        self._retries = retries
        self._cpus, self._gpus = cpus_per_evaluation, gpus_per_evaluation
        self._patience = patience or Patience()
        self._queue: deque[Job] = deque()
        self._workers: list[RemoteWorker] = []
        self._finished: list[Evaluation] = []
        self._quarantine = Quarantine()
        self._gathered = False
        self._lost_starts = 0
        self._exit = ExitStack()
        try:
            self._memory = memory_of(problem)
            self._exit.enter_context(
                joined(
                    address,
                    problem,
                    cpus=math.ceil((workers or available_cores()) * self._cpus),
                    store_bytes=sum(part.nbytes for part in self._memory),
                    threads=max(1, int(self._cpus)),
                )
            )
            self._reference = ray.put(self._memory)
            self._watch = Watch(self._patience.head)
            self._nodes = living_and_dead()
            if address in (None, "local") and not slots(self._nodes, self._cpus, self._gpus):
                raise self._no_place("no worker fits this machine")
            self._next_look = 0.0
            self._last_ready = time.monotonic()
            self._gather()
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """How many evaluations run at the same time, when all workers have a place."""
        return self._fixed or max(1, slots(self._nodes, self._cpus, self._gpus))

    def submit(self, tasks: Sequence[Task]) -> None:
        """Queue tasks; returns at once."""
        self._queue.extend(Job(task) for task in tasks)
        self._dispatch()

    def wait(self, timeout: float | None = None) -> list[Evaluation]:
        """Wait until at least one task has finished, and return all that have.

        Args:
            timeout: Seconds after which an empty list may be returned; ``None`` waits for one.

        Raises:
            WorkError: The cluster is gone, or none of its nodes can evaluate the problem.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self._finished and (self._queue or any(w.job for w in self._workers)):
            try:
                self._look()
                self._dispatch()
                self._listen(end)
            except ray.exceptions.RaySystemError as error:
                raise WorkError(f"the Ray cluster is gone: {brief(error)}") from error
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
        self._finished.clear()
        for worker in self._workers:
            worker.kill()
        self._workers.clear()
        self._exit.close()

    def _gather(self) -> None:
        """Wait for the workers before a search begins, so that one that cannot work says so."""
        self._look()
        begin = time.monotonic()
        fitting = min(self.workers, slots(self._nodes, self._cpus, self._gpus))
        while True:
            ready = sum(worker.state == "idle" for worker in self._workers)
            waited = time.monotonic() - begin
            if ready and (ready >= fitting or waited > self._patience.others):
                self._gathered = True
                return
            self._look()
            self._listen(math.inf)

    def _look(self) -> None:
        """Every so often, look at the cluster, and see that there are as many workers as wanted.

        Raises:
            WorkError: The cluster is gone, or has had no place for a worker for too long.
        """
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + self._patience.look
        self._nodes = self._watch.nodes() or self._nodes
        if self._has_workers():
            self._last_ready = now
        elif now > self._last_ready + self._patience.start:
            raise self._no_place(f"no worker could start within {self._patience.start:g} s")
        avoided = self._avoided()
        for worker in [w for w in self._workers if w.node in avoided and w.state != "busy"]:
            self._drop(worker)
        spare = len(self._workers) - self.workers
        by_use = sorted(self._workers, key=lambda w: w.state != "placing")
        for worker in [w for w in by_use[: max(0, spare)] if w.state != "busy"]:
            self._drop(worker)
        for _ in range(-spare):
            worker = RemoteWorker.hire(self._cpus, self._gpus, avoided, self._patience)
            self._workers.append(worker)

    def _no_place(self, text: str) -> WorkError:
        return WorkError(
            f"{text}; an evaluation asks for {self._cpus:g} CPUs and {self._gpus:g} GPUs, and the "
            f"cluster's nodes have {_resources(self._nodes)}"
        )

    def _has_workers(self) -> bool:
        return any(worker.state in ("idle", "busy") for worker in self._workers)

    def _avoided(self) -> set[str]:
        return self._quarantine.avoided([n["NodeID"] for n in self._nodes if n["Alive"]])

    def _dispatch(self) -> None:
        """Hand queued tasks to idle workers, if possible where they were not lost before."""
        idle = [worker for worker in self._workers if worker.state == "idle"]
        while idle and self._queue:
            job = self._queue.popleft()
            worker = min(idle, key=lambda w: w.node in job.lost_on)
            idle.remove(worker)
            worker.begin(job, self._timeout)

    def _listen(self, end: float) -> None:
        """Wait until a worker answers or is overdue, but not beyond ``end`` or the next look."""
        waiting = [worker for worker in self._workers if worker.reply is not None]
        until = min([end, self._next_look, *(worker.answer_by for worker in waiting)])
        pause = max(0.0, until - time.monotonic())
        if not waiting:
            time.sleep(pause)
            return
        replies = [worker.reply for worker in waiting]
        if ray.wait(replies, num_returns=1, timeout=pause)[0]:
            answered, _ = ray.wait(replies, num_returns=len(replies), timeout=0)
            for worker in waiting:
                if worker.reply in answered:
                    self._hear(worker)
        for worker in waiting:
            if worker.reply is not None and time.monotonic() >= worker.answer_by:
                self._lose(worker, OVERDUE)

    def _hear(self, worker: RemoteWorker) -> None:
        reply, worker.reply = worker.reply, None
        try:
            message = ray.get(reply, timeout=self._patience.answer)
        except (ray.exceptions.RayError, TimeoutError) as error:
            if worker.state == "starting":  # the problem may have been lost from the object store
                self._reference = ray.put(self._memory)
            self._lose(worker, cause(error))
            return
        match message:
            case Evaluation():
                self._quarantine.success(worker.node)
                self._finished.append(message)
                worker.job, worker.state = None, "idle"
                if message.status is Status.TIMEOUT:  # its process was killed
                    worker.start(self._reference)
            case Ready():
                worker.state = "idle"
                self._lost_starts = 0
            case Place():
                worker.place = message
                worker.start(self._reference)
            case NotLoaded():
                self._refuse(worker, message.error)
            case Lost():
                self._lose(worker, message.cause, keep=True)
            case None if worker.state == "starting" and time.monotonic() > worker.start_by:
                self._lose(worker, "did not load the problem in time")
            case None:  # nothing new, but the actor is well
                worker.listen()

    def _refuse(self, worker: RemoteWorker, error: str) -> None:
        """Leave the node of a worker alone that cannot evaluate the problem.

        Raises:
            WorkError: The search has not begun, or there is no other worker.
        """
        host = worker.place.host if worker.place else ""
        text = f"the problem cannot be evaluated on {host}: {error}"
        self._drop(worker)
        if not self._gathered or not self._has_workers():
            raise WorkError(text)
        LOG.warning("%s; it is left alone for %g s", text, self._quarantine.leave(worker.node))

    def _lose(self, worker: RemoteWorker, why: str, keep: bool = False) -> None:
        """Decide what becomes of a worker that has failed, and of its task.

        Args:
            worker: Which one.
            why: Reason, after the words "the worker".
            keep: Only its process is lost; the actor can start another.
        """
        LOG.warning("the worker %s %s", worker.name, why)
        job, worker.job = worker.job, None
        waited = worker.state == "placing" and why == OVERDUE  # for room on the cluster
        if worker.state in ("placing", "starting") and not waited:
            self._lost_starts += 1
            if self._lost_starts > self._retries and not self._has_workers():
                raise WorkError(
                    f"workers cannot start: the last {why} before it had loaded the problem, "
                    f"as did {self._retries} before it"
                )
        if worker.place and (pause := self._quarantine.loss(worker.node)):
            LOG.warning("%s is left alone for %g s", worker.place.host, pause)
        if keep and worker.node not in self._avoided():
            worker.start(self._reference)
        else:
            self._drop(worker)
        if job is None:
            return
        if job.attempts <= self._retries:
            job.lost_on.add(worker.node)
            self._queue.appendleft(job)
            return
        times = f" {job.attempts} times" if job.attempts > 1 else ""
        self._finished.append(
            Evaluation(
                job.task.candidate,
                Status.FAILED,
                seconds=time.monotonic() - worker.began,
                worker=worker.name,
                error=f"the worker {why}{times}",
                attempts=job.attempts,
            )
        )

    def _drop(self, worker: RemoteWorker) -> None:
        """Kill a worker; another is hired at the next look, which is now."""
        self._workers.remove(worker)
        worker.kill()
        self._next_look = min(self._next_look, time.monotonic())


def _resources(nodes: Sequence[Node]) -> str:
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    parts = [f"{r.get('CPU', 0):g} CPUs and {r.get('GPU', 0):g} GPUs" for r in alive]
    return "; ".join(parts) or "nothing"
