import numpy as np
import pytest

COSTS = np.array([[0.1, 1.0, 3.0, 0.4], [0.2, 2.0, 2.0, 0.6], [0.1, 0.5, 5.0, 2.0]])
"""What four kinds of operations cost three devices."""


@pytest.fixture(scope="session")
def additive():
    """A function that draws feature views of designs, and their costs on three proxy devices.

    The costs are those of the designs' operations, added up.
    """

    def draw(designs=400, seed=0, noise=0.0):
        rng = np.random.default_rng(seed)
        operations = rng.integers(0, 4, (designs, 6))
        counts = np.array([(operations == kind).sum(axis=1) for kind in range(4)], float).T
        edges = (operations[:, :, None] == np.arange(4)).reshape(designs, -1).astype(float)
        costs = 2 + counts @ COSTS.T
        return {"counts": counts, "edges": edges}, costs * np.exp(
            noise * rng.standard_normal(costs.shape)
        )

    return draw


@pytest.fixture(scope="session")
def unseen_device():
    """A function that gives what designs cost a device that is no proxy."""

    def draw(views, noise=0.0, seed=1):
        rng = np.random.default_rng(seed)
        costs = 1 + views["counts"] @ np.array([0.3, 3.0, 4.0, 0.1])
        return costs * np.exp(noise * rng.standard_normal(len(costs)))

    return draw


@pytest.fixture(scope="session")
def costs_of_many_parts():
    """A function that draws counts of the parts of designs, and costs of the parts on a proxy.

    It gives the generator that they were drawn with, too.
    """

    def draw(seed):
        rng = np.random.default_rng(seed)
        counts = rng.uniform(0, 4, (200, 12)) * (rng.random((200, 12)) < 0.7)
        return counts, rng.uniform(0.1, 1, 12), rng

    return draw
