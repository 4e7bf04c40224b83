"""The log marginal likelihood."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from evonas.surrogates.process.kernel import hyperprior
from evonas.surrogates.process.likelihood import LogLikelihood


def test_the_likelihood_is_that_of_its_definition_and_has_the_slope_of_small_steps(
    noisy_plane, by_definition, layouts
):
    rows, values = noisy_plane(20)
    noise_scale = np.linspace(0.2, 3, 20)
    likelihood = LogLikelihood(rows, layouts, values, noise_scale)
    theta = hyperprior(layouts).means
    theta += 0.2 * np.random.default_rng(0).standard_normal(len(theta))
    found, slope = likelihood(theta)
    gram = by_definition(theta, rows, rows) + np.exp(theta[6]) * np.diag(noise_scale)
    assert found == pytest.approx(multivariate_normal.logpdf(values, cov=gram), rel=1e-6)
    for place, step in enumerate(1e-5 * np.eye(len(theta))):
        above, below = (likelihood(theta + s)[0] for s in (step, -step))
        assert slope[place] == pytest.approx((above - below) / 2e-5, rel=1e-5, abs=1e-6)
