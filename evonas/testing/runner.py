"""Tests of the Runner protocol, which a runner's own tests inherit.

::

    class TestMyRunner(RunnerSuite):
        workers = 4

        def make_runner(self, problem, **options):
            return MyRunner(problem, **options)
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

from evonas.errors import InfeasibleError
from evonas.problem import Metric, Objective, Problem
from evonas.protocols import Runner
from evonas.records import Candidate, Evaluation, Status, Task
from evonas.space import Choice, Genome, Integer, Space

WRONG_RESULTS: Mapping[str, tuple[object, str]] = {
    "nothing": (None, "None"),
    "a list": ([1.0, 2.0], "[1.0, 2.0]"),
    "too little": ({"value": 1.0}, "'worker'"),
    "a typo": ({"valu": 1.0, "worker": 1.0}, "did you mean 'value'?"),
    "text": ({"value": "1.0", "worker": 1.0}, "'value'"),
    "a bool": ({"value": True, "worker": 1.0}, "'value'"),
    "no value": ({"value": None, "worker": 1.0}, "'value'"),
    "nan": ({"value": float("nan"), "worker": 1.0}, "'value'"),
    "infinity": ({"value": float("-inf"), "worker": 1.0}, "'value'"),
}
"""Action -> what an evaluation may return by mistake, and what the error must name."""


class Misbehaving(Problem):
    """A problem whose evaluations fail, hang or die, as a gene says.

    Args:
        directory: Directory in which the action ``die once`` notes that it has.
    """

    space = Space(
        Choice(
            "action",
            [
                "measure", "raise", "exit", "refuse", "interruptible hang", "die once",
                "be killed", "crash", "leave", *WRONG_RESULTS,
            ],
        ),
        Integer("number", 0, 10_000),
    )  # fmt: skip
    metrics = (Metric("value"), Metric("worker"))
    objectives = (Objective("value"),)

    def __init__(self, directory: str = "") -> None:
        self.directory = directory

    def evaluate(self, genome: Genome, metrics: Sequence[str]) -> Mapping[str, float]:
        match genome["action"]:
            case "raise":
                raise ValueError("the device\nis gone")
            case "exit":
                sys.exit("giving up")
            case "refuse":
                raise InfeasibleError("too wide for the device")
            case "interruptible hang":
                while True:
                    time.sleep(0.01)
            case "be killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "leave":
                os._exit(3)
            case "die once":
                mark = Path(self.directory) / f"died-{genome['number']}"
                if not mark.exists():
                    mark.touch()
                    os._exit(3)
            case str(action) if action in WRONG_RESULTS:
                return WRONG_RESULTS[action][0]  # type: ignore[return-value]
        return {"value": float(genome["number"]) / 2, "worker": os.getpid()}


def task(number: int, action: str = "measure", metrics: Sequence[str] = ("value",)) -> Task:
    """Make a task of :class:`Misbehaving`; its candidate has the number as its id."""
    return Task(Candidate(number, {"action": action, "number": number}, 0), tuple(metrics))


def collect(runner: Runner, count: int) -> list[Evaluation]:
    """Wait for a number of evaluations, in the order in which they come."""
    evaluations: list[Evaluation] = []
    while len(evaluations) < count:
        finished = runner.wait()
        assert finished, f"the runner lost {count - len(evaluations)} of {count} tasks"
        evaluations.extend(finished)
    return evaluations


class RunnerSuite(ABC):
    """Tests of the Runner protocol.

    Attributes:
        workers: Number of workers that the runner is made with.
        isolates: Whether a worker may die without ending the search.
    """

    workers: ClassVar[int] = 1
    isolates: ClassVar[bool] = True

    @abstractmethod
    def make_runner(self, problem: Problem, **options: Any) -> Runner:
        """Make the runner; the options are ``workers``, ``timeout`` (seconds) and ``retries``."""

    @contextmanager
    def runner(self, problem: Problem | None = None, **options: Any) -> Iterator[Runner]:
        """Make the runner with :attr:`workers` workers, and close it in the end."""
        runner = self.make_runner(problem or Misbehaving(), workers=self.workers, **options)
        try:
            yield runner
        finally:
            runner.close()

    def test_says_how_many_workers_it_has(self) -> None:
        with self.runner() as runner:
            assert runner.workers == self.workers

    def test_nothing_queued_is_nothing_to_wait_for(self) -> None:
        with self.runner() as runner:
            assert runner.wait() == []
            assert runner.wait(timeout=0.01) == []

    def test_every_task_comes_back_once_with_its_values(self) -> None:
        with self.runner() as runner:
            runner.submit([task(i) for i in range(7)])
            first = runner.wait()
            runner.submit([task(i) for i in range(7, 20)])
            evaluations = first + collect(runner, 20 - len(first))
            assert runner.wait() == []
        assert sorted(e.candidate.id for e in evaluations) == list(range(20))
        for evaluation in evaluations:
            assert evaluation.status is Status.OK
            assert evaluation.error == ""
            assert evaluation.attempts == 1
            assert evaluation.seconds >= 0
            assert evaluation.values == {"value": evaluation.candidate.id / 2}

    def test_candidates_come_back_unchanged(self) -> None:
        with self.runner() as runner:
            runner.submit([task(5)])
            assert collect(runner, 1)[0].candidate == task(5).candidate

    def test_workers_are_named_after_host_and_process(self) -> None:
        with self.runner() as runner:
            runner.submit([task(1, metrics=["worker"])])
            (evaluation,) = collect(runner, 1)
        host, _, pid = evaluation.worker.rpartition(":")
        assert host
        assert int(pid) == evaluation.values["worker"]

    def test_exceptions_become_failures_in_one_line(self) -> None:
        with self.runner() as runner:
            runner.submit([task(1, "raise"), task(2), task(3, "exit")])
            by_id = {e.candidate.id: e for e in collect(runner, 3)}
        assert [by_id[i].status for i in (1, 2, 3)] == [Status.FAILED, Status.OK, Status.FAILED]
        assert by_id[1].error.startswith("ValueError: the device is gone")
        assert Path(__file__).name in by_id[1].error
        assert "giving up" in by_id[3].error
        assert by_id[1].values == {}

    def test_a_refused_genome_is_infeasible(self) -> None:
        with self.runner() as runner:
            runner.submit([task(1, "refuse")])
            (evaluation,) = collect(runner, 1)
        assert evaluation.status is Status.INFEASIBLE
        assert evaluation.error == "too wide for the device"

    def test_wrong_results_are_failures_that_name_the_mistake(self) -> None:
        with self.runner() as runner:
            runner.submit(
                [task(i, a, ["value", "worker"]) for i, a in enumerate(WRONG_RESULTS)],
            )
            evaluations = collect(runner, len(WRONG_RESULTS))
        for evaluation in evaluations:
            _, named = WRONG_RESULTS[str(evaluation.candidate.genome["action"])]
            assert evaluation.status is Status.FAILED
            assert evaluation.values == {}
            assert named in evaluation.error

    def test_cancel_forgets_what_has_not_started(self) -> None:
        with self.runner() as runner:
            runner.submit([task(i) for i in range(50)])
            first = runner.wait()
            runner.cancel()
            rest = []
            while finished := runner.wait():
                rest.extend(finished)
            assert len(first) + len(rest) < 50
            runner.submit([task(100)])
            assert [e.candidate.id for e in collect(runner, 1)] == [100]

    def test_an_overrun_is_a_timeout_and_costs_nothing_else(self) -> None:
        with self.runner(timeout=0.3) as runner:
            runner.submit([task(1, "interruptible hang"), task(2), task(3)])
            by_id = {e.candidate.id: e for e in collect(runner, 3)}
        assert by_id[1].status is Status.TIMEOUT
        assert "0.3 s" in by_id[1].error
        assert by_id[2].status is by_id[3].status is Status.OK

    def test_a_slow_evaluation_does_not_hold_up_the_others(self) -> None:
        if self.workers == 1:
            raise SkipTest("one worker has nothing to hold up")
        with self.runner() as runner:
            runner.submit([task(0, "interruptible hang"), *(task(i) for i in range(1, 9))])
            assert {e.candidate.id for e in collect(runner, 8)} == set(range(1, 9))
            assert runner.wait(timeout=0.01) == []

    def test_a_dying_worker_costs_only_its_evaluation(self) -> None:
        if not self.isolates:
            raise SkipTest("a crash in this runner ends the search")
        actions = {3: "be killed", 5: "crash", 8: "leave"}
        with self.runner(retries=1) as runner:
            runner.submit([task(i, actions.get(i, "measure")) for i in range(12)])
            by_id = {e.candidate.id: e for e in collect(runner, 12)}
        for number, evaluation in by_id.items():
            assert evaluation.status is (Status.FAILED if number in actions else Status.OK)
            assert evaluation.attempts == (2 if number in actions else 1)
        assert "SIGKILL" in by_id[3].error
        assert "SIGSEGV" in by_id[5].error
        assert "exit code 3" in by_id[8].error

    def test_a_task_whose_worker_died_is_tried_again(self) -> None:
        if not self.isolates:
            raise SkipTest("a crash in this runner ends the search")
        with (
            tempfile.TemporaryDirectory() as directory,
            self.runner(Misbehaving(directory), retries=2) as runner,
        ):
            runner.submit([task(1, "die once")])
            (evaluation,) = collect(runner, 1)
        assert evaluation.status is Status.OK
        assert evaluation.attempts == 2

    def test_close_stops_at_once_and_may_be_called_twice(self) -> None:
        with self.runner() as runner:
            if self.workers > 1:
                runner.submit([task(0, "interruptible hang"), task(1)])
                assert [e.candidate.id for e in collect(runner, 1)] == [1]
            runner.close()
            assert runner.wait() == []
