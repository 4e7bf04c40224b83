"""The loop, its budget, what it remembers, and how it continues after any end."""

import fcntl
import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest

import evonas
from evonas import Evaluation, Status
from evonas.optimizers.nsga2 import NSGA2
from evonas.pareto import hypervolume
from evonas.problems.toy import ZDT1, BinhKorn, Blocks
from evonas.records import Candidate
from evonas.run.front import Front
from evonas.run.journal import TABLES, Journal
from evonas.run.lock import is_locked, take_lock
from evonas.space import genome_key

QUIET = {"report": lambda line: None}
PLAIN = {"surrogate": False, **QUIET}
SERIAL = {"runner": "serial", **PLAIN}


class Power(BaseException):
    """The power cable is pulled."""


class FakeRunner:
    """Evaluates in this process, hands back in any order, and may lose its power.

    Args:
        workers: How many finish between two calls of ``wait``, in a random order.
        die_after: Raise instead of handing back any more evaluations than this.
    """

    def __init__(self, problem, *, workers=1, die_after=math.inf, seed=0, **_):
        self.problem, self.workers, self.left = problem, workers, die_after
        self.queue, self.rng = [], random.Random(seed)

    def submit(self, tasks):
        self.queue += tasks

    def wait(self, timeout=None):
        running, self.queue = self.queue[: self.workers], self.queue[self.workers :]
        self.rng.shuffle(running)
        keep = self.rng.randint(1, len(running)) if running else 0
        self.queue = running[keep:] + self.queue
        finished = []
        for task in running[:keep]:
            if self.left <= 0:
                raise Power
            self.left -= 1
            finished.append(self.evaluate(task))
        return finished

    def evaluate(self, task):
        try:
            values = self.problem.evaluate(task.candidate.genome, task.metrics)
        except ValueError as error:
            return Evaluation(task.candidate, Status.FAILED, error=str(error))
        return Evaluation(task.candidate, Status.OK, {m: values[m] for m in task.metrics})

    def cancel(self):
        self.queue.clear()

    def close(self):
        self.queue.clear()


def fake(**options):
    return lambda problem, **given: FakeRunner(problem, **{**given, **options})


class Fragile(Blocks):
    """Blocks in which one width in six fails and wide designs are too slow."""

    constraints = (evonas.Constraint("operations", upper=1200),)

    def evaluate(self, genome, metrics):
        if genome["width"] % 6 == 5:
            raise ValueError("this width breaks")
        return super().evaluate(genome, metrics)


def true_front(problem):
    """List the space and keep what nothing dominates."""
    names = [metric.name for metric in problem.metrics]
    evaluations = [
        Evaluation(Candidate(i, genome, 0), Status.OK, problem.evaluate(genome, names))
        for i, genome in enumerate(problem.space.enumerate())
    ]
    return Front.from_evaluations(problem.describe(), evaluations)


def genomes(front):
    return sorted(genome_key(design.genes) for design in front.designs)


def test_an_enumerable_problem_is_solved_exactly():
    expected = true_front(Blocks())
    for seed in range(5):
        run = evonas.search(Blocks(), evaluations=10_000, seed=seed, **SERIAL)
        assert run.status()["state"] == "exhausted"
        assert run.status()["proposed"] == len(list(Blocks.space.enumerate()))
        assert genomes(run.front) == genomes(expected)


def test_half_of_the_space_is_enough_for_most_of_the_front():
    expected = set(genomes(true_front(Blocks())))
    found = []
    for seed in range(5):
        run = evonas.search(Blocks(), evaluations=198, population=20, seed=seed, **SERIAL)
        found.append(len(expected & set(genomes(run.front))) / len(expected))
    # Random sampling would find half of it.
    assert np.mean(found) > 0.65


def test_an_exhausted_space_is_said_to_be(capsys):
    run = evonas.search(Blocks(), evaluations=10_000, asynchronous=True, surrogate=False)
    assert "exhausted" in capsys.readouterr().out
    assert run.status()["evaluated"] == 396


def test_the_known_front_of_zdt1_is_approached():
    run = evonas.search(ZDT1(), evaluations=3000, seed=2, **SERIAL)
    points = run.front.to_frame()[["f1", "f2"]].to_numpy()
    # The true front's is 1.1^2 - integral of sqrt, 0.8767 (f2 = 1 - sqrt(f1), reference 1.1).
    assert hypervolume(points, np.array([1.1, 1.1])) > 0.86
    assert (points[:, 1] >= 1 - np.sqrt(points[:, 0]) - 1e-12).all()


def test_constraints_keep_designs_off_the_front():
    run = evonas.search(BinhKorn(), evaluations=1200, seed=0, **SERIAL)
    frame = run.front.to_frame()
    assert (frame["g1"] <= 25).all()
    assert (frame["g2"] >= 7.7).all()
    assert run.status()["infeasible"] > 0
    # On the true front y = min(x, 3): the found one lies near it.
    assert (frame["y"] - frame["x"].clip(upper=3)).abs().median() < 0.25


@pytest.mark.parametrize("asynchronous", [False, True])
def test_evaluations_limit_the_search_exactly(asynchronous):
    for count in (1, 39, 41, 90):
        run = evonas.search(
            ZDT1(), evaluations=count, asynchronous=asynchronous, runner=fake(workers=4), **PLAIN
        )
        assert run.status()["evaluated"] == run.status()["proposed"] == count
        assert run.status()["state"] == "finished"


def test_generations_are_a_population_and_then_offspring():
    run = evonas.search(ZDT1(), generations=4, population=10, offspring=3, **SERIAL)
    assert run.status()["evaluated"] == 10 + 3 * 3


def test_one_offspring_is_the_steady_state():
    run = evonas.search(ZDT1(), evaluations=60, population=10, offspring=1, **SERIAL)
    assert run.status()["evaluated"] == 60


def test_seconds_limit_the_search_and_what_runs_is_finished():
    class Slow(ZDT1):
        def evaluate(self, genome, metrics):
            time.sleep(0.02)
            return super().evaluate(genome, metrics)

    run = evonas.search(Slow(), seconds=0.3, **SERIAL)
    assert run.status()["state"] == "finished"
    assert 0 < run.status()["evaluated"] < 200


def test_seconds_count_over_all_sessions(tmp_path):
    class Slow(ZDT1):
        def evaluate(self, genome, metrics):
            time.sleep(0.02)
            return super().evaluate(genome, metrics)

    run = evonas.search(Slow(), seconds=0.3, out=tmp_path / "run", **SERIAL)
    evaluated = run.status()["evaluated"]
    # All of it was used within the first batch.
    assert evaluated < 40
    again = evonas.resume(tmp_path / "run", problem=Slow(), **QUIET)
    assert again.status()["evaluated"] == evaluated
    longer = evonas.resume(tmp_path / "run", problem=Slow(), seconds=30, evaluations=41, **QUIET)
    assert longer.status()["evaluated"] == 41


def test_nothing_is_measured_twice():
    calls = Counter()

    class Counting(Blocks):
        def evaluate(self, genome, metrics):
            for metric in metrics:
                calls[metric, genome_key(self.memory_key(metric, genome))] += 1
            return super().evaluate(genome, metrics)

    for runner in (fake(workers=1), fake(workers=8)):
        calls.clear()
        run = evonas.search(Counting(), evaluations=300, runner=runner, **PLAIN)
        assert set(calls.values()) == {1}
        measured = Counter(metric for metric, _ in calls)
        assert measured["error"] == 300
        # operations depend on 3 of the 5 genes only: 4 x 12 x 3 values.
        assert measured["operations"] <= 144
        assert all(set(d.metrics) == {"error", "operations"} for d in run.front.designs)


def test_a_failure_is_counted_and_never_told():
    told = []

    class Spy(NSGA2):
        def tell(self, evaluations):
            told.extend(evaluations)
            super().tell(evaluations)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evonas.engine.api.NSGA2", Spy)
        run = evonas.search(Fragile(), evaluations=200, runner=fake(), **PLAIN)
    status = run.status()
    assert status["failed"] > 0
    assert status["infeasible"] > 0
    assert all(e.status in (Status.OK, Status.INFEASIBLE) for e in told)
    assert all(math.isfinite(v) for e in told for v in e.values.values())
    assert all(d.genes["width"] % 6 != 5 for d in run.front.designs)


def test_a_search_in_which_everything_fails_ends():
    class Broken(Blocks):
        def evaluate(self, genome, metrics):
            raise ValueError("no")

    run = evonas.search(Broken(), evaluations=100, runner=fake(), **PLAIN)
    assert run.status()["failed"] == 100
    assert len(run.front) == 0
    assert run.status()["hypervolume"] == 0.0


OPTIONS = {"evaluations": 60, "population": 12, "offspring": 10, "seed": 4, **PLAIN}


def record(directory):
    """Everything that a search decided and found, in the order of proposal."""
    with Journal.read(directory) as journal:
        evaluations = sorted(journal.evaluations(), key=lambda e: e.candidate.id)
        return (
            journal.candidates(),
            [(e.candidate.id, e.status, dict(e.values)) for e in evaluations],
        )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("uninterrupted") / "run"
    evonas.search(Fragile(), out=directory, runner=fake(), **OPTIONS)
    return directory


@pytest.mark.parametrize("workers", [2, 3, 8, 100])
def test_the_number_of_workers_does_not_matter(uninterrupted, tmp_path, workers):
    evonas.search(
        Fragile(), out=tmp_path / "run", runner=fake(seed=workers), workers=workers, **OPTIONS
    )
    assert record(tmp_path / "run") == record(uninterrupted)


@pytest.mark.parametrize(("workers", "step"), [(1, 1), (4, 7)])
def test_killed_after_any_evaluation_it_resumes_to_the_same_end(
    uninterrupted, tmp_path, workers, step
):
    expected = record(uninterrupted)
    for survived in range(0, 60, step):
        out = tmp_path / str(survived)
        dying = fake(die_after=survived, seed=survived)
        with pytest.raises(Power):
            evonas.search(Fragile(), out=out, runner=dying, workers=workers, **OPTIONS)
        assert evonas.Run.open(out).status()["state"] == "interrupted"
        evonas.resume(out, problem=Fragile(), runner=fake(seed=survived), **QUIET)
        assert record(out) == expected


def test_killed_again_and_again_it_still_ends_the_same(uninterrupted, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Power):
        evonas.search(Fragile(), out=out, runner=fake(die_after=0), **OPTIONS)
    for _ in range(200):
        try:
            evonas.resume(out, problem=Fragile(), runner=fake(die_after=1), **QUIET)
            break
        except Power:
            continue
    assert record(out) == record(uninterrupted)


def test_a_search_stopped_by_its_budget_resumes_with_a_larger_one(tmp_path):
    options = OPTIONS | {"evaluations": 32}  # the end of a batch: 12 + 10 + 10
    evonas.search(Fragile(), out=tmp_path / "short", runner=fake(), **options)
    evonas.resume(tmp_path / "short", problem=Fragile(), evaluations=60, runner=fake(), **QUIET)
    evonas.search(Fragile(), out=tmp_path / "long", runner=fake(), **OPTIONS)
    assert record(tmp_path / "short") == record(tmp_path / "long")


def test_an_asynchronous_search_keeps_every_committed_evaluation(tmp_path):
    for survived in range(0, 60, 7):
        out = tmp_path / str(survived)
        options = OPTIONS | {"asynchronous": True, "workers": 5}
        with pytest.raises(Power):
            evonas.search(Fragile(), out=out, runner=fake(die_after=survived), **options)
        before = record(out)
        run = evonas.resume(out, problem=Fragile(), runner=fake(), **QUIET)
        candidates, evaluations = record(out)
        assert run.status()["evaluated"] == 60
        assert candidates[: len(before[0])] == before[0]
        assert all(evaluation in evaluations for evaluation in before[1])


@pytest.mark.slow
def test_killed_by_the_system_it_resumes_to_the_same_end(tmp_path):
    program = (
        "import sys, time, evonas\n"
        "from evonas.problems.toy import Blocks\n"
        "class Slow(Blocks):\n"
        "    def evaluate(self, genome, metrics):\n"
        "        time.sleep(0.01)\n"
        "        return super().evaluate(genome, metrics)\n"
        "if __name__ == '__main__':\n"
        "    evonas.search(Slow(), evaluations=150, population=20, out=sys.argv[1],\n"
        "        surrogate=False, runner=sys.argv[2], workers=int(sys.argv[3]),\n"
        "        report=lambda line: None)\n"
    )
    evonas.search(Blocks(), evaluations=150, population=20, out=tmp_path / "whole", **SERIAL)
    for runner, workers in (("serial", 1), ("processes", 2)):
        out = tmp_path / runner
        process = subprocess.Popen([sys.executable, "-c", program, out, runner, str(workers)])
        deadline = time.monotonic() + 60
        while not out.joinpath("journal.sqlite").exists() or not record_size(out):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
        process.wait()
        assert 0 < record_size(out) < 150
        evonas.resume(out, problem=Blocks(), runner="serial", workers=1, **QUIET)
        assert record(out) == record(tmp_path / "whole")


def record_size(directory):
    try:
        return len(record(directory)[1])
    except evonas.RunError:
        return 0


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


def test_a_full_disk_is_said_in_a_sentence_and_the_run_goes_on_later(uninterrupted, tmp_path):
    class DiskFills(FakeRunner):
        def evaluate(self, task):
            if task.candidate.id == 25:
                connection = journals[0]._connection
                pages = connection.execute("PRAGMA page_count").fetchone()[0]
                connection.execute(f"PRAGMA max_page_count = {pages}")
            return super().evaluate(task)

    journals = []
    create = Journal.create.__func__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Journal,
            "create",
            classmethod(lambda *args: journals.append(create(*args)) or journals[-1]),
        )
        with pytest.raises(evonas.WorkError, match=r"cannot be written .*full.* resume"):
            evonas.search(Fragile(), out=tmp_path / "run", runner=DiskFills, **OPTIONS)
    assert len(record(tmp_path / "run")[1]) >= 25
    evonas.resume(tmp_path / "run", problem=Fragile(), runner=fake(), **QUIET)
    assert record(tmp_path / "run") == record(uninterrupted)


def test_a_disk_that_is_full_at_the_start_costs_no_run(tmp_path, monkeypatch):
    evonas.search(Blocks(), evaluations=20, out=tmp_path / "run", **SERIAL)
    before = record(tmp_path / "run")
    monkeypatch.setattr("evonas.run.journal.TABLES", f"PRAGMA max_page_count = 3; {TABLES}")
    with pytest.raises(evonas.WorkError, match=r"no journal can be written .*full.*make room"):
        evonas.search(Blocks(), evaluations=20, out=tmp_path / "run", overwrite=True, **SERIAL)
    assert record(tmp_path / "run") == before


def test_a_second_search_on_the_same_run_is_refused_by_name(tmp_path):
    class Meddling(FakeRunner):
        def evaluate(self, task):
            for attempt in (
                lambda: evonas.resume(tmp_path / "run", problem=Blocks(), **QUIET),
                lambda: evonas.search(Blocks(), out=tmp_path / "run", **SERIAL),
            ):
                with pytest.raises(evonas.RunLockedError, match=f"process {os.getpid()} on"):
                    attempt()
            assert evonas.Run.open(tmp_path / "run").status()["state"] == "running"
            return super().evaluate(task)

    evonas.search(Blocks(), evaluations=2, out=tmp_path / "run", runner=Meddling, **PLAIN)
    with pytest.raises(evonas.RunError, match="holds a run already"):
        evonas.search(Blocks(), out=tmp_path / "run", **SERIAL)


def test_a_changed_problem_is_not_resumed(uninterrupted, tmp_path):
    evonas.search(Fragile(), out=tmp_path / "run", runner=fake(), **OPTIONS)
    with pytest.raises(evonas.RunError, match="the constraints of problem 'Fragile' changed"):
        evonas.resume(tmp_path / "run", problem=Blocks(), **QUIET)
    with pytest.raises(evonas.RunError, match=r"evonas\.resume\(directory, problem=\.\.\.\)"):
        evonas.resume(tmp_path / "run", **QUIET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evaluations": 0}, "evaluations is 0; it must be at least 1"),
        ({"seconds": -1.0}, "seconds is -1.0; it must be more than 0"),
        ({"generations": 0}, "generations is 0"),
        ({"evaluation": 5}, "unknown parameter 'evaluation'; did you mean 'evaluations'"),
        ({"address": "auto"}, "address is for the runner 'ray', not 'serial'"),
        ({"population": 1}, "population is 1"),
        ({"offspring": 0}, "offspring is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"timeout": 0}, "timeout is 0"),
        ({"runner": "serail"}, "unknown runner 'serail'; did you mean 'serial'"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(evonas.UsageError, match=message):
        evonas.search(Blocks(), out=tmp_path / "run", **(SERIAL | options))
    assert not (tmp_path / "run").exists()


def test_a_run_in_memory_has_a_front_and_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = evonas.search(Blocks(), evaluations=50, **SERIAL)
    assert len(run.front) > 3
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(evonas.UsageError, match="in memory"):
        run.export(["csv"])


def test_the_manifest_says_how_the_run_was_made(tmp_path):
    evonas.search(Blocks(), evaluations=5, seed=7, out=tmp_path / "run", **SERIAL)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["seed"] == 7
    assert manifest["versions"]["pymoo"]
    assert manifest["host"]["name"]


def test_final_metrics_are_measured_for_the_front_alone(tmp_path):
    scored = []

    class Final(Blocks):
        final_metrics = (evonas.Metric("test_error", "%"),)

        def final(self, genome):
            scored.append(genome_key(genome))
            return {"test_error": 1.5}

    run = evonas.search(Final(), evaluations=60, out=tmp_path / "run", **SERIAL)
    assert sorted(scored) == genomes(run.front)
    assert (run.front.to_frame()["test_error"] == 1.5).all()
    evonas.resume(tmp_path / "run", problem=Final(), **QUIET)
    assert len(scored) == len(run.front)


def test_a_run_is_replaced_only_by_one_that_is_ready_to_begin(tmp_path):
    class Unready(Blocks):
        def prepare(self, report):
            raise Power

    directory = tmp_path / "run"
    evonas.search(Blocks(), evaluations=20, out=directory, **SERIAL)
    before = record(directory)
    for problem, error, options in (
        (Unready(), Power, {}),
        (Blocks(), evonas.UsageError, {"population": 1}),
        (Blocks(), evonas.UsageError, {"workers": 0}),
        (Blocks(), evonas.UsageError, {"seed": -1}),
        (Blocks(), evonas.UsageError, {"options": {"since": {1}}}),
    ):
        with pytest.raises(error):
            evonas.search(problem, out=directory, overwrite=True, **options, **SERIAL)
        assert record(directory) == before
    with pytest.raises(evonas.RunError, match="holds a run already"):
        evonas.search(Blocks(), evaluations=20, seed=1, out=directory, **SERIAL)
    files = {"notes.txt": "mine"}
    evonas.search(
        Blocks(), evaluations=20, seed=1, out=directory, overwrite=True, files=files, **SERIAL
    )
    assert record(directory) != before
    assert (directory / "notes.txt").read_text() == "mine"


def test_a_file_is_no_directory_for_a_run(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(evonas.RunError, match="cannot be made: File exists"):
        evonas.search(Blocks(), out=tmp_path / "file", **SERIAL)


def test_what_was_there_before_a_first_run_is_not_removed(tmp_path):
    (tmp_path / "models").mkdir()
    mine = [tmp_path / "models" / "weights.pt", tmp_path / "config.yaml", tmp_path / "front.csv"]
    for path in mine:
        path.write_text("mine")
    evonas.search(Blocks(), evaluations=5, out=tmp_path, **SERIAL)
    assert [path.read_text() for path in mine] == ["mine"] * 3


def test_a_run_stays_until_all_else_is_done_to_replace_it(tmp_path, monkeypatch):
    directory = tmp_path / "run"
    evonas.search(Blocks(), evaluations=20, out=directory, **SERIAL).export(["csv"])
    (directory / "models").mkdir()
    before = record(directory)

    def stop(*_):
        raise Power

    for place in ("evonas.run.journal._fill", "evonas.run.layout.shutil.rmtree"):
        with monkeypatch.context() as patch:
            patch.setattr(place, stop)
            with pytest.raises(Power):
                evonas.search(Blocks(), evaluations=9, out=directory, overwrite=True, **SERIAL)
        assert record(directory) == before
    run = evonas.search(Blocks(), evaluations=9, out=directory, overwrite=True, **SERIAL)
    assert run.status()["evaluated"] == 9
    assert not (directory / "models").exists()


def test_a_second_search_is_refused_while_the_first_prepares(tmp_path):
    class Second(Blocks):
        def prepare(self, report):
            with pytest.raises(evonas.RunLockedError, match=f"written by process {os.getpid()}"):
                evonas.search(Blocks(), evaluations=20, out=tmp_path / "run", **SERIAL)

    run = evonas.search(Second(), evaluations=20, out=tmp_path / "run", **SERIAL)
    assert run.status()["evaluated"] == 20


def test_a_run_that_may_only_be_read_can_be_looked_at(tmp_path, monkeypatch):
    directory = tmp_path / "run"
    evonas.search(Blocks(), evaluations=20, out=directory, **SERIAL)._journal.close()
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    connect = sqlite3.connect

    def readable(name, **options):
        assert "immutable=1" in str(name)
        return connect(name, **options)

    # As root everything may be written, whatever the modes say.
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    monkeypatch.setattr("sqlite3.connect", readable)
    with evonas.Run.open(directory)._journal as journal:
        assert len(journal.evaluations()) == 20
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_looking_whether_a_run_is_locked_does_not_lock_it(tmp_path):
    with take_lock(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(evonas.RunLockedError):
            take_lock(tmp_path)
    assert not is_locked(tmp_path)
    assert not is_locked(tmp_path / "missing")
    with (tmp_path / "journal.lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        freed = threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN))
        freed.start()
        take_lock(tmp_path).close()
        freed.join()


def test_a_lock_that_its_holder_removed_locks_nothing(tmp_path):
    held = take_lock(tmp_path)

    def remove():
        (tmp_path / "journal.lock").unlink()
        held.close()

    removed = threading.Timer(0.05, remove)
    removed.start()
    with take_lock(tmp_path):
        removed.join()
        assert is_locked(tmp_path)
    with pytest.raises(evonas.RunError, match="cannot be written: No such file"):
        take_lock(tmp_path / "missing")
