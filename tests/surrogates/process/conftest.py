import numpy as np
import pytest
from sklearn.gaussian_process import kernels

from evonas.surrogates.process.kernel import KernelLayout

PLAIN = (KernelLayout(2), KernelLayout(4))
TIED = (KernelLayout(2), KernelLayout(4, ((2, 2),)))
"""The second view has two tied blocks of two columns."""


@pytest.fixture(params=[PLAIN, TIED], ids=["plain", "tied blocks"])
def layouts(request):
    """The layouts of two views of 2 and 4 columns."""
    return request.param


@pytest.fixture(scope="session")
def by_definition():
    """A function that gives the covariance of two such views, by scikit-learn's kernels."""

    def covariance(hyperparameters, own, other):
        views = np.exp(hyperparameters[:6]).reshape(2, 3)
        entries = hyperparameters[7:].reshape(-1, 2, 2)
        by = np.kron(np.eye(2), entries[0]) if len(entries) else np.eye(4)
        return sum(
            signal * kernels.Matern(length, nu=2.5)(own[:, view] @ to, other[:, view] @ to)
            + linear * kernels.DotProduct(0.0)(own[:, view], other[:, view])
            for (length, signal, linear), view, to in zip(
                views, (slice(2), slice(2, 6)), (np.eye(2), by), strict=True
            )
        )

    return covariance
