"""Searches with a surrogate: what is pruned, what it spares, and how they continue."""

import json

import numpy as np
import pytest

import evonas
from evonas import Evaluation, Status
from evonas.acquisition.gate import SurrogateGate
from evonas.acquisition.posterior import PosteriorModel
from evonas.optimizers.lookahead import LookAhead, extremes, neighbours, opening_designs
from evonas.problems.toy import ZDT1, BinhKorn, Blocks
from evonas.records import Candidate, Decision, Prediction, Verdict
from evonas.run.diagnostics import surrogate_report
from evonas.run.journal import Journal
from evonas.space import Choice, Space, genome_key
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


class Told:
    """A surrogate that predicts what a function says, with a deviation of 0.01."""

    def __init__(self, function):
        self.function, self.fitted = function, []

    def initial_design(self, genomes, n):
        return range(n)

    def fit(self, genomes, values):
        self.fitted.append({name: len(column) for name, column in values.items()})

    def predict(self, genomes, metrics):
        values = [self.function(genome) for genome in genomes]
        return {m: (np.array([v[m] for v in values]), np.full(len(values), 0.01)) for m in metrics}


class Same(Told):
    """A surrogate that predicts the same mean and deviation of a metric for every design."""

    def __init__(self, **predictions):
        super().__init__(None)
        self.predictions = predictions

    def predict(self, genomes, metrics):
        n = len(genomes)
        return {m: tuple(np.full(n, value) for value in self.predictions[m]) for m in metrics}


class Cheap(Blocks):
    """Blocks of which one metric is computed rather than predicted."""

    metrics = (evonas.Metric("error"), evonas.Metric("operations", expensive=False))


def predicted(evaluations, off=0.0):
    """What a gate let through, each metric predicted some deviations of 0.01 off."""
    return [
        (
            e.candidate.genome,
            Verdict(
                Decision.EVALUATE,
                "",
                {m: Prediction(v + 0.01 * off, 0.01) for m, v in e.values.items()},
            ),
        )
        for e in evaluations
    ]


def observed(problem, surrogate, n=40, audits=0.0, off=0.0):
    """A gate that has predicted some random designs, and then seen them."""
    model = PosteriorModel(problem, surrogate)
    gate = SurrogateGate(problem, model, audits=audits, seed=1)
    names = [metric.name for metric in problem.metrics]
    codes = problem.space.sample(n, np.random.default_rng(0))
    genomes = {genome_key(g): g for g in map(problem.space.decode, codes)}
    evaluations = [
        Evaluation(Candidate(i, g, 0), Status.OK, problem.evaluate(g, names))
        for i, g in enumerate(genomes.values())
    ]
    gate.resume(predicted(evaluations, off))
    gate.observe(evaluations)
    unseen = [g for g in problem.space.enumerate() if genome_key(g) not in genomes]
    return model, gate, unseen


def pruned(verdicts):
    return [v is not None and v.decision is Decision.PRUNE for v in verdicts]


def test_nothing_is_pruned_before_enough_was_predicted():
    problem = Blocks()
    names = [metric.name for metric in problem.metrics]
    told = Told(lambda g: problem.evaluate(g, names))
    _, few, unseen = observed(problem, told, n=32)
    assert not any(pruned(few.judge(unseen, 5)))
    _, enough, unseen = observed(problem, told, n=36)
    assert any(pruned(enough.judge(unseen, 5)))


def test_what_was_predicted_badly_makes_pruning_cautious():
    problem = Blocks()
    names = [metric.name for metric in problem.metrics]
    shares = []
    for off in (0.0, 10.0, 1000.0):
        _, gate, unseen = observed(problem, Told(lambda g: problem.evaluate(g, names)), off=off)
        shares.append(np.mean(pruned(gate.judge(unseen, 5))))
    assert shares[0] > 1.1 * shares[1] > 0
    assert shares[2] == 0


def test_a_good_surrogate_prunes_exactly_what_is_dominated():
    problem = Blocks()
    names = [metric.name for metric in problem.metrics]
    model, gate, unseen = observed(problem, Told(lambda g: problem.evaluate(g, names)))
    front = model.costs(model.front())
    for genome, verdict in zip(unseen, gate.judge(unseen, 5), strict=True):
        cost = np.array(list(problem.evaluate(genome, names).values()))
        clearly = ((front <= cost - 0.05).all(axis=1)).any()
        possibly = ((front <= cost + 0.05).all(axis=1)).any()
        if verdict is not None and verdict.decision is Decision.PRUNE:
            assert possibly
        elif clearly:
            assert verdict is None or "audit" in verdict.reason


class Corner(evonas.Problem):
    """A cost that rises with a gene from nothing, and an error that falls with it."""

    space = evonas.Space(evonas.Integer("size", 0, 40))
    metrics = (evonas.Metric("cost"), evonas.Metric("error"))
    objectives = (evonas.Objective("cost"), evonas.Objective("error"))
    shift = 0.0

    def evaluate(self, genome, metrics):
        size = genome["size"]
        return {"cost": float(size) - self.shift, "error": 50.0 - size}


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_what_was_never_negative_is_not_hoped_to_be(shift):
    problem = Corner()
    problem.shift = shift
    model = PosteriorModel(problem, Same(cost=(-1.0, 5.0), error=(50.0, 0.01)))
    gate = SurrogateGate(problem, model, audits=0.0)
    designs = [{"size": size} for size in (0, *range(20, 40))]
    gate.observe(
        [
            Evaluation(Candidate(i, g, 0), Status.OK, problem.evaluate(g, ["cost", "error"]))
            for i, g in enumerate(designs)
        ]
    )
    assert model.least_costs().tolist() == [0.0 if shift == 0 else -np.inf, 0.0]
    verdicts = gate.judge([{"size": 1}, {"size": 2}], 1)
    reason = next(v.reason for v in verdicts if v is not None and v.decision is Decision.EVALUATE)
    # At an error of 50 the front costs 0 (or -1, where a lower cost is still to be hoped for).
    if shift == 0:
        assert "enters the front with probability 0.0" in reason
    else:
        assert "spread along the predicted front" in reason


@pytest.mark.parametrize(("known", "half"), [(12, "enters the front"), (13, "spread along")])
def test_of_designs_that_promise_the_same_neighbours_of_the_front_come_first(known, half):
    class Plane(Corner):
        space = evonas.Space(evonas.Integer("x", 0, 40), evonas.Integer("y", 0, 40))

    problem = Plane()
    model = PosteriorModel(problem, Same(cost=(4.0, 0.1), error=(6.0, 0.1)))
    gate = SurrogateGate(problem, model, audits=0.0)
    # The first dominates all others.
    gate.observe(
        [
            Evaluation(Candidate(i, {"x": i, "y": i}, 0), Status.OK, {"cost": c, "error": c})
            for i, c in enumerate(np.linspace(5.0, 9.0, known))
        ]
    )
    stranger, neighbour = gate.judge([{"x": 30, "y": 30}, {"x": 30, "y": 0}], 1)
    assert stranger is None
    assert neighbour.decision is Decision.EVALUATE
    assert half in neighbour.reason


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


def test_cheap_metrics_are_computed_and_never_predicted():
    problem, surrogate = Cheap(), Told(lambda g: {"error": 1.0})
    model, _, unseen = observed(problem, surrogate)
    posterior = model.posterior(unseen[:20])
    assert set(surrogate.fitted[0]) == {"error"}
    for row, genome in enumerate(unseen[:20]):
        truth = problem.evaluate(genome, ["operations"])["operations"]
        assert posterior.means["operations"][row] == truth
        assert set(posterior.predictions(row)) == {"error"}


def test_failures_have_no_values_to_learn_from():
    model = PosteriorModel(Blocks(), Told(lambda g: {}))
    genome = {"layers": 1, "width": 1, "kernel": 3}
    for status in (Status.FAILED, Status.TIMEOUT, Status.INFEASIBLE):
        model.observe([Evaluation(Candidate(0, genome, 0), status)])
    assert not model.evaluations


def fill(model, problem, sizes, fails=lambda size: False, first=0):
    """Let a model observe some sizes of :class:`Corner`."""
    for number, size in enumerate(sizes, start=first):
        genome = {"size": size}
        values = {} if fails(size) else problem.evaluate(genome, ["cost", "error"])
        status = Status.OK if values else Status.FAILED
        model.observe([Evaluation(Candidate(number, genome, 0), status, values)])


def test_designs_next_to_failures_are_likely_to_fail():
    problem = Corner()
    model = PosteriorModel(problem, Same(cost=(1.0, 1.0), error=(1.0, 1.0)))
    designs = [{"size": size} for size in (1, 21, 27, 39)]
    fill(model, problem, range(0, 24, 2))
    assert model.posterior(designs).success.tolist() == [1.0, 1.0, 1.0, 1.0]
    fill(model, problem, (30, 32, 34, 36, 38), lambda size: True, first=50)
    success = model.posterior(designs).success
    assert success[0] == pytest.approx(5.5 / 6)
    assert success[3] == pytest.approx(0.5 / 6)
    assert success[0] >= success[1] > success[2] > success[3]


def test_where_evaluations_fail_is_looked_at_last():
    problem = Corner()
    # By what is predicted all are equally good.
    model = PosteriorModel(problem, Same(cost=(0.0, 1.0), error=(0.0, 1.0)))
    gate = SurrogateGate(problem, model, audits=0.0)
    fill(model, problem, range(0, 40, 2), lambda size: size > 20)
    unseen = [{"size": size} for size in (39, 37, 31, 11, 9, 5, 3)]
    verdicts = gate.judge(unseen, 4)
    # None of the others is pruned: it may still be evaluated, when nothing else is left.
    assert [v is not None and v.decision is Decision.EVALUATE for v in verdicts] == [
        design["size"] < 20 for design in unseen
    ]
    assert not any(pruned(verdicts))


class OutOfMemory(Corner):
    """What would be best needs more memory than there is."""

    space = evonas.Space(evonas.Integer("depth", 1, 30), evonas.Integer("width", 1, 30))

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


class CheapFails(Corner):
    """A cheap metric that some designs do not have."""

    metrics = (evonas.Metric("cost", expensive=False), evonas.Metric("error"))

    def __init__(self, how="infeasible"):
        self.how = how

    def evaluate(self, genome, metrics):
        if genome["size"] % 5 == 0:
            if self.how == "infeasible":
                raise evonas.InfeasibleError("no such size")
            if self.how == "raises":
                raise ValueError("no such size")
            return {"error": 1.0} | ({"cost": np.nan} if self.how == "nan" else {})
        return super().evaluate(genome, metrics)


@pytest.mark.parametrize("how", ["infeasible", "raises", "nan", "missing"])
def test_designs_without_a_cheap_metric_are_neither_evaluated_nor_audited(how):
    problem = CheapFails(how)
    model = PosteriorModel(problem, Same(error=(0.0, 1.0)))
    gate = SurrogateGate(problem, model, audits=1.0)
    fill(model, problem, [size for size in range(1, 30) if size % 5])
    unseen = [{"size": size} for size in range(30, 41)]
    assert model.posterior(unseen).impossible.tolist() == [g["size"] % 5 == 0 for g in unseen]
    for genome, verdict in zip(unseen, gate.judge(unseen, 8), strict=True):
        if genome["size"] % 5 == 0:
            assert verdict.decision is Decision.PRUNE
            assert verdict.reason == "known to have no values"
        else:
            assert verdict.decision is not Decision.PRUNE


def test_a_search_goes_on_when_a_cheap_metric_raises():
    run = evonas.search(CheapFails("raises"), evaluations=32, surrogate="default", **QUIET)
    status = run.status()
    assert status["evaluated"] == 32
    # Those of the opening: before there are predictions, nothing is known to fail.
    assert 0 < status["failed"] <= 6


def test_audits_are_pruned_designs_and_their_share_is_kept():
    problem = Blocks()
    names = [metric.name for metric in problem.metrics]
    _, gate, unseen = observed(problem, Told(lambda g: problem.evaluate(g, names)), audits=0.1)
    verdicts = [v for v in gate.judge(unseen, 300) if v is not None]
    audits = [v for v in verdicts if v.decision is Decision.AUDIT]
    assert all("audit: predicted dominated with probability" in v.reason for v in audits)
    doomed = len(audits) + sum(v.decision is Decision.PRUNE for v in verdicts)
    doomed += sum("predicted" in v.reason for v in verdicts if v.decision is Decision.EVALUATE)
    assert 0.05 < len(audits) / doomed < 0.16


def test_the_report_counts_wrong_prunes_by_the_front_of_their_moment():
    description = BinhKorn().describe()
    verdicts = [Decision.EVALUATE, Decision.PRUNE, Decision.AUDIT, Decision.AUDIT]
    points = [(5.0, 5.0), None, (6.0, 6.0), (1.0, 9.0)]
    candidates, evaluations = [], []
    for i, (decision, point) in enumerate(zip(verdicts, points, strict=True)):
        candidate = Candidate(i, {"x": float(i), "y": 0.0}, i)
        candidates.append((candidate, Verdict(decision, "", {"f1": Prediction(float(i), 1.0)})))
        if point is not None:
            values = {"f1": point[0], "f2": point[1], "g1": 0.0, "g2": 9.0}
            evaluations.append(Evaluation(candidate, Status.OK, values))
    report = surrogate_report(description, candidates, evaluations)
    assert report["wrong_prune_rate"] == 0.5
    low, high = report["wrong_prune_interval"]
    assert low < 0.5 < high
    assert report["spared_share"] == 0.25
    assert report["coverage"]["f1"] == 0.0
    assert report["rank_agreement"]["f1"] == pytest.approx(-0.5)
    assert json.dumps(report)


def test_a_report_without_prunes_or_audits_claims_no_rate():
    candidate = Candidate(0, {"x": 1.0, "y": 0.0}, 0)
    evaluation = Evaluation(candidate, Status.OK, {"f1": 1.0, "f2": 1.0, "g1": 0.0, "g2": 9.0})
    known = [(candidate, Verdict(Decision.EVALUATE, ""))]
    for candidates, evaluations in (([], []), (known, [evaluation])):
        report = surrogate_report(BinhKorn().describe(), candidates, evaluations)
        assert report["spared_share"] == 0.0
        assert report["wrong_prune_rate"] is None
        assert report["wrong_prune_interval"] is None
        assert report["rank_agreement"] == report["coverage"] == {}


def test_the_opening_has_every_value_equally_often():
    codes = opening_designs(Blocks.space, 24, np.random.default_rng(0))
    assert codes.shape == (24, 5)
    assert (codes >= Blocks.space.lower).all()
    assert (codes <= Blocks.space.upper).all()
    assert np.bincount(codes[:, 2].astype(int)).tolist() == [8, 8, 8]
    assert opening_designs(Blocks.space, 1, np.random.default_rng(0)).shape == (1, 5)


def test_a_search_begins_with_what_the_surrogate_chooses():
    offered = []

    class Picky(Told):
        def initial_design(self, genomes, n):
            offered.extend(genomes)
            return range(len(genomes) - n, len(genomes))

    model = PosteriorModel(Blocks(), Picky(lambda genome: {}))
    ahead = LookAhead(Blocks(), model, population=20, seed=0, opening=12)
    first = ahead.ask(12, seen=set())
    assert first[2:] == offered[-12:-2]
    # One at a time, the same designs come in the same order.
    rest = ahead.ask(3, seen={genome_key(genome) for genome in first[:9]})
    assert rest == first[9:]


def test_a_search_begins_at_the_ends_of_what_has_an_order():
    model = PosteriorModel(Blocks(), MetricModels(Blocks()))
    ahead = LookAhead(Blocks(), model, population=20, seed=0, opening=12)
    first = ahead.ask(12, seen=set())
    assert first[0] == {"layers": 1, "width": 1, "kernel": 3}
    largest = {"layers": 4, "width": 12, "kernel": 7, "late_kernel": 7}
    assert {**first[1], "pooling": ""} == {**largest, "pooling": ""}
    assert len({genome_key(genome) for genome in first}) == 12
    unordered = Space(Choice("a", ["x", "y"]), Choice("b", ["x", "y", "z"]))
    assert extremes(unordered, np.random.default_rng(0)).shape == (0, 2)


def test_neighbours_differ_in_one_gene_and_are_all_there():
    genome = {"layers": 4, "width": 1, "kernel": 3, "late_kernel": 5, "pooling": "average"}
    codes = neighbours(Blocks.space, [genome], np.random.default_rng(0))
    own = Blocks.space.encode([genome])[0]
    assert ((codes != own).sum(axis=1) == 1).all()
    # Layers and width are at an end: one step each. Kernels have two others, pooling one.
    assert len(codes) == 1 + 1 + 2 + 2 + 1


def test_looking_ahead_finds_what_the_surrogate_promises():
    problem = Blocks()
    names = [metric.name for metric in problem.metrics]
    model, _, unseen = observed(problem, Told(lambda g: problem.evaluate(g, names)))
    ahead = LookAhead(problem, model, population=20, seed=0, opening=20)
    seen = {genome_key(e.candidate.genome) for e in model.evaluations}
    found = {genome_key(genome) for genome in ahead.ask(200, seen)}
    assert len(found) == 200
    assert not found & seen
    best = evonas.run.front.Front.from_evaluations(
        problem.describe(),
        [Evaluation(Candidate(0, g, 0), Status.OK, problem.evaluate(g, names)) for g in unseen],
    )
    reached = [genome_key(design.genes) in found for design in best.designs]
    # By chance 0.56 of them would be, with 200 of 356 unseen designs proposed.
    assert np.mean(reached) > 0.75
