"""The covariance of scores."""

import numpy as np

from evonas.surrogates.process.kernel import (
    NOISE,
    Kernel,
    KernelLayout,
    hyperprior,
    prior_covariance,
    split,
    standardisation,
)


def test_the_covariance_is_that_of_its_definition(noisy_plane, layouts, by_definition):
    rows, _ = noisy_plane(20)
    other, _ = noisy_plane(7, seed=1)
    theta = hyperprior(layouts).means
    theta += 0.3 * np.random.default_rng(0).standard_normal(len(theta))
    kernel = Kernel(layouts, theta)
    found = kernel(kernel.inputs(rows), kernel.inputs(other))
    np.testing.assert_allclose(found, by_definition(theta, rows, other), rtol=1e-9)
    variance = np.diag(by_definition(theta, rows, rows))
    np.testing.assert_allclose(kernel.variance(rows), variance, rtol=1e-9)
    assert kernel.noise == np.exp(theta[6])


def test_rows_are_at_a_distance_of_about_one_and_tied_columns_are_scaled_alike(noisy_plane):
    features, _ = noisy_plane(200)
    features = np.hstack([features * [1, 10, 100, 1, 10, 100], np.ones((200, 1))])
    layouts = [KernelLayout(6, ((2, 3),)), KernelLayout(1)]
    centre, factors = standardisation(features, layouts)
    np.testing.assert_array_equal(factors[:3], factors[3:6])
    assert factors[6] == 0
    view, constant = split((features - centre) * factors, layouts)
    squares = np.square(view[:, None] - view).sum(axis=2)
    assert 1 < squares.mean() < 3
    assert (constant == 0).all()


def test_a_priori_scores_have_a_variance_of_about_one(noisy_plane):
    features, _ = noisy_plane(100)
    covariance, noise = prior_covariance([features[:, :2], features[:, 2:]])
    assert noise == NOISE
    assert 0.7 < np.diag(covariance).mean() + noise < 1.3
