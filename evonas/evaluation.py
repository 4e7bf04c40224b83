"""Evaluating one task: the one place where an exception becomes a status."""

from __future__ import annotations

import math
import numbers
import os
import sysconfig
import textwrap
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evonas.errors import InfeasibleError, did_you_mean
from evonas.host import worker_name
from evonas.problem import Problem
from evonas.records import Evaluation, Status, Task


def evaluate(problem: Problem, task: Task, attempts: int = 1) -> Evaluation:
    """Evaluate a task.

    Args:
        problem: The prepared problem.
        task: The task.
        attempts: Number of times that the task was started, this time included.

    Returns:
        An evaluation that is ``ok`` with a finite value for every metric that was asked for,
        ``infeasible``, or ``failed`` with one sentence. Only ``KeyboardInterrupt`` and the
        runners' own signals pass through.
    """
    start = time.perf_counter()
    values: dict[str, float] = {}
    status, error = Status.OK, ""
    try:
        # A copy, so that a problem that changes its argument does not change the candidate.
        returned = problem.evaluate(dict(task.candidate.genome), task.metrics)
        values = _checked(problem, task, returned)
    except InfeasibleError as infeasible:
        status, error = Status.INFEASIBLE, _one_line(infeasible) or "the design has no values"
    except _WrongValuesError as wrong:
        status, error = Status.FAILED, str(wrong)
    except (Exception, SystemExit) as failure:
        status, error = Status.FAILED, describe_exception(failure)
    return Evaluation(
        task.candidate,
        status,
        values,
        seconds=time.perf_counter() - start,
        worker=worker_name(),
        error=error,
        attempts=attempts,
    )


class _WrongValuesError(Exception):
    """``Problem.evaluate`` returned something else than it was asked for."""


def _checked(problem: Problem, task: Task, returned: object) -> dict[str, float]:
    if not isinstance(returned, Mapping):
        raise _WrongValuesError(
            f"evaluate returned {_short(returned)}; it must return metric -> number"
        )
    declared = [metric.name for metric in (*problem.metrics, *problem.final_metrics)]
    for name in returned:
        if name not in declared:
            raise _WrongValuesError(
                f"evaluate returned '{name}', which is not a metric of the problem"
                + did_you_mean(name, declared)
            )
    for name in task.metrics:
        if name not in returned:
            raise _WrongValuesError(f"evaluate returned no value for '{name}'")
    return {name: _number(name, returned[name]) for name in task.metrics}


def _number(name: str, value: Any) -> float:
    if getattr(value, "ndim", None) == 0:  # a numpy scalar, or an array or tensor of one value
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _WrongValuesError(
            f"evaluate returned {_short(value)} for '{name}'; it must be a number"
        )
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond the largest float
        number = math.inf
    if not math.isfinite(number):
        raise _WrongValuesError(f"evaluate returned {number} for '{name}'; it must be finite")
    return number


def describe_exception(error: BaseException) -> str:
    """Say an exception in one line: type, message, and where in the user's code it was raised.

    >>> describe_exception(ValueError("no such device"))
    'ValueError: no such device'
    """
    text = _one_line(*traceback.format_exception_only(error))
    ours = (__file__, f"{Path(__file__).parent / 'runners'}{os.sep}")
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)
    ]
    # The innermost frame is often inside numpy or torch; what helps is the line that called it.
    libraries = ("<frozen", *(sysconfig.get_paths()[n] for n in ("stdlib", "purelib", "platlib")))
    users = [f for f in frames if not f.filename.startswith(libraries)]
    for frame in (*users[-1:], *frames[:1]):
        return f"{text} ({Path(frame.filename).name}:{frame.lineno})"
    return text


def _one_line(*texts: object) -> str:
    return textwrap.shorten(" ".join(map(str, texts)), 500, placeholder=" ...")


def _short(value: object) -> str:
    return textwrap.shorten(repr(value), 80, placeholder=" ...")
