"""One worker process: starting it, talking with it, and what runs inside it.

The process is a plain Python that is told where to find modules and then receives the problem by
cloudpickle. It does not import the script that started the search, so that script needs no
``if __name__ == "__main__"`` guard, and a class that it defines travels by value.

What is said over the connection, in order: the worker ``HELLO``; the runner the pickled problem;
the worker ``READY``, or one sentence on why the problem does not load; then for each task the
runner ``(task, attempts)`` and the worker an ``Evaluation``.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Self

import cloudpickle

from evonas.errors import ProblemError
from evonas.evaluation import describe_exception, evaluate
from evonas.problem import Problem
from evonas.runners.common import ONE_THREAD

HELLO, READY = "hello", "ready"


@dataclass(frozen=True, eq=False)
class WorkerProcess:
    """A process and the runner's end of the connection with it."""

    popen: subprocess.Popen[bytes]
    connection: Connection

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.popen.pid

    @classmethod
    def start(cls) -> Self:
        """Start a process; returns at once."""
        ours, theirs = Pipe()
        program = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from evonas.runners.worker_process import serve; serve({theirs.fileno()})"
        )
        popen = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            process_group=0,  # Ctrl-C does not reach it, and it is killed with all its children
            env={**ONE_THREAD, **os.environ},
        )
        theirs.close()
        return cls(popen, ours)

    def has_ended(self) -> bool:
        """Whether the process is dead."""
        return self.popen.poll() is not None

    def kill(self) -> str:
        """End the process and all that it has started, and say how it had ended."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.connection.close()
        return describe_end(self.popen.wait())


def describe_end(code: int) -> str:
    """Say how a process ended, by its exit code, or minus the signal that killed it.

    >>> describe_end(-9)
    'was killed by SIGKILL (out of memory?)'
    """
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def pickled(
    problem: Problem, keep_buffer: Callable[[pickle.PickleBuffer], object] | None = None
) -> bytes:
    """Pickle a problem; the class of a module that workers could not import travels by value.

    Args:
        problem: Prepared.
        keep_buffer: Takes each array's memory, which is then left out of the pickle (PEP 574).

    Raises:
        ProblemError: The problem does not pickle.
    """
    module = sys.modules[type(problem.unwrapped).__module__]
    package = module.__name__.partition(".")[0]
    # A worker has the same finders and paths, but none of what this process has loaded.
    by_value = not any(finder.find_spec(package, None) for finder in sys.meta_path)
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        payload: bytes = cloudpickle.dumps(problem, buffer_callback=keep_buffer)
    except Exception as error:
        raise ProblemError(
            f"problem '{type(problem.unwrapped).__name__}' cannot be sent to worker processes "
            f"({describe_exception(error)}); keep what does not pickle out of the instance, "
            "or use the runner 'serial'"
        ) from error
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)
    return payload


def serve(descriptor: int) -> None:
    """Run a worker: load the problem, then evaluate tasks until the runner hangs up."""
    os.set_inheritable(descriptor, False)
    os.dup2(2, 1)  # what an evaluation prints must not mix with the command's own output
    threading.Thread(target=end_with_runner, args=[descriptor], daemon=True).start()
    connection = Connection(descriptor)
    connection.send(HELLO)
    attend(connection, lambda: pickle.loads(connection.recv_bytes()))


def attend(connection: Connection, load: Callable[[], Problem]) -> None:
    """Load the problem, check that it can be evaluated here, and evaluate tasks."""
    try:
        problem = load()
        problem.check_worker()
    except Exception as error:
        connection.send(describe_exception(error))
        return
    connection.send(READY)
    with suppress(EOFError):
        while True:
            task, attempts = connection.recv()
            connection.send(evaluate(problem, task, attempts))


def end_with_runner(descriptor: int) -> None:
    """Kill this process and its children as soon as the runner's end of the connection closes."""
    poll = select.poll()
    poll.register(descriptor, 0)  # a hang-up is reported whatever one asks for
    poll.poll()
    os.killpg(0, signal.SIGKILL)
