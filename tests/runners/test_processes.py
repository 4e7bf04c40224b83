import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from evonas.errors import ProblemError, UsageError, WorkError
from evonas.records import Status
from evonas.runners.processes import ProcessRunner
from evonas.testing.runner import Misbehaving, RunnerSuite, collect, task


class TestProcessRunner(RunnerSuite):
    workers = 2

    def make_runner(self, problem, **options):
        return ProcessRunner(problem, **options)


class TestOneProcess(RunnerSuite):
    def make_runner(self, problem, **options):
        return ProcessRunner(problem, **options)


def is_alive(pid: int) -> bool:
    """Whether a process exists and has not ended (an unreaped one has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition) -> bool:
    """Poll a condition; generous, because it only ends early when all is well."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def worker_pids(evaluations):
    return {int(e.worker.rpartition(":")[2]) for e in evaluations}


class Local(Misbehaving):
    """Lives in a module that a worker cannot import."""


class Unpicklable(Misbehaving):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def refuse_to_load():
    raise ImportError("No module named 'camera'")


class FailsToLoad(Misbehaving):
    def __reduce__(self):
        return refuse_to_load, ()


class KillsItsWorker(Misbehaving):
    def __reduce__(self):
        return os._exit, (7,)


class Printing(Misbehaving):
    def evaluate(self, genome, metrics):
        print("this must not reach the command's output")
        return super().evaluate(genome, metrics)


class Forking(Misbehaving):
    """Leaves a process behind that holds the worker's connection open."""

    def evaluate(self, genome, metrics):
        if os.fork() == 0:
            time.sleep(600)
        os._exit(3)


class Threads(Misbehaving):
    def evaluate(self, genome, metrics):
        return {"value": float(os.environ["OMP_NUM_THREADS"])}


@pytest.mark.parametrize(
    "options", [{"workers": 0}, {"timeout": 0}, {"timeout": float("nan")}, {"retries": -1}]
)
def test_parameters_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options)).removesuffix("s")):
        ProcessRunner(Misbehaving(), **options)


@pytest.fixture
def make():
    """Make process runners that are closed in the end."""
    runners = []

    def make_runner(problem, **options):
        runners.append(ProcessRunner(problem, **options))
        return runners[-1]

    yield make_runner
    for runner in runners:
        runner.close()


def test_a_class_that_workers_cannot_import_travels_along(make):
    runner = make(Local())
    runner.submit([task(4)])
    assert collect(runner, 1)[0].values == {"value": 2.0}


def test_workers_persist_and_close_ends_them(make):
    runner = make(Misbehaving(), workers=2)
    runner.submit([task(i) for i in range(40)])
    pids = worker_pids(collect(runner, 40))
    assert len(pids) <= 2
    runner.submit([task(i, "interruptible hang") for i in range(2)])
    runner.wait(timeout=0.05)
    runner.close()
    assert not any(is_alive(pid) for pid in pids)


def test_an_idle_worker_that_dies_is_replaced(make):
    runner = make(Misbehaving())
    runner.submit([task(1)])
    (pid,) = worker_pids(collect(runner, 1))
    os.kill(pid, signal.SIGKILL)
    runner.submit([task(2)])
    (evaluation,) = collect(runner, 1)
    assert evaluation.status is Status.OK


def test_death_is_noticed_while_a_forked_process_holds_the_connection(make):
    runner = make(Forking(), retries=0)
    runner.submit([task(1)])
    (evaluation,) = collect(runner, 1)
    assert evaluation.status is Status.FAILED
    assert evaluation.error == "the worker ended with exit code 3"


def test_the_number_of_deaths_is_told(make):
    runner = make(Misbehaving())
    runner.submit([task(1, "be killed")])
    (evaluation,) = collect(runner, 1)
    assert evaluation.error == "the worker was killed by SIGKILL (out of memory?) 3 times"
    assert evaluation.attempts == 3


def test_what_does_not_pickle_is_refused_with_advice():
    with pytest.raises(ProblemError, match=r"Unpicklable.*lock.*serial"):
        ProcessRunner(Unpicklable())


def test_a_problem_that_does_not_load_ends_the_work(make):
    runner = make(FailsToLoad(), workers=2)
    runner.submit([task(1)])
    with pytest.raises(WorkError, match="cannot load the problem: ImportError: No module named"):
        runner.wait()


def test_workers_that_die_at_start_end_the_work(make):
    runner = make(KillsItsWorker(), workers=2)
    runner.submit([task(i) for i in range(5)])
    with pytest.raises(WorkError, match=r"cannot start.*exit code 7"):
        runner.wait()


def test_prints_of_an_evaluation_go_to_stderr(make, capfd):
    runner = make(Printing())
    runner.submit([task(1)])
    collect(runner, 1)
    runner.close()
    out, err = capfd.readouterr()
    assert out == ""
    assert "must not reach" in err


def test_workers_keep_to_one_thread_unless_told_otherwise(make, monkeypatch):
    for setting, expected in ((None, 1.0), ("3", 3.0)):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if setting:
            monkeypatch.setenv("OMP_NUM_THREADS", setting)
        runner = make(Threads())
        runner.submit([task(1)])
        assert collect(runner, 1)[0].values == {"value": expected}


def test_workers_end_with_a_parent_that_is_killed_and_need_no_main_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import subprocess, sys
            from evonas.testing.runner import Misbehaving, collect, task
            from evonas.runners.processes import ProcessRunner

            class Mine(Misbehaving):
                def evaluate(self, genome, metrics):
                    if genome["action"] == "leave":
                        child = subprocess.Popen(["sleep", "600"])
                        print(child.pid, file=sys.stderr, flush=True)
                        genome["action"] = "interruptible hang"
                    return super().evaluate(genome, metrics)

            runner = ProcessRunner(Mine(), workers=2)
            runner.submit([task(i) for i in range(20)])
            print(*{e.worker.rpartition(":")[2] for e in collect(runner, 20)}, flush=True)
            runner.submit([task(1, "leave")])
            runner.wait()
        """)
    )
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        pids.append(int(parent.stderr.readline()))  # the process that an evaluation started
        assert all(is_alive(pid) for pid in pids)
        parent.kill()
    assert wait_until(lambda: not any(is_alive(pid) for pid in pids))
