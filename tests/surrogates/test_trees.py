"""Gradient-boosted trees."""

import numpy as np

from evonas.surrogates.trees import FOLDS, Trees, out_of_fold


def test_trees_are_monotone_in_the_first_columns(noisy_plane):
    features, values = noisy_plane(100, noise=1.0)
    trees = Trees([1, -1])
    trees.fit(features, values)
    for column, direction in enumerate((1, -1)):
        rows = np.repeat(features[:10], 21, axis=0)
        rows[:, column] = np.tile(np.linspace(0, 1, 21), 10)
        steps = np.diff(trees.predict(rows).reshape(10, 21), axis=1)
        assert (direction * steps >= 0).all()
        assert (direction * steps > 0).any()


def test_a_row_is_predicted_by_trees_that_have_not_seen_it(noisy_plane):
    features, values = noisy_plane(30)
    predicted = out_of_fold(features, values, [])
    values[5] += 100
    changed = out_of_fold(features, values, [])
    same_fold = np.arange(30) % FOLDS == 5 % FOLDS
    np.testing.assert_array_equal(changed[same_fold], predicted[same_fold])
    assert (changed[~same_fold] != predicted[~same_fold]).any()
