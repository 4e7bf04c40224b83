"""Distances between encoded designs."""

import numpy as np
import pytest

from evonas import Choice, Integer, Real, Space
from evonas.one_hot import OneHot

SPACE = Space(
    Choice("kernel", [3, 5, 7]),
    Integer("depth", 2, 6),
    Real("width", 0.5, 1.0),
    Integer("one", 4, 4),
)
DESIGN = {"kernel": 3, "depth": 2, "width": 0.5, "one": 4}


@pytest.mark.parametrize(
    ("changed", "distance"),
    [
        ({}, 0.0),
        ({"kernel": 5}, 1.0),
        ({"kernel": 7}, 1.0),
        ({"depth": 6}, 1.0),
        ({"depth": 3}, 0.25),
        ({"width": 1.0}, 1.0),
        ({"kernel": 7, "depth": 6}, 2**0.5),
    ],
)
def test_a_gene_that_differs_as_much_as_it_can_is_a_distance_of_1(changed, distance):
    own, other = OneHot(SPACE)(SPACE.encode([DESIGN, DESIGN | changed]))
    assert len(own) == 3 + 1 + 1 + 1
    assert np.linalg.norm(own - other) == pytest.approx(distance)
