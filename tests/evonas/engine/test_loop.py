"""The loop, its budget, what it remembers, and how it continues after any end."""

import math
import subprocess
import sys
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
from evonas.space import genome_key
from tests.evonas.searches import (
    OPTIONS,
    PLAIN,
    QUIET,
    SERIAL,
    Fragile,
    Power,
    fake,
    genomes,
    record,
)


def true_front(problem):
    """List the space and keep what nothing dominates."""
    names = [metric.name for metric in problem.metrics]
    evaluations = [
        Evaluation(Candidate(i, genome, 0), Status.OK, problem.evaluate(genome, names))
        for i, genome in enumerate(problem.space.enumerate())
    ]
    return Front.from_evaluations(problem.describe(), evaluations)


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
