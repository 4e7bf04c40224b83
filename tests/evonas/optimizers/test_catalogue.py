"""Which designs a search may propose."""

import pytest

from evonas import Choice, Integer, Metric, Objective, Problem, Space
from evonas.optimizers.catalogue import Catalogue
from evonas.space import genome_key


class Layers(Problem):
    space = Space(
        Integer("layers", 1, 5),
        Choice("kernel", [3, 5, 7]),
        Choice("late", ["a", "b"], when={"layers": [4, 5]}),
    )
    metrics = (Metric("error"),)
    objectives = (Objective("error"),)

    def __init__(self, designs=None):
        self.designs = designs

    def evaluate(self, genome, metrics):
        return {"error": 1.0}


LISTED = (
    {"layers": 1, "kernel": 3},
    {"layers": 2, "kernel": 7},
    {"layers": 4, "kernel": 3, "late": "b"},
    {"layers": 5, "kernel": 3, "late": "a"},
)


def unseen(problem, genome, *taken):
    [code] = problem.space.encode([genome])
    found = Catalogue(problem).unseen(code, {genome_key(design) for design in taken})
    return None if found is None else found[1]


def test_every_design_of_a_space_may_be_proposed_once():
    problem = Layers()
    design = {"layers": 3, "kernel": 5}
    assert unseen(problem, design) == design
    assert unseen(problem, design, design) is None
    catalogue = Catalogue(problem)
    assert catalogue.size == problem.space.size == 30
    assert len(catalogue.codes) == 3 * 3 + 2 * 6


@pytest.mark.parametrize(
    ("genome", "nearest"),
    [
        ({"layers": 2, "kernel": 7}, 1),
        # A quarter of the range of layers is less than another kernel.
        ({"layers": 3, "kernel": 7}, 1),
        ({"layers": 2, "kernel": 3}, 0),
        ({"layers": 5, "kernel": 3, "late": "b"}, 2),
        ({"layers": 5, "kernel": 5, "late": "a"}, 3),
    ],
)
def test_what_is_not_listed_becomes_the_nearest_that_is(genome, nearest):
    assert unseen(Layers(LISTED), genome) == LISTED[nearest]


def test_what_is_taken_is_passed_over():
    problem = Layers(LISTED)
    outside = {"layers": 2, "kernel": 3}
    assert unseen(problem, outside, LISTED[0]) == LISTED[3]
    assert unseen(problem, outside, *LISTED) is None
    # A listed design that is taken is known, as in any space.
    assert unseen(problem, LISTED[0], LISTED[0]) is None
    assert Catalogue(problem).size == len(Catalogue(problem).codes) == 4
