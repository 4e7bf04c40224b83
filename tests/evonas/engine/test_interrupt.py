"""Ctrl-C, once and twice."""

import math
import os
import signal

import pytest

import evonas
from evonas.problems.toy import Blocks
from tests.evonas.searches import OPTIONS, QUIET, FakeRunner, Fragile, fake, record


def test_ctrl_c_finishes_what_runs_and_resume_goes_on(uninterrupted, tmp_path):
    class Interrupted(FakeRunner):
        def evaluate(self, task):
            if self.left == math.inf and task.candidate.id == 25:
                os.kill(os.getpid(), signal.SIGINT)
            return super().evaluate(task)

    lines = []
    run = evonas.search(
        Fragile(), out=tmp_path / "run", runner=Interrupted, **(OPTIONS | {"report": lines.append})
    )
    assert run.status()["state"] == "stopped"
    assert run.status()["evaluated"] == 26
    assert any("Ctrl-C again" in line for line in lines)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    evonas.resume(tmp_path / "run", problem=Fragile(), runner=fake(), **QUIET)
    assert record(tmp_path / "run") == record(uninterrupted)


def test_ctrl_c_leaves_what_waits_for_a_shared_metric_to_a_later_session(tmp_path):
    class Shared(Blocks):
        metrics = tuple(
            evonas.Metric(metric.name, genes=["layers"] if number else None)
            for number, metric in enumerate(Blocks.metrics)
        )

        def evaluate(self, genome, metrics):
            full = {"layers": 1, "width": 1, "kernel": 3} | dict(genome)
            found = super().evaluate(full, metrics)
            shared = super().evaluate({**full, "width": 1, "kernel": 3}, metrics)
            names = [metric.name for metric in self.metrics]
            return {names[0]: found[names[0]], **{n: shared[n] for n in names[1:]}}

    class Interrupted(FakeRunner):
        def evaluate(self, task):
            if self.left == math.inf and task.candidate.id == 0:
                os.kill(os.getpid(), signal.SIGINT)
            return super().evaluate(task)

    options = {"evaluations": 40, "population": 20, "seed": 0, **QUIET}
    run = evonas.search(Shared(), out=tmp_path / "run", runner=Interrupted, **options)
    assert run.status()["state"] == "stopped"
    assert run.status()["evaluated"] == 1
    run = evonas.resume(tmp_path / "run", problem=Shared(), runner=fake(), **QUIET)
    assert run.status()["evaluated"] == 40


def test_ctrl_c_twice_stops_at_once_and_loses_nothing(uninterrupted, tmp_path):
    class Interrupted(FakeRunner):
        def evaluate(self, task):
            if task.candidate.id == 25:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
            return super().evaluate(task)

    with pytest.raises(KeyboardInterrupt):
        evonas.search(Fragile(), out=tmp_path / "run", runner=Interrupted, **OPTIONS)
    assert len(record(tmp_path / "run")[1]) == 25
    evonas.resume(tmp_path / "run", problem=Fragile(), runner=fake(), **QUIET)
    assert record(tmp_path / "run") == record(uninterrupted)
