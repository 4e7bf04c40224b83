"""The predictor of a new device."""

import json

import numpy as np
import pytest

from evonas.errors import DataError
from evonas.surrogates.transfer import Predictor, Transfer


def test_intervals_cover_and_enclose_the_mean(additive, unseen_device):
    shares = []
    for seed in range(4):
        views, known = additive(noise=0.05, seed=seed)
        target = unseen_device(views, noise=0.05, seed=seed + 9)
        transfer = Transfer(views, known)
        probes = transfer.choose_probes(20)
        found = transfer.fit(probes, target[probes]).predict()
        assert (found.lower > 0).all()
        assert (found.lower <= found.mean).all()
        assert (found.mean <= found.upper).all()
        shares.append(((found.lower <= target) & (target <= found.upper)).mean())
        # They say something: a good part of the range of costs lies outside of most intervals.
        assert np.median(found.upper / found.lower) < 2
    assert 0.8 < np.mean(shares) < 0.98


def test_intervals_of_designs_that_cost_next_to_nothing_are_small_beside_the_others(
    costs_of_many_parts,
):
    for seed in range(3):
        counts, parts, rng = costs_of_many_parts(seed)
        counts[:10] = 0
        transfer = Transfer({"counts": counts}, 1e-3 + counts @ parts[:, None])
        target = 1e-3 + counts @ (parts * np.exp(rng.standard_normal(12)))
        probes = transfer.choose_probes(10)
        measured = target[probes] * np.exp(0.02 * rng.standard_normal(10))
        found = transfer.fit(probes, measured, np.full(10, 0.02)).predict()
        assert (found.upper[:10] < np.median(target)).all()
        assert (found.lower > 0).all()
        assert (found.lower <= found.mean).all()
        assert (found.mean <= found.upper).all()


def test_intervals_are_wider_where_proxy_costs_are_predicted(additive):
    views, known = additive(noise=0.1)
    transfer = Transfer(views, known)
    probes = transfer.choose_probes(10)
    predictor = transfer.fit(probes, known[probes, 0])
    measured, predicted = predictor.predict(), predictor.predict(views)
    assert transfer.prior.proxies.model_error > 0.05
    assert np.median(predicted.upper / predicted.lower) > np.median(measured.upper / measured.lower)


@pytest.mark.parametrize("devices", [0, 1, 3])
def test_a_saved_predictor_predicts_the_same(devices, tmp_path, additive, unseen_device):
    views, known = additive(120)
    target = unseen_device(views)
    transfer = Transfer(views, known[:, :devices])
    probes = transfer.choose_probes(8)
    predictor = transfer.fit(probes, target[probes], spread=np.full(8, 0.02))
    header, arrays = predictor.save()
    np.savez(tmp_path / "device.npz", **arrays)
    with np.load(tmp_path / "device.npz", allow_pickle=False) as saved:
        loaded = Predictor.load(json.loads(json.dumps(header)), dict(saved))
    other, _ = additive(30, seed=5)
    for designs in (None, other):
        one, two = predictor.predict(designs), loaded.predict(designs)
        np.testing.assert_allclose(one.mean, two.mean)
        np.testing.assert_allclose(one.upper, two.upper)
    assert loaded.trust == predictor.trust
    with pytest.raises(DataError, match="format"):
        Predictor.load(header | {"format": 0}, arrays)
    with pytest.raises(DataError, match="lacks 'costs'"):
        Predictor.load(header, {name: a for name, a in arrays.items() if name != "costs"})


def test_views_are_told_by_their_names_and_others_are_left_out(additive, unseen_device):
    views, known = additive(60)
    variants = {"n:all": views["counts"], "n:live": views["counts"][:, ::-1]}
    transfer = Transfer(variants, known[:, :1])
    predictor = transfer.fit(range(8), unseen_device(views)[:8])
    more = {"n:other": views["counts"], **dict(reversed(variants.items())), **views}
    np.testing.assert_array_equal(predictor.predict(more).mean, predictor.predict(variants).mean)
