"""Models of one metric."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import kernels
from threadpoolctl import threadpool_limits

from evonas import Choice, Integer, Metric, Objective, Problem, Real, Space
from evonas.errors import ProblemError
from evonas.problems.toy import Blocks
from evonas.run.diagnostics import rank_agreement
from evonas.surrogates.encoding import (
    Group,
    metric_groups,
    monotone_genes,
    space_features,
    space_groups,
    space_views,
)
from evonas.surrogates.ensemble import Blend
from evonas.surrogates.metric_models import MetricModels
from evonas.surrogates.process.kernel import Kernel, Layout, expected
from evonas.surrogates.process.likelihood import LogLikelihood
from evonas.surrogates.process.regression import GaussianProcess
from evonas.surrogates.scaling import SCALINGS
from evonas.surrogates.trees import Trees


def noisy_plane(rows, seed=0, columns=6, noise=0.3):
    rng = np.random.default_rng(seed)
    features = rng.random((rows, columns))
    clean = 5 + features @ np.arange(columns) + np.sin(6 * features[:, 0])
    return features, clean + noise * rng.standard_normal(rows)


@pytest.mark.parametrize("rows", [10, 20, 60, 150])
def test_it_ranks_unseen_rows_and_its_intervals_cover(rows):
    features, values = noisy_plane(rows)
    unseen, truth = noisy_plane(500, seed=1)
    model = Blend()
    model.fit([Group([features])], values)
    mean, deviation = model.predict([Group([unseen])])
    assert rank_agreement(mean, truth) > (0.6 if rows < 20 else 0.85)
    covered = np.mean(np.abs(mean - truth) <= 1.645 * deviation)
    assert covered >= 0.75
    if rows >= 60:
        # It is not certain of too little either: the noise has a deviation of 0.3.
        assert 0.82 <= covered <= 0.98
        assert 0.25 < np.median(deviation) < 1.0


def test_a_few_terrible_rows_do_not_spoil_the_order_of_the_good_ones():
    agreement = []
    for seed in range(4):
        features, values = noisy_plane(80, seed, noise=0.05)
        broken = features[:, 1] > 0.9
        assert 3 < broken.sum() < 20
        model = Blend()
        model.fit([Group([features])], np.where(broken, -100.0, values))
        unseen, truth = noisy_plane(400, seed + 4, noise=0.05)
        fine = unseen[:, 1] < 0.8
        mean, _ = model.predict([Group([unseen[fine]])])
        agreement.append(rank_agreement(mean, truth[fine]))
    assert np.mean(agreement) > 0.8


def test_a_metric_is_monotone_where_its_problem_says_so():
    features, values = noisy_plane(100, noise=1.0)
    model = Blend(directions=[0, 0, 1])
    model.fit([Group([features])], values)
    low, high = features.copy(), features.copy()
    for share in np.linspace(0, 1, 7):
        high[:, 2] = share
        if share > 0:
            assert (
                model.predict([Group([high])])[0] >= model.predict([Group([low])])[0] - 1e-9
            ).all()
        low[:, 2] = share


def test_constant_columns_and_values_are_no_trouble():
    model = Blend()
    model.fit([Group([np.ones((12, 3))])], np.full(12, 7.0))
    mean, deviation = model.predict([Group([np.ones((2, 3))])])
    assert mean == pytest.approx(7.0)
    assert np.isfinite(deviation).all()


def test_leaving_one_out_is_what_fitting_without_it_gives():
    features, values = noisy_plane(15)
    process = GaussianProcess()
    process.fit(features, values)
    left_out = process.leave_one_out()
    # The closed form keeps the scaling of columns and values, and so does this.
    kernel = Kernel([Layout(6)], process.hyperparameters)
    placed = kernel.place(process._rows)
    gram = kernel(placed, placed) + kernel.noise * np.eye(15)
    scaled = (values - values.mean()) / values.std()
    for row in (0, 7):
        keep = np.arange(15) != row
        found = gram[row, keep] @ np.linalg.solve(gram[np.ix_(keep, keep)], scaled[keep])
        assert left_out.mean[row] == pytest.approx(values.mean() + values.std() * found, rel=1e-6)


def test_trees_are_the_same_after_a_round_trip_through_json(tmp_path):
    features, values = noisy_plane(60)
    trees = Trees(seed=3)
    trees.fit(features, values)
    trees.save(tmp_path / "trees.json")
    assert (tmp_path / "trees.json").read_text().startswith("{")
    again = Trees.load(tmp_path / "trees.json")
    assert (again.predict(features) == trees.predict(features)).all()


def test_a_view_that_a_metric_does_not_depend_on_does_not_set_designs_apart():
    def truth(rows):
        return np.sin(6 * rows[:, 0]) + rows[:, 1]

    errors = []
    for seed in range(3):
        features, _ = noisy_plane(60, seed)
        unseen, _ = noisy_plane(200, seed + 3)
        noise, _ = noisy_plane(260, seed + 6, columns=20)
        for layouts in ([Layout(6), Layout(20)], [Layout(26)]):
            process = GaussianProcess(layouts)
            process.fit(np.hstack([features, noise[:60]]), truth(features))
            mean, _ = process.predict(np.hstack([unseen, noise[60:]]))
            errors.append(np.abs(mean - truth(unseen)).mean())
    told_apart, as_one = np.reshape(errors, (3, 2)).mean(axis=0)
    assert told_apart < 0.9 * as_one


PLAIN = [Layout(2), Layout(4)]
WITH_PARTS = [Layout(2), Layout(4, ((2, 2),))]
"""The second view has two parts of two columns that are alike."""


def by_definition(hyperparameters, own, other):
    """What two views of 2 and 4 columns have in common, computed by scikit-learn's kernels."""
    views = np.exp(hyperparameters[:6]).reshape(2, 3)
    entries = hyperparameters[7:].reshape(-1, 2, 2)
    by = np.kron(np.eye(2), entries[0]) if len(entries) else np.eye(4)
    return sum(
        smooth * kernels.Matern(length, nu=2.5)(own[:, view] @ to, other[:, view] @ to)
        + trend * kernels.DotProduct(0.0)(own[:, view], other[:, view])
        for (length, smooth, trend), view, to in zip(
            views, (slice(2), slice(2, 6)), (np.eye(2), by), strict=True
        )
    )


@pytest.mark.parametrize("layouts", [PLAIN, WITH_PARTS], ids=["plain", "with parts"])
@pytest.mark.parametrize("rows", [12, 150])
def test_the_process_predicts_what_its_definition_says(rows, layouts):
    features, values = noisy_plane(rows)
    unseen, _ = noisy_plane(40, seed=1)
    process = GaussianProcess(layouts)
    process.fit(features, values)
    theta = process.hyperparameters
    variances = features.var(axis=0)
    if layouts == WITH_PARTS:
        # Columns that mean the same are scaled alike.
        variances[2:] = np.tile(variances[2:].reshape(2, 2).mean(axis=0), 2)
        assert not np.allclose(theta[7:], [1, 0, 0, 1], atol=0.02)
    spread = np.sqrt(variances * [2, 2, 4, 4, 4, 4])
    own, other = ((x - features.mean(axis=0)) / spread for x in (features, unseen))
    noise = np.exp(theta[6])
    gram = by_definition(theta, own, own) + noise * np.eye(rows)
    common = by_definition(theta, other, own)
    reduction = np.sum(common.T * np.linalg.solve(gram, common.T), axis=0)
    variance = np.diag(by_definition(theta, other, other)) + noise - reduction
    targets = (values - values.mean()) / values.std()
    mean = values.mean() + values.std() * common @ np.linalg.solve(gram, targets)
    np.testing.assert_allclose(process.predict(unseen)[0], mean, rtol=1e-6)
    np.testing.assert_allclose(
        process.predict(unseen)[1], values.std() * np.sqrt(variance), rtol=1e-6
    )


@pytest.mark.parametrize("layouts", [PLAIN, WITH_PARTS], ids=["plain", "with parts"])
def test_the_likelihood_is_that_of_its_definition_and_has_the_slope_of_small_steps(layouts):
    rows, values = noisy_plane(20)
    spread = np.linspace(0.2, 3, 20)
    likelihood = LogLikelihood(rows, layouts, values, spread)
    theta = expected(layouts).values
    theta += 0.2 * np.random.default_rng(0).standard_normal(len(theta))
    found, slope = likelihood(theta)
    gram = by_definition(theta, rows, rows) + np.exp(theta[6]) * np.diag(spread)
    assert found == pytest.approx(multivariate_normal.logpdf(values, cov=gram), rel=1e-6)
    for place, step in enumerate(1e-5 * np.eye(len(theta))):
        above, below = (likelihood(theta + s)[0] for s in (step, -step))
        assert slope[place] == pytest.approx((above - below) / 2e-5, rel=1e-5, abs=1e-6)


def alike_designs(designs, seed):
    """Six genes of the same six options, of which three do the same and three another thing."""
    rng = np.random.default_rng(seed)
    space = Space(*(Choice(f"edge{number}", "abcdef") for number in range(6)))
    genomes = [space.decode(code) for code in space.sample(designs, rng)]
    strong = np.array([[value in "ace" for value in genome.values()] for genome in genomes])
    # What a gene does depends on the next one.
    values = (strong[:, :-1] & strong[:, 1:]).sum(axis=1) + rng.normal(0, 0.05, designs)
    return space_groups(space, genomes), values


def test_what_options_of_genes_that_are_alike_do_is_learnt_from_all_of_them():
    errors = []
    for seed in range(3):
        groups, values = alike_designs(300, seed)
        genes = groups["genes"]
        assert genes.alike == [((6, 6),)]
        for alike in (genes.alike, ()):
            model = Blend()
            model.fit([Group([genes.views[0][:150]], alike=alike)], values[:150])
            mean, _ = model.predict([Group([genes.views[0][150:]], alike=alike)])
            errors.append(np.abs(mean - values[150:]).mean())
    told, untold = np.reshape(errors, (3, 2)).mean(axis=0)
    assert told < 0.5 * untold


@pytest.mark.parametrize("grows", [True, False])
def test_noise_that_grows_with_what_is_measured_is_told_from_noise_that_does_not(grows):
    rng = np.random.default_rng(0)
    features = rng.random((160, 3))
    clean = 1 + features @ [2.0, 5.0, 8.0]
    noise = 0.05 * (clean if grows else clean.mean())
    model = Blend()
    model.fit([Group([features[:120]])], (clean + noise * rng.standard_normal(160))[:120])
    _, deviation = model.predict([Group([features])])
    order = np.argsort(clean)
    ratio = deviation[order[-40:]].mean() / deviation[order[:40]].mean()
    # In truth the noise of the upper fourth is 2.4 times that of the lower one, or the same.
    assert (1.6 < ratio < 4.0) if grows else (0.7 < ratio < 1.4)


def test_costs_that_add_up_are_known_from_few_rows():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 5, (115, 4)).astype(float)
    other = rng.random((115, 30))
    values = 3 + counts @ [1.0, 0.2, 2.0, 5.0]
    model = Blend()
    model.fit([Group([other[:15]]), Group([counts[:15]])], values[:15])
    mean, _ = model.predict([Group([other[15:]]), Group([counts[15:]])])
    assert np.abs(mean - values[15:]).mean() < 0.05 * values.std()


def readings(*views):
    return [Group([view], reading=True) for view in views]


def test_readings_that_a_metric_does_not_follow_are_left_out():
    error, more = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        telling, other = rng.random((230, 3)), rng.random((230, 12))
        values = np.sin(4 * telling).sum(axis=1)
        model, blurred = Blend(), Blend()
        model.fit(readings(other[:30], telling[:30]), values[:30])
        blurred.fit([Group([other[:30], telling[:30]])], values[:30])
        mean, _ = model.predict(readings(other[30:], telling[30:]))
        worse, _ = blurred.predict([Group([other[30:], telling[30:]])])
        error.append(np.abs(mean - values[30:]).mean())
        more.append(np.abs(worse - values[30:]).mean())
        # What is left out does not matter any more.
        same, _ = model.predict(readings(rng.random((200, 12)), telling[30:]))
        np.testing.assert_array_equal(same, mean)
    assert np.mean(error) < 0.85 * np.mean(more)


@pytest.mark.parametrize(
    ("rows", "directions", "alike"),
    [(12, [], ()), (60, [], ()), (60, [1], ()), (60, [], [((2, 2), (1, 1))])],
)
def test_a_model_predicts_the_same_after_it_was_saved(tmp_path, rows, directions, alike):
    features, values = noisy_plane(rows)
    model = Blend(directions)
    model.fit([Group([features], alike=alike)], values)
    model.save(tmp_path)
    again = Blend.load(tmp_path)
    unseen = [Group([noisy_plane(30, seed=1)[0]], alike=alike)]
    for found, before in zip(again.predict(unseen), model.predict(unseen), strict=True):
        np.testing.assert_allclose(found, before, rtol=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40),
    st.sampled_from(SCALINGS),
)
def test_scalings_rise_and_come_back(values, kind):
    values = np.unique(np.round(values, 3))
    scaling = kind.fit(values)
    scores = scaling.to_scores(values)
    assert (np.diff(scores) > 0).all()
    np.testing.assert_allclose(scaling.to_values(scores), values, rtol=1e-6, atol=1e-3)


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


def test_features_come_from_the_space():
    rows = space_features(
        Net.space,
        [
            {"depth": 1, "kernel": 5, "width": 0.5},
            {"depth": 3, "kernel": 3, "pool": "mean", "width": 1.0},
        ],
    )
    assert rows.tolist() == [[1, 0, 1, 5, 0, 0, 0, 0.5], [3, 1, 0, 3, 1, 0, 1, 1.0]]


def test_views_of_a_space_count_options_that_are_alike():
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
    assert groups["genes"].alike == [((2, 2), (1, 4), (1, 5))]
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


def test_no_designs_have_as_many_columns_as_some_and_are_predicted():
    genomes = [Net.space.decode(code) for code in Net.space.sample(20, np.random.default_rng(0))]
    some, none = (space_groups(Net.space, given) for given in (genomes, []))
    assert none["genes"].views[0].shape == (0, some["genes"].views[0].shape[1])
    assert space_features(Net.space, []).shape == (0, 8)
    model = Blend()
    model.fit(list(some.values()), np.arange(20.0))
    mean, deviation = model.predict(list(none.values()))
    assert len(mean) == len(deviation) == 0


def test_monotone_genes_come_first_once_and_point_the_right_way():
    error, latency = Net.metrics
    genome = {"depth": 2, "kernel": 5, "width": 0.5}
    assert list(monotone_genes(error).items()) == [("width", -1)]
    assert monotone_genes(latency) == {"width": 1, "depth": 1}
    for metric in (error, latency):
        (group,) = metric_groups(Net(), metric, [genome])
        assert [view.tolist() for view in group.views] == [[[0.5, 2, 0, 1, 5, 0, 0, 0]]]


class Described(Net):
    def features(self, genomes):
        return np.array([[g["width"], -g["width"] * g["depth"]] for g in genomes])


@pytest.mark.parametrize("problem", [Net(), Described()], ids=["genes", "own features"])
def test_predictions_are_monotone_whatever_the_noise_and_the_features(problem):
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
    assert rank_agreement(mean, values[60:]) > 0.9


def test_models_are_told_which_genes_are_alike():
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
    assert genes.layouts == [Layout(12, ((4, 3),))]
    assert counts.layouts == [Layout(3)]
    assert not genes.reading
    features, beside = metric_groups(Known(), Known.metrics[0], [genome])
    assert features.layouts == [Layout(2)]
    assert beside.layouts == [Layout(12, ((4, 3),)), Layout(3)]
    assert (features.reading, beside.reading) == (False, True)


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


def test_models_do_their_algebra_on_one_thread(monkeypatch, blas_threads):
    threads = []

    class Watching(GaussianProcess):
        def fit(self, features, scores):
            threads.append(blas_threads())
            super().fit(features, scores)

        def predict(self, features):
            threads.append(blas_threads())
            return super().predict(features)

    monkeypatch.setattr("evonas.surrogates.ensemble.GaussianProcess", Watching)
    problem = Net()
    codes = problem.space.sample(12, np.random.default_rng(0))
    genomes = [problem.space.decode(code) for code in codes]
    models = MetricModels(problem)
    with threadpool_limits(2):
        models.fit(genomes, {"error": np.arange(12.0)})
        models.predict(genomes, ["error"])
        assert blas_threads() == {2}
    assert len(threads) > 2
    assert all(found == {1} for found in threads)
