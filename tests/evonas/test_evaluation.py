import math
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

from evonas.evaluation import describe_exception, evaluate
from evonas.host import worker_name
from evonas.problem import Metric, Objective, Problem
from evonas.records import Candidate, Status, Task
from evonas.runners.common import ONE_THREAD
from evonas.space import Integer, Space


class Returns(Problem):
    """Returns, or raises, what it is made with."""

    space = Space(Integer("n", 0, 9))
    metrics = (Metric("a"), Metric("b"))
    objectives = (Objective("a"),)
    final_metrics = (Metric("test_a"),)

    def __init__(self, result):
        self.result = result

    def evaluate(self, genome, metrics):
        genome["n"] = 7
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def run(result, *metrics):
    return evaluate(Returns(result), Task(Candidate(0, {"n": 1}, 0), metrics or ("a",)))


@pytest.mark.parametrize(
    "value",
    [2, 2.0, np.float32(2), np.int64(2), np.array(2.0), torch.tensor(2.0), Fraction(2)],
    ids=lambda value: type(value).__name__,
)
def test_real_numbers_of_every_kind_are_values(value):
    evaluation = run({"a": value})
    assert evaluation.values == {"a": 2.0}
    assert type(evaluation.values["a"]) is float


@pytest.mark.parametrize(
    "value",
    ["2", True, np.bool_(True), None, 2j, np.array([2.0]), [2.0], math.nan, np.inf, 10**400],
    ids=repr,
)
def test_anything_else_is_a_failure_that_names_the_metric(value):
    evaluation = run({"a": 1.0, "b": value}, "a", "b")
    assert evaluation.status is Status.FAILED
    assert evaluation.values == {}
    assert "'b'" in evaluation.error
    assert "\n" not in evaluation.error


def test_values_that_were_not_asked_for_are_dropped_unchecked():
    assert run({"a": 1.0, "b": math.nan, "test_a": 3.0}).values == {"a": 1.0}


def test_the_candidate_survives_a_problem_that_changes_its_argument():
    assert run({"a": 1.0}).candidate.genome == {"n": 1}


def test_ctrl_c_is_not_a_failed_evaluation():
    with pytest.raises(KeyboardInterrupt):
        run(KeyboardInterrupt())


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), SystemExit(1)], ids=repr)
def test_grave_errors_are_failures_too(error):
    evaluation = run(error)
    assert evaluation.status is Status.FAILED
    assert evaluation.error.startswith(type(error).__name__)


def test_a_long_message_is_cut():
    assert len(run(ValueError("word " * 1000)).error) < 600


def test_the_line_that_is_named_is_the_users_not_the_librarys():
    with pytest.raises(np.linalg.LinAlgError) as caught:
        np.linalg.inv(np.zeros((2, 2)))
    assert "Singular matrix (test_evaluation.py:" in describe_exception(caught.value)


def test_workers_are_named_after_host_and_process():
    assert worker_name().endswith(f":{os.getpid()}")
    assert worker_name(12).endswith(":12")


def test_one_thread_holds_for_libraries_that_are_loaded_before_and_after():
    program = (
        "import os, torch; from evonas.runners.common import use_one_thread; use_one_thread(); "
        "print(torch.get_num_threads(), os.environ['OMP_NUM_THREADS'])"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ONE_THREAD}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", "1"]
