import numpy as np
import pytest

import evonas
from evonas import Evaluation, Status
from evonas.acquisition.gate import SurrogateGate
from evonas.acquisition.posterior import PosteriorModel
from evonas.records import Candidate, Decision, Prediction, Verdict
from evonas.space import genome_key
from tests.evonas.searches import OPTIONS, SERIAL, Fragile, Mixed, fake


class Oracle:
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


class Constant(Oracle):
    """A surrogate that predicts the same mean and deviation of a metric for every design."""

    def __init__(self, **predictions):
        super().__init__(None)
        self.predictions = predictions

    def predict(self, genomes, metrics):
        n = len(genomes)
        return {m: tuple(np.full(n, value) for value in self.predictions[m]) for m in metrics}


class Corner(evonas.Problem):
    """A cost that rises with a gene from nothing, and an error that falls with it."""

    space = evonas.Space(evonas.Integer("size", 0, 40))
    metrics = (evonas.Metric("cost"), evonas.Metric("error"))
    objectives = (evonas.Objective("cost"), evonas.Objective("error"))
    shift = 0.0

    def evaluate(self, genome, metrics):
        size = genome["size"]
        return {"cost": float(size) - self.shift, "error": 50.0 - size}


@pytest.fixture(scope="session")
def oracle():
    """The class of a surrogate that predicts what a function says."""
    return Oracle


@pytest.fixture(scope="session")
def constant():
    """The class of a surrogate that predicts the same for every design."""
    return Constant


@pytest.fixture(scope="session")
def corner():
    """The class of a problem whose cost rises with its one gene, while its error falls."""
    return Corner


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


@pytest.fixture(scope="session")
def observed():
    """A function that makes a gate that has predicted some random designs, and then seen them.

    It gives the gate's model, the gate, and the designs that the gate has not seen.
    """

    def observe(problem, surrogate, n=40, audits=0.0, off=0.0):
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

    return observe


@pytest.fixture(scope="session")
def fill():
    """A function that lets a model observe some sizes of ``corner``; some fail."""

    def observe(model, problem, sizes, fails=lambda size: False, first=0):
        for number, size in enumerate(sizes, start=first):
            genome = {"size": size}
            values = {} if fails(size) else problem.evaluate(genome, ["cost", "error"])
            status = Status.OK if values else Status.FAILED
            model.observe([Evaluation(Candidate(number, genome, 0), status, values)])

    return observe


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """The directory of a search that nothing interrupted."""
    directory = tmp_path_factory.mktemp("uninterrupted") / "run"
    evonas.search(Fragile(), out=directory, runner=fake(), **OPTIONS)
    return directory


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A run with all files of its front."""
    out = tmp_path_factory.mktemp("front") / "run"
    run = evonas.search(Mixed(), evaluations=150, seed=1, out=out, **SERIAL)
    run.export(["csv", "json", "parquet", "png"])
    return run
