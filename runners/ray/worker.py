"""What runs on a Ray cluster: one actor a worker, and the process it forks to evaluate in.

No code of the user's runs in the actor, so it always answers within seconds; one that does not is
lost. The forked process loads the problem from the object store's memory, which all workers of a
node share, and is killed and replaced when it overruns, without a word to the cluster. How it
ended is known exactly, which Ray could not tell.

What is said between actor and process is what :mod:`evonas.runners.worker_process` says.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import ray
from numpy.typing import NDArray

from evonas.host import worker_name
from evonas.problem import Problem
from evonas.records import Evaluation, Task
from evonas.runners.common import overrun
from evonas.runners.worker_process import READY, attend, describe_end, end_with_runner, pickled

Memory = NDArray[np.uint8]

FETCH_SECONDS = 60.0
"""How long a node may take to fetch the problem."""

SHARED_BYTES = 16_384
"""Arrays of at least this size are shared between the workers of a node, and read-only there."""

LOOK_SECONDS = 1.0
"""How often an actor looks after its process while it listens."""

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True)
class Place:
    """Where an actor has been put."""

    node: str
    host: str
    pid: int


@dataclass(frozen=True)
class Lost:
    """The process of an actor has ended, and how."""

    cause: str


@dataclass(frozen=True)
class NotLoaded:
    """The problem cannot be evaluated there, and why."""

    error: str


@dataclass(frozen=True)
class Ready:
    """The problem is loaded there."""


Reply = Evaluation | Lost | NotLoaded | Ready | None
"""What an actor answers: how a task ended, how its process did, or nothing yet."""


def memory_of(problem: Problem) -> list[Memory]:
    """Take a problem apart: its pickle, and the memory of each of its larger arrays.

    Raises:
        ProblemError: The problem does not pickle.
    """
    buffers: list[memoryview] = []

    def belongs_in_pickle(buffer: pickle.PickleBuffer) -> bool:
        memory = buffer.raw()
        small = memory.nbytes < SHARED_BYTES
        if not small:
            buffers.append(memory)
        return small

    stream = pickled(problem, belongs_in_pickle)
    return [np.frombuffer(part, np.uint8) for part in (memoryview(stream), *buffers)]


class Supervisor:
    """The actor: keeps one process that evaluates.

    Args:
        directory: Folder that the process works in, if there is one of that name.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._pid = 0
        self._connection: Connection
        self._memory: list[Memory] = []
        self._task: tuple[Task, int, float] | None = None
        self._deadline = math.inf

    def place(self) -> Place:
        """Say where this is."""
        node = ray.get_runtime_context().get_node_id()
        return Place(str(node), socket.gethostname(), os.getpid())

    def start(self, reference: Sequence[ray.ObjectRef[list[Memory]]], seconds: float) -> Reply:
        """Start the process, and listen for how it loads the problem.

        Args:
            reference: Reference to what :func:`memory_of` returned; in a list, so that Ray does not
                wait for it without an end.
            seconds: Seconds to listen.
        """
        if not self._memory:
            self._memory = ray.get(reference[0], timeout=FETCH_SECONDS)
        ours, theirs = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            _evaluate_for_ever(theirs, self._memory, self._directory)
        with suppress(OSError):  # both sides do it, so that neither can be too late
            os.setpgid(self._pid, self._pid)
        theirs.close()
        self._connection = ours
        return self.listen(seconds)

    def evaluate(self, task: Task, attempts: int, timeout: float, seconds: float) -> Reply:
        """Begin a task, and listen for its end.

        Args:
            task: Task to evaluate.
            attempts: Number of times that the task was started, this time included.
            timeout: Seconds that the task may take.
            seconds: Seconds to listen.
        """
        self._task = task, attempts, timeout
        self._deadline = time.monotonic() + timeout
        with suppress(OSError):  # a dead process is noticed by listening
            self._connection.send((task, attempts))
        return self.listen(seconds)

    def listen(self, seconds: float) -> Reply:
        """Wait for what the process says or does, but not for long."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < min(end, self._deadline):
            try:
                if self._connection.poll(min(LOOK_SECONDS, end - now, self._deadline - now)):
                    return self._hear(self._connection.recv())
            except (EOFError, OSError):
                return Lost(self._end())
            # A process that an evaluation has forked can keep the connection open.
            if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return Lost(self._end())
            if _is_stopped(self._pid):  # what it measures is worthless, if it ever goes on
                self._end()
                return Lost("was stopped by a signal")
        if now < self._deadline or self._task is None:
            return None
        task, attempts, timeout = self._task
        self._end()
        return overrun(task, timeout, worker_name(self._pid), attempts)

    def _hear(self, message: Any) -> Reply:
        self._task, self._deadline = None, math.inf
        if isinstance(message, Evaluation):
            return message
        return Ready() if message == READY else NotLoaded(message)

    def _end(self) -> str:
        """Kill the process and all that it has started, and say how it ended."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        self._connection.close()
        _, status = os.waitpid(self._pid, 0)
        self._task, self._deadline = None, math.inf
        return describe_end(os.waitstatus_to_exitcode(status))


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def _evaluate_for_ever(connection: Connection, memory: list[Memory], directory: str) -> NoReturn:
    """Be the process that evaluates, until the actor hangs up."""
    try:
        gc.freeze()  # what Ray left in this copy must not be collected: Ray does not run here
        os.setpgid(0, 0)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        # Ray notices the death of an actor by the end of its connections, so none is kept here.
        descriptor = connection.fileno()
        os.closerange(3, descriptor)
        os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        with suppress(OSError):
            os.chdir(directory)
        threading.Thread(target=end_with_runner, args=[descriptor], daemon=True).start()
        attend(connection, lambda: pickle.loads(memory[0].data, buffers=memory[1:]))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
