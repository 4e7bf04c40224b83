"""Searches with a surrogate: what it spares, and how they continue."""

import numpy as np
import pytest

import evonas
from evonas import Evaluation, Status
from evonas.problems.toy import ZDT1, Blocks
from evonas.records import Decision
from evonas.run.journal import Journal
from evonas.space import genome_key
from evonas.surrogates.metric_models import MetricModels

QUIET = {"report": lambda line: None}


OPTIONS = {"evaluations": 44, "offspring": 8, "seed": 3, "surrogate": "default", **QUIET}


class Power(BaseException):
    """The power cable is pulled."""


def dying_runner(after, workers=1):
    """Hand back ``workers`` evaluations at a time, the last first, and raise after some."""

    class Runner:
        left = after

        def __init__(self, problem, **_):
            self.problem, self.queue, self.workers = problem, [], workers

        def submit(self, tasks):
            self.queue += tasks

        def wait(self, timeout=None):
            if self.queue and Runner.left <= 0:
                raise Power
            running, self.queue = self.queue[:workers], self.queue[workers:]
            Runner.left -= len(running)
            return [self.evaluate(task) for task in reversed(running)]

        def evaluate(self, task):
            try:
                values = self.problem.evaluate(task.candidate.genome, task.metrics)
            except MemoryError:
                return Evaluation(task.candidate, Status.FAILED, {})
            return Evaluation(task.candidate, Status.OK, values)

        def cancel(self):
            self.queue.clear()

        close = cancel

    return Runner


def record(directory):
    with Journal.read(directory) as journal:
        values = {e.candidate.id: dict(e.values) for e in journal.evaluations()}
        return journal.candidates(), sorted(values.items())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("uninterrupted") / "run"
    evonas.search(Blocks(), out=directory, **OPTIONS)
    return directory


@pytest.mark.parametrize("survived", [0, 5, 20, 21, 28, 41])
def test_killed_at_any_moment_it_resumes_to_the_same_end(uninterrupted, tmp_path, survived):
    with pytest.raises(Power):
        evonas.search(Blocks(), out=tmp_path / "run", runner=dying_runner(survived, 3), **OPTIONS)
    evonas.resume(tmp_path / "run", problem=Blocks(), runner="serial", **QUIET)
    assert record(tmp_path / "run") == record(uninterrupted)


def test_the_number_of_workers_does_not_matter(uninterrupted, tmp_path):
    runner = dying_runner(1000, workers=5)
    evonas.search(Blocks(), out=tmp_path / "run", runner=runner, workers=5, **OPTIONS)
    assert record(tmp_path / "run") == record(uninterrupted)


def test_status_gives_the_hypervolume_that_the_search_showed():
    class Watch:
        def update(self, progress):
            shown.append(progress)

    shown = []
    run = evonas.search(Blocks(), observer=Watch(), **OPTIONS)
    assert shown[-1].state == "finished"
    assert run.status()["hypervolume"] == shown[-1].hypervolume > 0


def test_an_asynchronous_search_uses_its_budget_exactly():
    options = OPTIONS | {"asynchronous": True, "workers": 4, "seed": 1, "evaluations": 130}
    run = evonas.search(Blocks(), runner=dying_runner(1000, workers=4), **options)
    assert run.status()["evaluated"] == 130
    # By then the surrogate is certain of some, whatever the seed.
    assert run.status()["pruned"] > 0


@pytest.mark.parametrize(("workers", "expected"), [(1, 5), (2, 5), (7, 7)])
def test_a_batch_keeps_all_workers_busy(workers, expected, tmp_path):
    count = 20 + 2 * expected
    runner = dying_runner(1000, workers)
    evonas.search(Blocks(), evaluations=count, runner=runner, out=tmp_path / "run", **QUIET)
    candidates, _ = record(tmp_path / "run")
    let_through = [c.batch for c, v in candidates if v.decision is not Decision.PRUNE]
    assert let_through == [0] * 20 + [1] * expected + [2] * expected


class Tied(evonas.Problem):
    """A front whose members tie in one objective, in a unit of choice."""

    space = evonas.Space(evonas.Integer("x", 0, 30), evonas.Integer("y", 0, 30))
    metrics = (evonas.Metric("left"), evonas.Metric("right"), evonas.Metric("bytes"))
    objectives = tuple(evonas.Objective(metric.name) for metric in metrics)

    def __init__(self, unit):
        self.unit = unit

    def evaluate(self, genome, metrics):
        x, y = genome["x"], genome["y"]
        rough = (x * 7 + y * 11) % 5
        return {"left": x + rough * y, "right": 30 - x + y, "bytes": self.unit * (1.0 + y)}


def test_the_unit_of_an_objective_that_a_front_ties_in_does_not_matter(tmp_path):
    found = []
    for unit in (1.0, 2.0**20):
        out = tmp_path / str(unit)
        evonas.search(Tied(unit), evaluations=60, surrogate="default", out=out, **QUIET)
        found.append(
            [dict(c.genome) for c, v in record(out)[0] if v.decision is not Decision.PRUNE]
        )
    assert found[0] == found[1]


def test_a_search_goes_on_as_long_as_no_design_is_feasible():
    problem = Tied(1.0)
    problem.constraints = (evonas.Constraint("bytes", upper=0.5),)
    found = evonas.search(problem, evaluations=40, surrogate="default", **QUIET).status()
    assert (found["evaluated"], found["front_size"]) == (40, 0)


def test_a_surrogate_of_ones_own_must_be_given_again(tmp_path):
    options = OPTIONS | {"surrogate": MetricModels, "evaluations": 24}
    evonas.search(Blocks(), out=tmp_path / "run", **options)
    with pytest.raises(evonas.RunError, match=r"surrogate of its own; pass it to resume"):
        evonas.resume(tmp_path / "run", problem=Blocks(), evaluations=30, **QUIET)
    again = {"surrogate": MetricModels, "evaluations": 30, **QUIET}
    run = evonas.resume(tmp_path / "run", problem=Blocks(), **again)
    assert run.status()["evaluated"] == 30


def test_an_unknown_surrogate_is_named():
    with pytest.raises(evonas.PluginError, match="unknown surrogate 'defualt'; did you mean"):
        evonas.search(Blocks(), surrogate="defualt", **QUIET)


def test_every_verdict_has_a_reason_and_predictions_come_before_values(uninterrupted):
    candidates, values = record(uninterrupted)
    evaluated = [c for c, v in candidates if v.decision is not Decision.PRUNE]
    assert len(evaluated) == len(values) == 44
    # A design is evaluated once, and pruned once at most.
    for wanted in (True, False):
        keys = [
            genome_key(c.genome) for c, v in candidates if (v.decision is Decision.PRUNE) == wanted
        ]
        assert len(keys) == len(set(keys))
    for candidate, verdict in candidates:
        assert verdict.reason
        assert bool(verdict.predictions) == (candidate.batch > 0) or "known" in verdict.reason
        if verdict.decision is Decision.PRUNE and "known" not in verdict.reason:
            assert float(verdict.reason.split()[-1]) > 0.969


def test_an_enumerable_space_is_exhausted_with_a_surrogate_too():
    class Small(Blocks):
        space = evonas.Space(evonas.Integer("layers", 1, 2), *Blocks.space.genes[1:3])

        def evaluate(self, genome, metrics):
            return super().evaluate({**genome, "late_kernel": 3}, metrics)

    run = evonas.search(Small(), evaluations=1000, surrogate="default", offspring=40, **QUIET)
    assert run.status()["state"] == "exhausted"
    assert run.status()["evaluated"] == 2 * 12 * 3


def hypervolume(problem, seed, surrogate, evaluations):
    """Relative to a reference of its own, so that two runs can be compared."""
    options = {"evaluations": evaluations, "seed": seed, **QUIET}
    front = evonas.search(problem, surrogate=surrogate, **options).front.to_frame()
    costs = front[[o.metric for o in problem.objectives]].to_numpy()
    return evonas.pareto.hypervolume(costs, np.array([o.reference for o in problem.objectives]))


def test_it_spares_more_than_half_on_a_smooth_problem():
    class Sphere(ZDT1):
        space = evonas.Space(*ZDT1.space.genes[:5])

        def evaluate(self, genome, metrics):
            x = np.array([genome[f"x{i}"] for i in range(5)])
            return {"f1": np.square(x).mean(), "f2": np.square(x - 1).mean()}

    for seed in range(2):
        spared = hypervolume(Sphere(), seed, "default", 60)
        assert spared > hypervolume(Sphere(), seed, None, 150)


@pytest.mark.slow
def test_random_values_are_searched_no_worse_than_without_a_surrogate():
    class Noise(Blocks):
        objectives = (
            evonas.Objective("error", reference=1),
            evonas.Objective("operations", reference=1),
        )
        metrics = (evonas.Metric("error"), evonas.Metric("operations"))

        def evaluate(self, genome, metrics):
            values = np.random.default_rng(list(genome_key(genome).encode())).random(2)
            return dict(zip(("error", "operations"), values, strict=True))

    mean = {
        surrogate: np.mean([hypervolume(Noise(), seed, surrogate, 50) for seed in range(3)])
        for surrogate in ("default", None)
    }
    assert mean["default"] > mean[None] - 0.05


def test_what_is_pruned_and_evaluated_in_the_end_is_not_called_spared(tmp_path):
    class Together(evonas.Problem):
        """Two costs that rise together: one design dominates all others."""

        space = evonas.Space(evonas.Integer("x", 1, 10), evonas.Integer("y", 1, 10))
        metrics = (evonas.Metric("cost"), evonas.Metric("size"))
        objectives = (evonas.Objective("cost"), evonas.Objective("size"))

        def evaluate(self, genome, metrics):
            return {"cost": float(genome["x"] + genome["y"]), "size": 2.0 * genome["x"] + 1}

    run = evonas.search(
        Together(), evaluations=200, surrogate="default", workers=1, out=tmp_path / "run", **QUIET
    )
    with Journal.read(tmp_path / "run") as journal:
        decisions = [verdict.decision for _, verdict in journal.candidates()]
    assert Decision.PRUNE in decisions
    status = run.status()
    assert status["state"] == "exhausted"
    assert (status["proposed"], status["evaluated"], status["pruned"]) == (100, 100, 0)
    assert status["spared_share"] == 0


class OutOfMemory(evonas.Problem):
    """What would be best needs more memory than there is."""

    space = evonas.Space(evonas.Integer("depth", 1, 30), evonas.Integer("width", 1, 30))
    metrics = (evonas.Metric("cost"), evonas.Metric("error"))
    objectives = (evonas.Objective("cost"), evonas.Objective("error"))

    def evaluate(self, genome, metrics):
        size = genome["depth"] * genome["width"]
        if size > 200:
            raise MemoryError("out of memory")
        return {"cost": float(size), "error": 1000.0 / (size + 10) + 0.1 * genome["depth"]}


def test_a_search_learns_where_evaluations_fail():
    failed, sizes = [], []
    for surrogate in ("default", None):
        run = evonas.search(OutOfMemory(), evaluations=100, surrogate=surrogate, seed=0, **QUIET)
        failed.append(run.status()["failed"])
        sizes.append(len(run.front.designs))
    assert failed[0] <= failed[1]
    assert sizes[0] > sizes[1]


def test_killed_where_evaluations_fail_it_resumes_to_the_same_end(tmp_path):
    whole = evonas.search(OutOfMemory(), out=tmp_path / "whole", **OPTIONS)
    assert whole.status()["failed"] > 0
    for survived in (22, 33):
        out = tmp_path / str(survived)
        with pytest.raises(Power):
            evonas.search(OutOfMemory(), out=out, runner=dying_runner(survived, 3), **OPTIONS)
        evonas.resume(out, problem=OutOfMemory(), runner="serial", **QUIET)
        assert record(out) == record(tmp_path / "whole")
