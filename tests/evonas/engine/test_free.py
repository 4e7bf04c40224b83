"""Free designs: what is known of them costs nothing."""

import itertools
import math
import random
from collections import Counter

import numpy as np
import pytest

import evonas
from evonas import Choice, Constraint, Integer, Metric, Objective, Problem, Real, Space
from evonas.engine.free import LIMIT, FreeDesigns
from evonas.memory import Memory
from evonas.pareto import non_dominated
from evonas.records import Candidate, Evaluation, Status
from evonas.space import genome_key


class Cut(Problem):
    """A network whose error does not depend on where it is cut, nor on the payload's bits."""

    space = Space(
        Integer("depth", 2, 9),
        Real("width", 0.25, 1.0),
        Integer("split", 0, 5),
        Choice("bits", [4, 8, 16]),
    )
    metrics = (
        Metric("error", "%", genes=["depth", "width"]),
        Metric("head_ms", "ms", genes=["depth", "width", "split"], expensive=False),
        Metric("payload_bytes", "B", genes=["split", "bits"], expensive=False),
        Metric("latency_ms", "ms", derived_from=("head_ms", "payload_bytes")),
    )
    objectives = (Objective("error"), Objective("latency_ms"), Objective("payload_bytes"))
    constraints = (Constraint("payload_bytes", upper=90),)

    def __init__(self, bytes_per_ms: float = 10.0):
        self.bytes_per_ms = bytes_per_ms
        self.calls = Counter()

    def evaluate(self, genome, metrics):
        self.calls.update(metrics)
        values = {}
        if "error" in metrics:
            values["error"] = 100 / (1 + genome["depth"] * genome["width"])
        if "head_ms" in metrics:
            values["head_ms"] = genome["split"] * genome["width"] ** 2 * genome["depth"] ** 0.5
        if "payload_bytes" in metrics:
            values["payload_bytes"] = genome["bits"] * (12 - 2 * genome["split"])
        return values

    def derive(self, metric, parts):
        return parts["head_ms"] + parts["payload_bytes"] / self.bytes_per_ms


def around(problem, genome):
    values = problem.evaluate(genome, [m.name for m in problem.measured_metrics])
    evaluation = Evaluation(Candidate(3, genome, 0), Status.OK, values)
    return FreeDesigns(problem, Memory(problem)).around(evaluation)


def test_genes_are_gone_through_on_which_nothing_expensive_depends():
    genome = {"depth": 3, "width": 0.5, "split": 2, "bits": 8}
    found = around(Cut(), genome)
    assert len(found) == 6 * 3 - 1
    assert {(g["depth"], g["width"]) for g in found} == {(3, 0.5)}


def test_of_many_as_many_are_drawn_as_are_looked_at():
    class Many(Cut):
        space = Space(*Cut.space.genes[:3], Integer("bits", 1, 10**12))

    genome = {"depth": 3, "width": 0.5, "split": 2, "bits": 8}
    found = around(Many(), genome)
    assert LIMIT - 1 <= len(found) <= LIMIT
    assert found == around(Many(), genome)


def test_only_listed_designs_are_free():
    problem = Cut()
    problem.designs = [{"depth": 3, "width": 0.5, "split": s, "bits": 8} for s in (0, 2, 4)]
    assert [g["split"] for g in around(problem, problem.designs[0])] == [2, 4]


def test_a_problem_without_expensive_metrics_has_none():
    class Cheap(Cut):
        metrics = (
            Metric("error", "%", genes=["depth", "width"], expensive=False),
            *Cut.metrics[1:],
        )

    assert around(Cheap(), {"depth": 3, "width": 0.5, "split": 2, "bits": 8}) == []


def test_a_gene_that_becomes_active_without_a_value_is_passed_over():
    class Conditional(Cut):
        space = Space(*Cut.space.genes, Real("scale", 0.0, 1.0, when={"bits": [16]}))

    found = around(Conditional(), {"depth": 3, "width": 0.5, "split": 2, "bits": 8})
    assert {g["bits"] for g in found} == {4, 8}


def search(problem, **options):
    settings = {"evaluations": 24, "population": 8, "seed": 1, "surrogate": None, **options}
    settings.setdefault("runner", "serial")
    return evonas.search(problem, asynchronous=False, report=lambda line: None, **settings)


@pytest.mark.parametrize("surrogate", [None, "default"])
def test_the_front_holds_every_free_design_that_joins_it(surrogate):
    problem = Cut()
    run = search(problem, surrogate=surrogate)
    status = run.status()
    assert status["evaluated"] == 24
    assert status["free"] > 0
    assert problem.calls["error"] <= 24
    networks = {(e.candidate.genome["depth"], e.candidate.genome["width"])
                for e in run._journal.evaluations() if e.source is None}  # fmt: skip
    designs = [
        {"depth": d, "width": w, "split": s, "bits": b}
        for (d, w), s, b in itertools.product(networks, range(6), (4, 8, 16))
    ]
    costs = []
    for genome in designs:
        parts = problem.evaluate(genome, [m.name for m in problem.measured_metrics])
        total = parts["head_ms"] + parts["payload_bytes"] / 10
        costs.append([parts["error"], total, parts["payload_bytes"]])
    costs = np.array(costs)
    costs = costs[costs[:, 2] <= 90]
    best = np.unique(costs[non_dominated(costs)], axis=0)
    table = run.front.to_frame()
    found = np.unique(table[["error", "latency_ms", "payload_bytes"]].to_numpy(), axis=0)
    assert np.array_equal(found, best)


def test_free_designs_are_kept_with_their_source():
    run = search(Cut())
    evaluations = {e.candidate.id: e for e in run._journal.evaluations()}
    free = [e for e in evaluations.values() if e.source is not None]
    assert free
    for evaluation in free:
        source = evaluations[evaluation.source]
        assert evaluation.values["error"] == source.values["error"]
        assert run._journal.sources()[evaluation.candidate.id, "error"] == source.candidate.id
    keys = [genome_key(e.candidate.genome) for e in evaluations.values()]
    assert len(set(keys)) == len(keys)


def test_where_nothing_is_free_nothing_is_looked_at():
    class Whole(Cut):
        metrics = (Metric("error", "%"), *Cut.metrics[1:])

    run = search(Whole())
    assert run.status()["free"] == 0
    assert "explored" not in run.meta


class Power(BaseException):
    """The power cable is pulled."""


class Shaky:
    """Hands evaluations back in any order, and loses its power after some."""

    def __init__(self, problem, *, workers=1, die_after=math.inf, seed=0, **_):
        self.problem, self.workers, self.left = problem, workers, die_after
        self.queue, self.rng = [], random.Random(seed)

    def submit(self, tasks):
        self.queue += tasks

    def wait(self, timeout=None):
        self.rng.shuffle(self.queue)
        finished = []
        while self.queue and len(finished) < 2:
            if self.left <= 0:
                raise Power
            self.left -= 1
            task = self.queue.pop()
            values = self.problem.evaluate(task.candidate.genome, task.metrics)
            finished.append(Evaluation(task.candidate, Status.OK, values))
        return finished

    def cancel(self):
        self.queue.clear()

    def close(self):
        pass


@pytest.mark.parametrize("surrogate", [None, "default"])
def test_a_search_that_is_killed_anywhere_ends_on_the_same_front(tmp_path, surrogate):
    expected = search(Cut(), surrogate=surrogate)
    proposed = [c.genome for c, _ in expected._journal.candidates()]
    for die_after in (3, 40, 130) if surrogate else (3, 11, 40, 77, 130, 200):
        out = tmp_path / str(die_after)

        def dying(problem, die_after=die_after, **options):
            return Shaky(problem, die_after=die_after, seed=die_after, **options)

        try:
            run = search(Cut(), surrogate=surrogate, runner=dying, out=out, workers=3)
        except Power:
            run = evonas.resume(
                out, problem=Cut(), runner=Shaky, workers=2, report=lambda line: None
            )
        assert [c.genome for c, _ in run._journal.candidates()] == proposed
        assert run.front.to_frame().equals(expected.front.to_frame())


def test_a_resumed_search_draws_the_same_of_many_free_designs(tmp_path):
    class Many(Cut):
        space = Space(
            Integer("depth", 2, 4), Integer("width", 1, 2), Integer("split", 0, 5),
            Integer("bits", 1, 100),
        )  # fmt: skip
        constraints = ()

    expected = search(Many())
    search(Many(), out=tmp_path, evaluations=16)
    run = evonas.resume(tmp_path, problem=Many(), evaluations=24, report=lambda line: None)
    assert run._journal.candidates() == expected._journal.candidates()


def test_a_front_is_made_again_for_another_link():
    run = search(Cut(), surrogate="default", evaluations=60)
    other = run.front_for(Cut(bytes_per_ms=0.5))
    table = other.to_frame()
    assert np.allclose(table["latency_ms"], table["head_ms"] + table["payload_bytes"] / 0.5)
    assert run.front_for(Cut()).to_frame().equals(run.front.to_frame())
    pruned = run.status()["pruned"]
    missing = [note for note in other.description["notes"] if "missing" in note]
    assert bool(missing) == bool(pruned)


def test_a_run_is_not_resumed_for_another_link(tmp_path):
    before = search(Cut(), out=tmp_path).front.to_frame()
    with pytest.raises(evonas.RunError, match=r"'latency_ms' of design 0 is .* Run\.front_for"):
        evonas.resume(tmp_path, problem=Cut(bytes_per_ms=0.5), evaluations=30)
    with pytest.raises(evonas.UsageError, match="an object of a class"):
        evonas.resume(tmp_path, problem=Cut, evaluations=30)
    assert evonas.Run.open(tmp_path).front.to_frame().equals(before)


def test_constraints_are_judged_anew():
    class Narrow(Cut):
        constraints = (Constraint("latency_ms", upper=3),)

    table = search(Cut()).front_for(Narrow()).to_frame()
    assert len(table)
    assert (table["latency_ms"] <= 3).all()


def test_a_front_is_not_made_for_another_problem():
    class Deeper(Cut):
        space = Space(Integer("depth", 2, 20), *Cut.space.genes[1:])

    class Metered(Cut):
        metrics = (*Cut.metrics, Metric("energy_mj", "mJ"))

    class Scalar(Cut):
        def derive(self, metric, parts):
            return 3.0

    run = search(Cut())
    with pytest.raises(evonas.UsageError, match="an object of a class"):
        run.front_for(Cut)
    with pytest.raises(evonas.UsageError, match=r"it returned shape \(\)"):
        run.front_for(Scalar())
    with pytest.raises(evonas.UsageError, match="other genes than the run"):
        run.front_for(Deeper())
    with pytest.raises(evonas.UsageError, match="has no 'energy_mj'"):
        run.front_for(Metered())
