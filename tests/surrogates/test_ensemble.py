"""The model of one metric."""

import numpy as np
import pytest

from evonas import Choice, Space
from evonas.run.diagnostics import spearman
from evonas.surrogates.encoding import (
    FeatureGroup,
    space_groups,
)
from evonas.surrogates.ensemble import EnsembleRegressor


@pytest.mark.parametrize("rows", [10, 20, 60, 150])
def test_it_ranks_unseen_rows_and_its_intervals_cover(noisy_plane, rows):
    features, values = noisy_plane(rows)
    unseen, truth = noisy_plane(500, seed=1)
    model = EnsembleRegressor()
    model.fit([FeatureGroup([features])], values)
    mean, deviation = model.predict([FeatureGroup([unseen])])
    assert spearman(mean, truth) > (0.6 if rows < 20 else 0.85)
    covered = np.mean(np.abs(mean - truth) <= 1.645 * deviation)
    assert covered >= 0.75
    if rows >= 60:
        # It is not certain of too little either: the noise has a deviation of 0.3.
        assert 0.82 <= covered <= 0.98
        assert 0.25 < np.median(deviation) < 1.0


def test_a_few_terrible_rows_do_not_spoil_the_order_of_the_good_ones(noisy_plane):
    agreement = []
    for seed in range(4):
        features, values = noisy_plane(80, seed, noise=0.05)
        broken = features[:, 1] > 0.9
        assert 3 < broken.sum() < 20
        model = EnsembleRegressor()
        model.fit([FeatureGroup([features])], np.where(broken, -100.0, values))
        unseen, truth = noisy_plane(400, seed + 4, noise=0.05)
        fine = unseen[:, 1] < 0.8
        mean, _ = model.predict([FeatureGroup([unseen[fine]])])
        agreement.append(spearman(mean, truth[fine]))
    assert np.mean(agreement) > 0.8


def test_a_metric_is_monotone_where_its_problem_says_so(noisy_plane):
    features, values = noisy_plane(100, noise=1.0)
    model = EnsembleRegressor(directions=[0, 0, 1])
    model.fit([FeatureGroup([features])], values)
    low, high = features.copy(), features.copy()
    for share in np.linspace(0, 1, 7):
        high[:, 2] = share
        if share > 0:
            above, below = (model.predict([FeatureGroup([rows])])[0] for rows in (high, low))
            assert (above >= below - 1e-9).all()
        low[:, 2] = share


def test_constant_columns_and_values_are_no_trouble():
    model = EnsembleRegressor()
    model.fit([FeatureGroup([np.ones((12, 3))])], np.full(12, 7.0))
    mean, deviation = model.predict([FeatureGroup([np.ones((2, 3))])])
    assert mean == pytest.approx(7.0)
    assert np.isfinite(deviation).all()


def designs_of_tied_genes(designs, seed):
    """Six genes of the same six options, of which three do the same and three another thing."""
    rng = np.random.default_rng(seed)
    space = Space(*(Choice(f"edge{number}", "abcdef") for number in range(6)))
    genomes = [space.decode(code) for code in space.sample(designs, rng)]
    strong = np.array([[value in "ace" for value in genome.values()] for genome in genomes])
    # What a gene does depends on the next one.
    values = (strong[:, :-1] & strong[:, 1:]).sum(axis=1) + rng.normal(0, 0.05, designs)
    return space_groups(space, genomes), values


def test_what_options_do_is_learnt_from_all_tied_genes():
    errors = []
    for seed in range(3):
        groups, values = designs_of_tied_genes(300, seed)
        genes = groups["genes"]
        assert genes.tied == [((6, 6),)]
        for tied in (genes.tied, ()):
            model = EnsembleRegressor()
            model.fit([FeatureGroup([genes.views[0][:150]], tied=tied)], values[:150])
            mean, _ = model.predict([FeatureGroup([genes.views[0][150:]], tied=tied)])
            errors.append(np.abs(mean - values[150:]).mean())
    tied, free = np.reshape(errors, (3, 2)).mean(axis=0)
    assert tied < 0.5 * free


@pytest.mark.parametrize("grows", [True, False])
def test_noise_that_grows_with_what_is_measured_is_told_from_noise_that_does_not(grows):
    rng = np.random.default_rng(0)
    features = rng.random((160, 3))
    clean = 1 + features @ [2.0, 5.0, 8.0]
    noise = 0.05 * (clean if grows else clean.mean())
    model = EnsembleRegressor()
    model.fit([FeatureGroup([features[:120]])], (clean + noise * rng.standard_normal(160))[:120])
    _, deviation = model.predict([FeatureGroup([features])])
    order = np.argsort(clean)
    ratio = deviation[order[-40:]].mean() / deviation[order[:40]].mean()
    # In truth the noise of the upper fourth is 2.4 times that of the lower one, or the same.
    assert (1.6 < ratio < 4.0) if grows else (0.7 < ratio < 1.4)


def test_costs_that_add_up_are_known_from_few_rows():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 5, (115, 4)).astype(float)
    other = rng.random((115, 30))
    values = 3 + counts @ [1.0, 0.2, 2.0, 5.0]
    model = EnsembleRegressor()
    model.fit([FeatureGroup([other[:15]]), FeatureGroup([counts[:15]])], values[:15])
    mean, _ = model.predict([FeatureGroup([other[15:]]), FeatureGroup([counts[15:]])])
    assert np.abs(mean - values[15:]).mean() < 0.05 * values.std()


def variants(*views):
    return [FeatureGroup([view], variant=True) for view in views]


def test_graph_variants_that_a_metric_does_not_follow_are_left_out():
    error, more = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        telling, other = rng.random((230, 3)), rng.random((230, 12))
        values = np.sin(4 * telling).sum(axis=1)
        model, blurred = EnsembleRegressor(), EnsembleRegressor()
        model.fit(variants(other[:30], telling[:30]), values[:30])
        blurred.fit([FeatureGroup([other[:30], telling[:30]])], values[:30])
        mean, _ = model.predict(variants(other[30:], telling[30:]))
        worse, _ = blurred.predict([FeatureGroup([other[30:], telling[30:]])])
        error.append(np.abs(mean - values[30:]).mean())
        more.append(np.abs(worse - values[30:]).mean())
        # What is left out does not matter any more.
        same, _ = model.predict(variants(rng.random((200, 12)), telling[30:]))
        np.testing.assert_array_equal(same, mean)
    assert np.mean(error) < 0.85 * np.mean(more)
