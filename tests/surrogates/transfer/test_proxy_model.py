"""The model of a proxy device."""

import numpy as np
import pytest

from evonas.errors import DataError
from evonas.surrogates.transfer import ProxyModel
from evonas.surrogates.transfer.proxy_model import column_costs


def test_a_proxy_rises_with_the_knob():
    rng = np.random.default_rng(0)
    features = rng.random((300, 3))
    costs = np.exp(features[:, 0] + np.sin(9 * features[:, 1]) + 0.3 * rng.standard_normal(300))
    model = ProxyModel([0]).fit(features, costs)
    knob = np.linspace(0, 1, 50)
    for row in features[:20]:
        line = model.predict(np.column_stack([knob, *(np.full(50, v) for v in row[1:])]))
        assert (np.diff(line) >= 0).all()
    again = ProxyModel.from_arrays(model.to_arrays())
    np.testing.assert_array_equal(again.predict(features), model.predict(features))


def test_costs_of_columns_are_found_and_never_negative(additive):
    views, _ = additive()
    counts = views["counts"][:, :3]  # All four add up to a constant.
    found = column_costs(counts, 2 + counts @ np.array([0.5, 0.0, 3.0]))
    np.testing.assert_allclose(found, [2, 0.5, 0, 3], atol=0.15)
    falling = column_costs(counts, 10 - counts[:, 0])
    assert (falling >= 0).all()
    signed = np.column_stack([counts, -counts[:, 0]])
    assert column_costs(signed, 1 + counts[:, 1])[-1] == 0


def test_a_proxy_of_few_designs_predicts_costs_that_add_up(additive):
    views, known = additive(400)
    model = ProxyModel().fit(views["counts"][:60], known[:60, 0])
    assert np.abs(model.predict(views["counts"][60:]) / known[60:, 0] - 1).mean() < 0.02
    saved = model.to_arrays()
    with pytest.raises(DataError, match="damaged"):
        ProxyModel.from_arrays(saved | {"trees": saved["trees"][:100]})
