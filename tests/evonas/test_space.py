import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evonas import Choice, Integer, Real, Space, SpaceError
from evonas.space import genome_key

SCALARS = st.one_of(st.integers(-50, 50), st.text("abc", min_size=1, max_size=3), st.booleans())


@st.composite
def spaces(draw):
    genes = []
    for i in range(draw(st.integers(1, 6))):
        parents = [g for g in genes if not isinstance(g, Real)]
        when = None
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            values = list(parent.values())
            when = {parent.name: draw(st.lists(st.sampled_from(values), min_size=1))}
        match draw(st.sampled_from(["choice", "integer", "real"])):
            case "choice":
                # 1 and True are equal to Python, so a gene has only one type of option here.
                options = draw(st.lists(SCALARS, min_size=1, max_size=4, unique_by=(str, hash)))
                genes.append(Choice(f"g{i}", options, when=when))
            case "integer":
                low = draw(st.integers(-20, 20))
                genes.append(Integer(f"g{i}", low, low + draw(st.integers(0, 5)), when=when))
            case "real":
                low = draw(st.floats(-1e6, 1e6))
                genes.append(Real(f"g{i}", low, low + draw(st.floats(0.1, 1e6)), when=when))
    return Space(*genes)


@given(spaces(), st.integers(0, 2**32 - 1))
def test_samples_decode_to_valid_canonical_genomes_and_back(space, seed):
    codes = space.sample(20, np.random.default_rng(seed))
    assert codes.shape == (20, len(space))
    assert (space.lower <= codes).all()
    assert (codes <= space.upper).all()
    for row in codes:
        genome = space.decode(row)
        assert space.validate(genome) == genome == space.canonical(genome)
        assert space.decode(space.encode([genome])[0]) == genome
        assert json.loads(genome_key(genome)) == genome


@given(spaces(), st.integers(0, 2**32 - 1))
def test_inactive_genes_do_not_make_two_designs_different(space, seed):
    first, other = space.sample(2, np.random.default_rng(seed))
    genome = space.decode(first)
    inactive = [i for i, name in enumerate(space.names) if name not in genome]
    first[inactive] = other[inactive]
    assert space.decode(first) == genome


@given(spaces())
def test_a_finite_space_lists_every_design_once(space):
    if math.isinf(space.size) or space.size > 2000:
        return
    listed = [genome_key(genome) for genome in space.enumerate()]
    assert len(set(listed)) == len(listed) <= space.size
    sampled = space.sample(500, np.random.default_rng(0))
    assert {genome_key(space.decode(row)) for row in sampled} <= set(listed)


def test_the_number_of_designs_counts_conditions():
    space = Space(Integer("n", 1, 3), Choice("k", [3, 5], when={"n": (2, 3)}))
    assert len(list(space.enumerate())) == 1 + 2 * 2
    assert space.size == 6


def test_a_gene_is_inactive_when_its_parent_is():
    space = Space(
        Integer("a", 0, 1),
        Integer("b", 0, 1, when={"a": [1]}),
        Integer("c", 0, 1, when={"b": [1]}),
    )
    assert space.canonical({"a": 0, "b": 1, "c": 1}) == {"a": 0}
    assert space.canonical({"a": 1, "b": 1, "c": 0}) == {"a": 1, "b": 1, "c": 0}


SPACE = Space(
    Integer("layers", 1, 4),
    Choice("kernel", [3, 5]),
    Real("width", 0.25, 1.0),
    Choice("late", [3, 5], when={"layers": [4]}),
)


@pytest.mark.parametrize(
    ("genome", "message"),
    [
        ({"layers": 2, "kernel": 3, "widht": 0.5}, "unknown gene 'widht'; did you mean 'width'?"),
        ({"layers": 2, "kernel": 3}, "no value for gene 'width'"),
        ({"layers": 4, "kernel": 3, "width": 0.5}, "no value for gene 'late'"),
        ({"layers": 5, "kernel": 3, "width": 0.5}, "gene 'layers' is 5; .* from 1 to 4"),
        ({"layers": 1.5, "kernel": 3, "width": 0.5}, "gene 'layers' is 1.5"),
        ({"layers": True, "kernel": 3, "width": 0.5}, "gene 'layers' is True"),
        ({"layers": "2", "kernel": 3, "width": 0.5}, "gene 'layers' is '2'"),
        ({"layers": 2, "kernel": 4, "width": 0.5}, r"gene 'kernel' is 4; .* one of \[3, 5\]"),
        ({"layers": 2, "kernel": [3], "width": 0.5}, r"gene 'kernel' is \[3\]"),
        ({"layers": 2, "kernel": 3, "width": 1.01}, r"gene 'width' is 1.01; .* \[0.25, 1.0\]"),
        ({"layers": 2, "kernel": 3, "width": math.nan}, "gene 'width' is nan"),
        ({"layers": 2, "kernel": 3, "width": "wide"}, "gene 'width' is 'wide'"),
    ],
)
def test_an_invalid_genome_is_refused_by_the_name_of_the_gene(genome, message):
    with pytest.raises(SpaceError, match=message):
        SPACE.validate(genome)


def test_numbers_from_numpy_become_plain_numbers():
    genome = SPACE.validate({"layers": np.int64(2), "kernel": 3, "width": np.float64(0.5)})
    assert [type(value) for value in genome.values()] == [int, int, float]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Space(), "at least one gene"),
        (lambda: Space(Integer("a", 0, 1), Integer("a", 0, 1)), "'a' is declared twice"),
        (lambda: Space(Choice("a", [])), "'a' has no options"),
        (lambda: Space(Choice("a", [1, 1])), "'a' lists an option twice"),
        (lambda: Space(Integer("a", 2, 1)), "'a' runs from 2 to 1"),
        (lambda: Space(Integer("a", 1.5, 3)), "from 1.5 to 3; both must be whole numbers"),
        (lambda: Space(Integer("a", 0, 2**70)), "at most 2\\^53"),
        (lambda: Space(Integer("a", "1", 3)), "both must be whole numbers"),
        (lambda: Space(Choice("a", [(3, 3), (5, 5)])), "'a' has the option .3, 3.; .*text, numb"),
        (lambda: Space(Real("a", 1.0, 1.0)), "'a' runs from 1.0 to 1.0"),
        (lambda: Space(Real("a", 0.0, math.inf)), "must be finite"),
        (lambda: Space(Integer("a", 0, 1, when={"b": [1]})), "depends on 'b'"),
        (
            lambda: Space(Integer("a", 0, 1), Integer("b", 0, 1, when={"a": [2]})),
            "gene 'a' is 2",
        ),
    ],
)
def test_a_space_that_cannot_be_is_refused(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


def test_genes_made_of_numpy_numbers_hold_plain_ones():
    space = Space(Choice("a", np.arange(1, 4)), Integer("b", np.int64(1), np.float64(4.0)))
    assert json.dumps(space.describe())
    assert {type(value) for value in space.decode(space.upper).values()} == {int}


def test_a_gene_is_not_missed_under_a_gene_that_is_inactive():
    space = Space(
        Integer("a", 1, 2),
        Integer("b", 1, 9, when={"a": [2]}),
        Integer("c", 1, 3, when={"b": [5]}),
    )
    assert space.validate({"a": 1, "b": 5}) == {"a": 1}
    with pytest.raises(SpaceError, match="no value for gene 'c'"):
        space.validate({"a": 2, "b": 5})


def test_a_space_may_be_larger_than_any_number():
    genes = [Choice(f"g{number}", [0, 1]) for number in range(1100)]
    assert Space(*genes).size == 2**1100
    assert Space(*genes, Real("width", 0, 1)).size == math.inf
