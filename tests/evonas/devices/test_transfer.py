"""What predicts fitted devices is found as a plug-in, and does what it promises."""

import numpy as np

from evonas import Choice, Integer, Metric, Objective, Problem, Space
from evonas.devices.transfer import transfer_models


class Net(Problem):
    space = Space(Integer("depth", 1, 30), Choice("size", [1, 2]))
    metrics = (Metric("ms", "ms"),)
    objectives = (Objective("ms"),)

    def evaluate(self, genome, metrics):
        return {"ms": 1.0 * genome["depth"] * genome["size"]}


def test_a_predictor_is_fitted_saved_and_read():
    models, problem = transfer_models(), Net()
    genomes = [{"depth": depth, "size": size} for depth in range(1, 31) for size in (1, 2)]
    here = np.array([problem.evaluate(genome, ["ms"])["ms"] for genome in genomes])
    views = models.problem_views(problem, genomes)
    assert {len(view) for view in views.values()} == {len(genomes)}
    transfer = models.make_transfer(views, here[:, None], ["here"], seed=1)
    chosen = transfer.choose_probes(8)
    assert len(set(chosen)) == 8
    predictor = transfer.fit(np.array(chosen), 3 * here[chosen], np.full(8, 0.01))
    found = predictor.predict()
    assert found.mean.shape == found.lower.shape == found.upper.shape == here.shape
    assert (found.lower <= found.mean).all()
    assert (found.mean <= found.upper).all()
    assert np.abs(found.mean / (3 * here) - 1).mean() < 0.1
    assert predictor.trust.good == (predictor.trust.error <= 0.2)
    again = models.load_predictor(*predictor.save())
    np.testing.assert_array_equal(again.predict(views).mean, predictor.predict(views).mean)
