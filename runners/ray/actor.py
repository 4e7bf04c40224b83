"""The runner's side of a worker on Ray: its actor, what it does, and until when it answers."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import ray
import ray.exceptions

from evonas.records import Task
from evonas.runners.ray.worker import FETCH_SECONDS, Memory, Place, Supervisor


@dataclass(frozen=True)
class Patience:
    """Times to wait for answers, in seconds.

    Args:
        poll: Time between two answers of an actor, at most.
        answer: Time that an answer may be late, before it is taken for lost.
        start: Time until a worker must have a place on the cluster and have loaded the problem; a
            cloud may have to start a machine for it.
        others: Time that the first ready worker waits for the others, before a search begins.
        head: Time that the cluster's head may be out of reach.
        look: Time between two looks at the cluster.
    """

    poll: float = 5.0
    answer: float = 25.0
    start: float = 900.0
    others: float = 30.0
    head: float = 30.0
    look: float = 2.0


@dataclass(eq=False)
class Job:
    """A task, how often it has been started, and on which nodes it was lost."""

    task: Task
    attempts: int = 0
    lost_on: set[str] = field(default_factory=set)


@dataclass(eq=False)
class RemoteWorker:
    """An actor of :class:`evonas.runners.ray.worker.Supervisor`.

    Args:
        actor: Ray's handle.
        patience: Seconds that the actor may take to answer.
        state: ``placing`` until it has a place, ``starting`` until it has loaded the problem.
        place: Node and host of the actor.
        job: Task that it works on, if any.
        began: When it was given the job.
        reply: Ray's reference to the answer that it owes, if any.
        answer_by: When it must have answered; a time of the monotonic clock, as the next.
        start_by: When it must have loaded the problem.
    """

    actor: Any
    patience: Patience
    state: Literal["placing", "starting", "idle", "busy"] = "placing"
    place: Place | None = None
    job: Job | None = None
    began: float = 0.0
    reply: Any = None
    answer_by: float = math.inf
    start_by: float = math.inf

    @classmethod
    def hire(cls, cpus: float, gpus: float, avoided: Collection[str], patience: Patience) -> Self:
        """Ask Ray for an actor, on any node but those to be avoided."""
        options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus}
        if avoided:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(avoided))})"}
        kind = ray.remote(Supervisor).options(max_restarts=0, **options)
        actor: Any = kind.remote(str(Path.cwd()))
        worker = cls(actor, patience)
        worker._expect(actor.place.remote(), patience.start)
        return worker

    @property
    def name(self) -> str:
        """Host and process of the actor; empty before it has a place."""
        return f"{self.place.host}:{self.place.pid}" if self.place else ""

    @property
    def node(self) -> str:
        """Ray's name of the node; empty before it has a place."""
        return self.place.node if self.place else ""

    def start(self, memory: ray.ObjectRef[list[Memory]]) -> None:
        """Have it load the problem."""
        self.state = "starting"
        self.start_by = time.monotonic() + self.patience.start
        reply = self.actor.start.remote([memory], self.patience.poll)
        self._expect(reply, self.patience.poll + FETCH_SECONDS + self.patience.answer)

    def begin(self, job: Job, timeout: float) -> None:
        """Have it begin a job that may take some seconds."""
        self.job, self.state, self.began = job, "busy", time.monotonic()
        job.attempts += 1
        poll = self.patience.poll
        reply = self.actor.evaluate.remote(job.task, job.attempts, timeout, poll)
        self._expect(reply, poll + self.patience.answer)

    def listen(self) -> None:
        """Ask for news, which it has to answer with or without having any."""
        reply = self.actor.listen.remote(self.patience.poll)
        self._expect(reply, self.patience.poll + self.patience.answer)

    def kill(self) -> None:
        """End it; Ray does so within seconds also if it hangs."""
        with suppress(Exception):  # it is dead already, or the cluster is gone
            ray.kill(self.actor, no_restart=True)

    def _expect(self, reply: Any, seconds: float) -> None:
        self.reply, self.answer_by = reply, time.monotonic() + seconds


def cause(error: BaseException) -> str:
    """Say what Ray knows of the end of an actor, after the words "the worker"."""
    text = str(error)
    if isinstance(error, ray.exceptions.OutOfMemoryError) or "low on memory" in text:
        return "was killed because its node ran low on memory"
    if "node has died" in text or "node was terminated" in text:
        return "was lost with its node"
    if isinstance(error, ray.exceptions.RayActorError) and "creation task" not in text:
        return "died"
    return f"failed: {brief(error)}"


def brief(error: BaseException) -> str:
    """Shorten a message of Ray's to its end, where it says what happened."""
    return " ".join(str(error).split())[-200:]
