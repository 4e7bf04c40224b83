"""The surrogate of a problem."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from evonas import Integer, Metric, Objective, Problem, Space
from evonas.problems.toy import ZDT1, Blocks
from evonas.run.diagnostics import spearman
from evonas.surrogates.metric_models import MetricModels
from evonas.surrogates.process.regression import GaussianProcess
from evonas.testing import SurrogateSuite


class TestMetricModels(SurrogateSuite):
    def make_problem(self):
        return Blocks()

    def make_surrogate(self, problem):
        return MetricModels(problem)


class TestMetricModelsOnRealGenes(TestMetricModels):
    def make_problem(self):
        return ZDT1()


@pytest.mark.parametrize("described", [False, True], ids=["genes", "own features"])
def test_predictions_are_monotone_whatever_the_noise_and_the_features(net, described):
    class Described(type(net)):
        def features(self, genomes):
            return np.array([[g["width"], -g["width"] * g["depth"]] for g in genomes])

    problem = Described() if described else net
    rng = np.random.default_rng(0)
    space = problem.space
    genomes = [space.canonical(space.decode(code)) for code in space.sample(100, rng)]
    values = np.array([g["width"] + g["depth"] for g in genomes]) + rng.normal(0, 0.6, 100)
    models = MetricModels(problem)
    models.fit(genomes, {"ms": values, "error": -values})
    for genome in genomes[:20]:
        wider = [{**genome, "width": width} for width in np.linspace(0.25, 1, 16)]
        predicted = models.predict(wider, ["ms", "error"])
        assert (np.diff(predicted["ms"][0]) >= -1e-9).all()
        assert (np.diff(predicted["error"][0]) <= 1e-9).all()


class Misled(Problem):
    """Its features have nothing to do with what it measures."""

    space = Space(*(Integer(f"gene{number}", 0, 4) for number in range(5)))
    metrics = (Metric("cost"),)
    objectives = (Objective("cost"),)

    def features(self, genomes):
        keys = [hash(tuple(genome.values())) % 2**32 for genome in genomes]
        return np.array([np.random.default_rng(key).random(8) for key in keys])

    def evaluate(self, genome, metrics):
        return {"cost": float(np.exp(0.3 * sum(genome.values())))}


def test_a_problem_whose_features_mislead_is_predicted_from_its_genes():
    space = Misled.space
    codes = space.sample(160, np.random.default_rng(0))
    genomes = [space.decode(code) for code in codes]
    values = np.array([Misled().evaluate(genome, ["cost"])["cost"] for genome in genomes])
    models = MetricModels(Misled())
    models.fit(genomes[:60], {"cost": values[:60]})
    mean, _ = models.predict(genomes[60:], ["cost"])["cost"]
    assert spearman(mean, values[60:]) > 0.9


def test_models_do_their_algebra_on_one_thread(net, monkeypatch, blas_threads):
    threads = []

    class Watching(GaussianProcess):
        def fit(self, features, scores):
            threads.append(blas_threads())
            super().fit(features, scores)

        def predict(self, features):
            threads.append(blas_threads())
            return super().predict(features)

    monkeypatch.setattr("evonas.surrogates.ensemble.GaussianProcess", Watching)
    problem = net
    codes = problem.space.sample(12, np.random.default_rng(0))
    genomes = [problem.space.decode(code) for code in codes]
    models = MetricModels(problem)
    with threadpool_limits(2):
        models.fit(genomes, {"error": np.arange(12.0)})
        models.predict(genomes, ["error"])
        assert blas_threads() == {2}
    assert len(threads) > 2
    assert all(found == {1} for found in threads)
