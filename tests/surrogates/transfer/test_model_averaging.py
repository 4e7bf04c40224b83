"""Candidates, averaged by how well they explain the probes."""

import numpy as np
import pytest
from scipy.stats import cauchy, multivariate_t

from evonas.surrogates.transfer import Transfer
from evonas.surrogates.transfer.bayesian_linear_model import RATE, SHAPE
from evonas.surrogates.transfer.model_averaging import OUTLIER_WIDTH, OUTLIERS, ModelAverage


@pytest.mark.parametrize(("k", "devices"), [(3, 3), (5, 0), (5, 3), (12, 3)])
def test_what_candidates_make_of_the_probes_is_as_without_the_shortcuts(
    k, devices, additive, unseen_device
):
    """Each probe is really left out, and evidence is the density of a multivariate t."""
    views, known = additive(150, noise=0.05)
    transfer = Transfer(views, known[:, :devices])
    costs = unseen_device(views, noise=0.05)[:k]
    costs[1] *= 3
    terms = transfer.prior.terms.take(np.arange(k))
    flat = np.zeros(len(transfer.prior.candidates.classes))
    average = ModelAverage(transfer.prior.candidates, terms, costs, flat, np.full(k, 0.02))
    found, scaled = average._found, costs / average.scale
    relative = np.log(scaled / terms.level)
    anywhere = (
        cauchy.logpdf(relative, scale=OUTLIER_WIDTH)
        - np.log(scaled)
        + np.log(OUTLIERS / (1 - OUTLIERS))
    )
    candidates = np.arange(0, len(transfer.prior.candidates), 7)
    residuals, slopes = average._residuals(candidates)
    covariances = RATE / SHAPE * average._covariances(candidates)

    def density(row, rows):
        """Log density of some probes, and of those that a candidate sets aside."""
        own = multivariate_t(
            None, covariances[row][np.ix_(rows, rows)], df=2 * SHAPE, allow_singular=True
        )
        aside = found.outliers[candidates[row]]
        return own.logpdf(residuals[row, rows]) + slopes[row, rows].sum() + anywhere[aside].sum()

    # All evidence is up to one factor.
    one = density(0, np.flatnonzero(~found.outliers[0])) - found.cases[0, 0]
    for row, candidate in enumerate(candidates):
        residual, covariance = residuals[row], covariances[row]
        rest = np.flatnonzero(~found.outliers[candidate])
        assert density(row, rest) - found.cases[candidate, 0] == pytest.approx(one, abs=1e-5)
        for probe in range(k):
            others = np.setdiff1d(rest, [probe])
            gains = np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, probe])
            error = residual[probe] - gains @ residual[others]
            variance = covariance[probe, probe] - gains @ covariance[others, probe]
            shape = SHAPE + len(others) / 2
            weights = np.linalg.solve(covariance[np.ix_(others, others)], residual[others])
            variance *= (SHAPE + 0.5 * residual[others] @ weights) / shape
            assert found.error[candidate, probe] == pytest.approx(error, rel=1e-4, abs=1e-6)
            assert found.variance[candidate, probe] == pytest.approx(variance, rel=1e-3)
            if probe in rest:
                told = density(row, rest) - density(row, others)
                assert found.log_density[candidate, probe] == pytest.approx(told, abs=1e-3)
                without = density(row, others) + anywhere[probe] - one
                assert found.cases[candidate, 1 + probe] == pytest.approx(without, abs=1e-3)
            else:
                assert found.cases[candidate, 1 + probe] == -np.inf


def test_many_probes_are_looked_at_in_chunks(monkeypatch, additive, unseen_device):
    views, known = additive(150, noise=0.03)
    target = unseen_device(views, noise=0.03)
    transfer = Transfer(views, known)
    sizes, whole = [], ModelAverage._covariances

    def watch(self, some):
        covariances = whole(self, some)
        sizes.append(covariances.size)
        return covariances

    monkeypatch.setattr(ModelAverage, "_covariances", watch)
    found = []
    for most in (10**7, 10**5):
        monkeypatch.setattr("evonas.surrogates.transfer.chunks.ELEMENTS", most)
        found.append(transfer.fit(range(40), target[:40]))
    assert max(sizes[-10:]) <= 10**5 < max(sizes)
    np.testing.assert_allclose(found[0].predict().mean, found[1].predict().mean, rtol=1e-9)
    assert found[0].monotonicity == found[1].monotonicity


def test_screening_candidates_again_leaves_those_that_count(monkeypatch, additive, unseen_device):
    views, known = additive(noise=0.03, seed=1)
    measured = unseen_device(views, noise=0.03)[:90]
    measured[[5, 70]] *= 4
    transfer = Transfer(views, known)
    found = []
    for screens in (((16, 1500), (64, 200)), ((16, 1500),)):
        monkeypatch.setattr("evonas.surrogates.transfer.model_averaging.SCREENS", screens)
        average = transfer.fit(range(90), measured)._average
        assert (~average.used).nonzero()[0].tolist() == [5, 70]
        found.append(average)
    assert len(found[0]._candidates) == 200 < len(found[1]._candidates)
    means = [average.predict(transfer.prior.terms).mean for average in found]
    np.testing.assert_allclose(*means, rtol=1e-3)
