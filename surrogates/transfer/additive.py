"""Costs that add up: what each column of a view costs, none less than nothing."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from evonas.space import FloatArray

RIDGE = 1e-3
"""How strongly the columns are drawn towards equal shares of the cost."""

LEAST = 0.02
"""Least share of the cost that all columns together have."""

FEW = 0.3
"""Costs below this share of the median count by their absolute error."""


def with_constant(view: FloatArray) -> FloatArray:
    """Put a column of ones first."""
    return np.hstack([np.ones((len(view), 1)), view])


def column_costs(view: FloatArray, costs: FloatArray) -> FloatArray:
    """Fit what columns cost by non-negative ridge regression of relative errors.

    Args:
        view: Of designs, shape (designs, columns). Columns with negative values cost nothing.
        costs: Of the designs, positive.

    Returns:
        Costs of a constant and of every column for each unit of it, shape (1 + columns,).
    """
    columns = with_constant(view)
    means = columns.mean(axis=0)
    used = (columns >= 0).all(axis=0) & (means > 1e-9)
    columns, count, median = columns[:, used] / means[used], int(used.sum()), np.median(costs)
    weight = 1 / np.maximum(costs, FEW * median)
    weighted = columns * weight[:, None]
    prior = RIDGE * len(costs) / median**2
    root = np.linalg.cholesky(weighted.T @ weighted + prior * np.eye(count))
    right = weighted.T @ (costs * weight) + prior * median / count
    fitted = nnls(root.T, np.linalg.solve(root, right))[0]
    found = np.zeros(len(used))
    found[used] = np.maximum(fitted, LEAST * median / count) / means[used]
    return found
