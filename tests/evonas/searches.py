"""Searches of a small problem by runners that fail, shared by tests."""

import math
import random

import evonas
from evonas import Choice, Constraint, Evaluation, Integer, Metric, Objective, Real, Space, Status
from evonas.problems.toy import Blocks
from evonas.run.journal import Journal
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


def genomes(front):
    return sorted(genome_key(design.genes) for design in front.designs)


OPTIONS = {"evaluations": 60, "population": 12, "offspring": 10, "seed": 4, **PLAIN}


def record(directory):
    """Everything that a search decided and found, in the order of proposal."""
    with Journal.read(directory) as journal:
        evaluations = sorted(journal.evaluations(), key=lambda e: e.candidate.id)
        return (
            journal.candidates(),
            [(e.candidate.id, e.status, dict(e.values)) for e in evaluations],
        )


class Mixed(evonas.Problem):
    """Every kind of gene, a condition, a maximised objective, a constraint, a plain metric."""

    space = Space(
        Integer("layers", 1, 4),
        Choice("kernel", [3, 5]),
        Choice("activation", ["relu", "tanh"], when={"layers": [3, 4]}),
        Real("width", 0.25, 1.0),
    )
    metrics = (Metric("size", "kB"), Metric("latency", "ms"), Metric("accuracy", "%"))
    objectives = (Objective("accuracy", "maximise"), Objective("latency"))
    constraints = (Constraint("size", upper=11.0),)
    notes = ("latency is made up",)

    def evaluate(self, genome, metrics):
        cost = genome["layers"] * genome["kernel"] * genome["width"]
        bonus = genome.get("activation") == "tanh"
        return {"size": cost, "latency": cost * (1.2 if bonus else 1), "accuracy": 99 - 50 / cost}
