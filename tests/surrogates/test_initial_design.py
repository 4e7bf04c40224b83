"""The initial design."""

import numpy as np

from evonas import Choice, Objective, Problem, Real, Space
from evonas.surrogates.initial_design import initial_design, least_integrated_variance


def test_without_ties_between_designs_the_most_uncertain_come_first():
    covariance = np.diag([1.0, 3.0, 2.0])
    assert least_integrated_variance(covariance, 0.1, 2) == [1, 2]
    assert least_integrated_variance(covariance, 0.1, 5) == [1, 2, 0]
    assert least_integrated_variance(covariance, 0.1, 1, known=1) == [1]


def test_a_design_that_tells_of_others_is_preferred_and_they_then_are_not():
    covariance = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.2]])
    # 0 or 1 lowers 1 + 0.81, 2 lowers 1.44; after one of the pair the other is known, too.
    first, second, last = least_integrated_variance(covariance, 0.01, 3)
    assert {first, second, last} == {0, 1, 2}
    assert first in (0, 1)
    assert second == 2


def test_the_choice_leaves_less_variance_than_chance():
    rng = np.random.default_rng(0)
    points = rng.random((60, 2))
    covariance = np.exp(-8 * np.square(points[:, None] - points).sum(axis=2))

    def left(rows):
        known = covariance[np.ix_(rows, rows)] + 0.01 * np.eye(len(rows))
        explained = covariance[:, rows] @ np.linalg.solve(known, covariance[rows])
        return np.trace(covariance - explained)

    chosen = left(least_integrated_variance(covariance, 0.01, 6))
    assert chosen < min(left(rng.permutation(60)[:6]) for _ in range(50))


class Skewed(Problem):
    """Its feature has all but a few designs at one end."""

    space = Space(Real("a", 0.0, 1.0), Choice("b", ["x", "y"]))
    metrics = ()
    objectives = (Objective("cost"),)

    def evaluate(self, genome, metrics):
        raise AssertionError("nothing is evaluated")

    def features(self, genomes):
        return np.array([[genome["a"] ** 8] for genome in genomes])


def test_an_initial_design_lies_along_the_problems_own_features():
    problem = Skewed()
    genomes = [{"a": a, "b": b} for a in np.linspace(0, 1, 101) for b in "xy"]
    feature = problem.features(genomes)[:, 0]
    chosen = feature[initial_design(problem, genomes, 6)]
    assert np.ptp(chosen) > 0.8
    # A random six has 0.6 of them in the lowest tenth in the mean; these fill the range.
    assert (chosen > 0.3).sum() >= 3
