"""What all runners share."""

from __future__ import annotations

import math
import os
import sys

from evonas.errors import UsageError
from evonas.records import Evaluation, Status, Task

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""Environment that keeps numpy, torch and XGBoost to one thread, if set before their import."""


def use_one_thread() -> None:
    """Keep this process to one thread, so that workers do not fight for cores.

    Libraries that are not imported yet read the environment; torch is also told directly.
    """
    os.environ.update(ONE_THREAD)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def check_parameters(workers: int, timeout: float | None, retries: int) -> None:
    """Refuse what no runner can work with.

    Raises:
        UsageError: A parameter is out of range.
    """
    if workers < 1:
        raise UsageError(f"the number of workers is {workers}; it must be at least 1")
    if timeout is not None and not 0 < timeout < math.inf:
        raise UsageError(f"the timeout is {timeout} s; it must be a positive number of seconds")
    if retries < 0:
        raise UsageError(f"the number of retries is {retries}; it must be at least 0")


def overrun(task: Task, timeout: float, worker: str, attempts: int = 1) -> Evaluation:
    """Say that a task has used up its time."""
    return Evaluation(
        task.candidate,
        Status.TIMEOUT,
        seconds=timeout,
        worker=worker,
        error=f"the evaluation took longer than the timeout of {timeout:g} s",
        attempts=attempts,
    )
