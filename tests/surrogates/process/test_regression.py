"""Gaussian-process regression."""

import numpy as np
import pytest

from evonas.surrogates.process.kernel import Kernel, KernelLayout
from evonas.surrogates.process.regression import GaussianProcess


def test_leaving_one_out_is_what_fitting_without_it_gives(noisy_plane):
    features, values = noisy_plane(15)
    process = GaussianProcess()
    process.fit(features, values)
    left_out = process.leave_one_out()
    # The closed form keeps the scaling of columns and values, and so does this.
    kernel = Kernel([KernelLayout(6)], process.hyperparameters)
    inputs = kernel.inputs(process._rows)
    gram = kernel(inputs, inputs) + kernel.noise * np.eye(15)
    scaled = (values - values.mean()) / values.std()
    for row in (0, 7):
        keep = np.arange(15) != row
        found = gram[row, keep] @ np.linalg.solve(gram[np.ix_(keep, keep)], scaled[keep])
        assert left_out.mean[row] == pytest.approx(values.mean() + values.std() * found, rel=1e-6)


def test_a_view_that_a_metric_does_not_depend_on_does_not_set_designs_apart(noisy_plane):
    def truth(rows):
        return np.sin(6 * rows[:, 0]) + rows[:, 1]

    errors = []
    for seed in range(3):
        features, _ = noisy_plane(60, seed)
        unseen, _ = noisy_plane(200, seed + 3)
        noise, _ = noisy_plane(260, seed + 6, columns=20)
        for layouts in ([KernelLayout(6), KernelLayout(20)], [KernelLayout(26)]):
            process = GaussianProcess(layouts)
            process.fit(np.hstack([features, noise[:60]]), truth(features))
            mean, _ = process.predict(np.hstack([unseen, noise[60:]]))
            errors.append(np.abs(mean - truth(unseen)).mean())
    told_apart, as_one = np.reshape(errors, (3, 2)).mean(axis=0)
    assert told_apart < 0.9 * as_one


@pytest.mark.parametrize("rows", [12, 150])
def test_the_process_predicts_what_its_definition_says(noisy_plane, by_definition, rows, layouts):
    features, values = noisy_plane(rows)
    unseen, _ = noisy_plane(40, seed=1)
    process = GaussianProcess(layouts)
    process.fit(features, values)
    theta = process.hyperparameters
    variances = features.var(axis=0)
    if layouts[1].tied:
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
