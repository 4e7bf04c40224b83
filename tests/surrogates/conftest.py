import numpy as np
import pytest
from threadpoolctl import threadpool_info

from evonas import Choice, Integer, Metric, Objective, Problem, Real, Space


@pytest.fixture(scope="session")
def blas_threads():
    """A function that gives how many threads each loaded library for linear algebra takes."""
    return lambda: {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}


@pytest.fixture(scope="session")
def noisy_plane():
    """A function that draws features of rows, and values that follow them but for noise."""

    def draw(rows, seed=0, columns=6, noise=0.3):
        rng = np.random.default_rng(seed)
        features = rng.random((rows, columns))
        clean = 5 + features @ np.arange(columns) + np.sin(6 * features[:, 0])
        return features, clean + noise * rng.standard_normal(rows)

    return draw


class Net(Problem):
    space = Space(
        Integer("depth", 1, 3),
        Choice("kernel", [3, 5]),
        Choice("pool", ["max", "mean"], when={"depth": [3]}),
        Real("width", 0.25, 1.0),
    )
    metrics = (Metric("error", falls_with=["width"]), Metric("ms", rises_with=["width", "depth"]))
    objectives = (Objective("error"), Objective("ms"))

    def evaluate(self, genome, metrics):
        return {"error": 1.0, "ms": 2.0}


@pytest.fixture(scope="session")
def net():
    """A problem with metrics that are monotone in genes."""
    return Net()
