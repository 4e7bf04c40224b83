import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evonas.pareto import FrontTracker, hypervolume, non_dominated

# Few distinct values, so that ties and equal points are common.
COSTS = st.integers(1, 3).flatmap(
    lambda m: arrays(float, st.tuples(st.integers(1, 25), st.just(m)), elements=st.integers(0, 6))
)


def dominates(a, b):
    return (a <= b).all() and (a < b).any()


@given(COSTS)
def test_the_front_is_what_nothing_dominates(costs):
    expected = [i for i, b in enumerate(costs) if not any(dominates(a, b) for a in costs)]
    assert non_dominated(costs).tolist() == expected


@given(COSTS)
def test_the_tracker_keeps_the_front_of_all_points(costs):
    tracker = FrontTracker(np.full(costs.shape[1], np.nan), first=5)
    for cost in costs:
        before = tracker.costs
        entered = tracker.add(cost)
        assert entered == (not any(dominates(a, cost) for a in before))
    front = costs[non_dominated(costs)]
    assert sorted(map(tuple, tracker.costs)) == sorted(map(tuple, front))


@given(COSTS)
def test_the_hypervolume_is_the_count_of_dominated_unit_cells(costs):
    cells = np.indices((7,) * costs.shape[1]).reshape(costs.shape[1], -1).T
    dominated = sum(any((c <= cell).all() for c in costs) for cell in cells)
    assert hypervolume(costs, np.full(costs.shape[1], 7.0)) == pytest.approx(dominated)


@given(COSTS)
def test_the_tracked_hypervolume_only_grows(costs):
    tracker = FrontTracker(np.full(costs.shape[1], np.nan), first=2)
    values = []
    for number, cost in enumerate(costs, start=1):
        tracker.add(cost)
        if number >= 2:
            values.append(tracker.hypervolume)
    assert values == sorted(values)


def test_points_beyond_the_reference_add_nothing():
    reference = np.array([1.0, 1.0])
    assert hypervolume(np.array([[0.5, 2.0], [2.0, 0.1]]), reference) == 0.0
    assert hypervolume(np.array([[0.5, 0.5], [0.1, 2.0]]), reference) == 0.25


def test_nothing_has_no_front():
    assert non_dominated(np.empty((0, 2))).tolist() == []
    assert FrontTracker(np.full(2, np.nan), 4).hypervolume == 0.0


def test_a_reference_of_the_objective_is_kept():
    tracker = FrontTracker(np.array([2.0, np.nan]), first=2)
    tracker.add(np.array([0.0, 4.0]))
    tracker.add(np.array([1.0, 0.0]))
    # The box is [0, 2] x [0, 4]: the second point alone has a volume, of 1 x 4 in 8.
    assert tracker.hypervolume == pytest.approx(0.5)
