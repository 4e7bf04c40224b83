"""Features of genomes."""

import numpy as np
import pytest

from evonas import Choice, Integer, Metric, Objective, Problem, Real, Space
from evonas.errors import ProblemError
from evonas.problems.toy import Blocks
from evonas.surrogates.encoding import (
    metric_groups,
    monotone_genes,
    space_features,
    space_groups,
    space_views,
)
from evonas.surrogates.ensemble import EnsembleRegressor
from evonas.surrogates.process.kernel import KernelLayout


def test_features_come_from_the_space(net):
    rows = space_features(
        net.space,
        [
            {"depth": 1, "kernel": 5, "width": 0.5},
            {"depth": 3, "kernel": 3, "pool": "mean", "width": 1.0},
        ],
    )
    assert rows.tolist() == [[1, 0, 1, 5, 0, 0, 0, 0.5], [3, 1, 0, 3, 1, 0, 1, 1.0]]


def test_views_of_a_space_count_options_of_tied_genes():
    space = Space(
        Integer("depth", 1, 2),
        Choice("a", ["x", "y"]),
        Choice("b", ["x", "y"], when={"depth": [2]}),
        Real("width", 0.5, 1.0),
    )
    genomes = [{"depth": 1, "a": "y", "width": 0.5}, {"depth": 2, "a": "y", "b": "y", "width": 1}]
    views = space_views(space, genomes)
    assert views["counts"].tolist() == [[1, 0, 0, 1, 0.5], [0, 1, 0, 2, 1.0]]
    assert len(views["genes"]) == 2
    assert "counts" not in space_views(Space(Real("width", 0.5, 1.0)), [{"width": 0.7}])


def test_genes_with_the_same_options_stand_side_by_side():
    space = Space(
        Choice("first", ["x", "y"]),
        Choice("name", [f"name{number}" for number in range(13)]),
        Integer("wide", 1, 3),
        Choice("second", ["x", "y"]),
        Choice("narrow", [1, 2, 3], when={"first": ["y"]}),
    )
    genome = {"first": "y", "name": "name2", "wide": 3, "second": "x", "narrow": 1}
    groups = space_groups(space, [genome, {**genome, "first": "x"}])
    assert groups["genes"].tied == [((2, 2), (1, 4), (1, 5))]
    first, other = groups["genes"].views[0].tolist()
    name = [float(number == 2) for number in range(13)]
    assert first == [0, 1, 1, 0, 0, 0, 1, 3, 1, 1, 0, 0, 1, *name]
    assert other[:2] == [1, 0]
    assert groups["counts"].views[0][0].tolist() == [1, 1, 1, 0, 1, *name]


def test_columns_that_profiles_of_devices_hold_stay_where_they_are():
    space = Space(
        Integer("layers", 1, 3),
        Choice("first", ["x", "y"]),
        Real("width", 0.25, 1.0),
        Integer("late", 4, 5, when={"layers": [3]}),
        Choice("second", ["x", "y"]),
    )
    genome = {"layers": 3, "first": "x", "width": 0.5, "late": 5, "second": "y"}
    views = space_views(space, [genome])
    assert list(views) == ["genes", "counts"]
    assert views["genes"].tolist() == [[3, 1, 0, 0.5, 1, 5, 0, 1, 0, 0, 1, 0, 1]]
    assert views["counts"].tolist() == [[0, 0, 1, 1, 1, 0, 1, 0.5]]


def test_no_designs_have_as_many_columns_as_some_and_are_predicted(net):
    genomes = [net.space.decode(code) for code in net.space.sample(20, np.random.default_rng(0))]
    some, none = (space_groups(net.space, given) for given in (genomes, []))
    assert none["genes"].views[0].shape == (0, some["genes"].views[0].shape[1])
    assert space_features(net.space, []).shape == (0, 8)
    model = EnsembleRegressor()
    model.fit(list(some.values()), np.arange(20.0))
    mean, deviation = model.predict(list(none.values()))
    assert len(mean) == len(deviation) == 0


def test_monotone_genes_come_first_once_and_point_the_right_way(net):
    error, latency = net.metrics
    genome = {"depth": 2, "kernel": 5, "width": 0.5}
    assert list(monotone_genes(error).items()) == [("width", -1)]
    assert monotone_genes(latency) == {"width": 1, "depth": 1}
    for metric in (error, latency):
        (group,) = metric_groups(net, metric, [genome])
        assert [view.tolist() for view in group.views] == [[[0.5, 2, 0, 1, 5, 0, 0, 0]]]


def test_groups_say_which_genes_are_tied():
    class Stack(Problem):
        space = Space(*(Choice(f"layer{number}", "abc") for number in range(4)))
        metrics = (Metric("cost"),)
        objectives = (Objective("cost"),)

        def evaluate(self, genome, metrics):
            return {"cost": 1.0}

    class Known(Stack):
        def features(self, genomes):
            return np.zeros((len(genomes), 2))

    genome = dict.fromkeys(Stack.space.names, "a")
    genes, counts = metric_groups(Stack(), Stack.metrics[0], [genome])
    assert genes.layouts == [KernelLayout(12, ((4, 3),))]
    assert counts.layouts == [KernelLayout(3)]
    assert not genes.variant
    features, beside = metric_groups(Known(), Known.metrics[0], [genome])
    assert features.layouts == [KernelLayout(2)]
    assert beside.layouts == [KernelLayout(12, ((4, 3),)), KernelLayout(3)]
    assert (features.variant, beside.variant) == (False, True)


@pytest.mark.parametrize("method", ["features", "views"])
@pytest.mark.parametrize(
    ("view", "message"),
    [
        ([["a"], ["b"]], "cannot be read as an array of numbers"),
        ([[1], [1, 2]], "cannot be read as an array of numbers"),
        ([[1.0], [np.nan]], "holds a value that is not finite"),
        ([1.0, 2.0], r"has the shape \(2,\); it must be \(2, columns\)"),
        ([[1.0]], r"has the shape \(1, 1\); it must be"),
    ],
)
def test_what_a_problem_describes_designs_by_is_checked(method, view, message):
    own = type("Own", (Blocks,), {method: lambda self, genomes: {"blocks": view}})()
    designs = [own.space.decode(code) for code in (own.space.lower, own.space.upper)]
    with pytest.raises(ProblemError, match=f"'blocks' that problem 'Own' .*{message}"):
        metric_groups(own, own.metrics[0], designs)
