"""Transfer of costs to a new device."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from evonas.errors import DataError
from evonas.run.diagnostics import spearman
from evonas.surrogates.transfer import Transfer
from evonas.surrogates.transfer.model_averaging import ModelAverage


def test_an_additive_device_is_recovered_from_ten_probes(additive, unseen_device):
    views, known = additive()
    target = unseen_device(views)
    transfer = Transfer(views, known)
    probes = transfer.choose_probes(10)
    predictor = transfer.fit(probes, target[probes])
    found = predictor.predict()
    assert predictor.method == "adapt"
    assert spearman(found.mean, target) > 0.99
    assert np.abs(found.mean / target - 1).mean() < 0.03
    assert predictor.trust.good


def test_one_outlier_does_not_spoil_the_fit(additive, unseen_device):
    views, known = additive()
    target = unseen_device(views)
    transfer = Transfer(views, known)
    probes = transfer.choose_probes(12)
    measured = target[probes]
    measured[3] *= 4
    found = transfer.fit(probes, measured).predict()
    assert np.abs(found.mean / target - 1).mean() < 0.05


@pytest.mark.parametrize(("count", "least"), [(2, 10), (3, 7)])
def test_outliers_alike_do_not_hide_one_another(additive, unseen_device, count, least):
    views, known = additive()
    target = unseen_device(views)
    transfer = Transfer(views, known)
    probes = transfer.choose_probes(16)
    rng = np.random.default_rng(0)
    told = 0
    for _ in range(10):
        outliers = np.sort(rng.choice(16, count, replace=False))
        measured = target[probes]
        measured[outliers] *= 2.5
        predictor = transfer.fit(probes, measured)
        told += predictor.trust.outliers == tuple(outliers)
    assert told >= least


@pytest.mark.parametrize("devices", [0, 1, 3])
def test_it_does_not_matter_by_how_much_an_outlier_is_off(additive, unseen_device, devices):
    views, known = additive(150)
    target = unseen_device(views)
    transfer = Transfer(views, known[:, :devices])
    means = []
    for factor in (1e3, 1e6, 1e10):
        measured = target[:12].copy()
        measured[3] *= factor
        predictor = transfer.fit(range(12), measured)
        assert predictor.trust.outliers == (3,)
        means.append(predictor.predict().mean)
    np.testing.assert_allclose(means[1:], [means[0]] * 2, rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(1e-3, 1e3))
def test_predictions_scale_with_the_unit(additive, unseen_device, factor):
    views, known = additive(150)
    target = unseen_device(views)
    transfer = Transfer(views, known[:, :1])
    probes = transfer.choose_probes(8)
    one = transfer.fit(probes, target[probes]).predict().mean
    other = transfer.fit(probes, factor * target[probes]).predict().mean
    np.testing.assert_allclose(other, factor * one, rtol=1e-6)


@pytest.mark.parametrize("devices", [1, 3])
def test_the_unit_of_all_costs_does_not_matter(additive, unseen_device, devices):
    views, known = additive(150)
    target = unseen_device(views)
    errors, means = [], []
    for unit in (1.0, 1e-12):
        transfer = Transfer(views, unit * known[:, :devices])
        predictor = transfer.fit(range(10), unit * target[:10])
        errors.append(predictor.trust.error)
        # But for the trees, which round to single precision.
        means.append(predictor.predict(views).mean / unit)
    np.testing.assert_allclose(means[1], means[0], rtol=0.02)
    assert errors[1] == pytest.approx(errors[0], rel=0.05)


def test_parts_may_be_many_times_as_slow_as_on_the_only_proxy_device(costs_of_many_parts):
    errors = []
    for seed in range(6):
        counts, parts, rng = costs_of_many_parts(seed)
        known = (0.5 + counts @ parts) * np.exp(0.03 * rng.standard_normal(200))
        parts[:3] *= 20
        target = 0.5 + counts @ parts
        transfer = Transfer({"counts": counts}, known[:, None])
        probes = transfer.choose_probes(10)
        measured = target[probes] * np.exp(0.02 * rng.standard_normal(10))
        found = transfer.fit(probes, measured, np.full(10, 0.02)).predict()
        errors.append(np.abs(found.mean / target - 1).mean())
    assert np.mean(errors) < 0.3


def test_gaps_of_a_proxy_device_are_filled(additive):
    views, known = additive()
    holes = known.copy()
    holes[::7, 1] = np.nan
    transfer = Transfer(views, holes)
    filled = transfer.proxy_costs[::7, 1]
    assert np.abs(filled / known[::7, 1] - 1).mean() < 0.1
    assert (transfer.proxy_costs[1::7] == known[1::7]).all()


def test_designs_that_no_device_was_measured_on(additive, unseen_device):
    views, known = additive(500)
    target = unseen_device(views)
    first = {name: view[:300] for name, view in views.items()}
    rest = {name: view[300:] for name, view in views.items()}
    transfer = Transfer(first, known[:300, :1])
    probes = transfer.choose_probes(12)
    by_index = transfer.fit(probes, target[probes])
    assert spearman(by_index.predict(rest).mean, target[300:]) > 0.95
    unseen = {name: view[:12] for name, view in rest.items()}
    by_views = transfer.fit(unseen, target[300:312])
    assert spearman(by_views.predict(rest).mean, target[300:]) > 0.8


def test_bad_input_is_refused(additive, unseen_device):
    views, known = additive(50)
    transfer = Transfer(views, known[:, :1])
    predictor = transfer.fit(range(8), unseen_device(views)[:8])
    few = {name: view[:3] for name, view in views.items()}
    counts = {"counts": few["counts"]}
    for call, words in (
        (lambda: Transfer(views, known[:40]), "must be \\(50, devices\\)"),
        (lambda: Transfer(views, -known), "not positive"),
        (lambda: Transfer(views, known, ["a"]), "1 families"),
        (lambda: Transfer({}), "no view"),
        (lambda: Transfer({"x": np.empty((3, 0))}, np.ones((3, 1))), "no view with a column"),
        (lambda: Transfer({"x": np.full((3, 1), np.nan)}), "not finite"),
        (lambda: Transfer({"g:a": np.ones((3, 2)), "g:b": np.ones((3, 1))}), "'g:a' has 2 columns"),
        (lambda: transfer.fit([1, 2], [1, 2]), "needs 3"),
        (lambda: transfer.fit([1, 2, 3], [1, 2]), "costs have the shape \\(2,\\); it must be"),
        (lambda: transfer.fit([1, 2, 3], [1, 2, 0]), "positive"),
        (lambda: transfer.fit([1, 2, 99], [1, 2, 3]), "probe 99"),
        (lambda: transfer.fit([1, 2, 3], [1, 2, 3], [0.1]), "spreads have the shape \\(1,\\)"),
        (lambda: transfer.fit([1, 2, 3], [1, 2, 3], [0.1, np.nan, 0.1]), "0 or more"),
        (lambda: transfer.fit([1, 2, 3], [1, 2, 3], [0.1, np.inf, 0.1]), "0 or more"),
        (lambda: transfer.fit([1, 2, 3], [1, 2, 3], [0.1, -0.1, 0.1]), "0 or more"),
        (lambda: transfer.fit([0.5, 1, 2], [1, 2, 3]), "probe 0.5 is no design"),
        (lambda: transfer.fit([True] * 3, [1, 2, 3]), "neither indices"),
        (lambda: transfer.fit(np.zeros((3, 1, 1)), [1, 2, 3]), "neither indices"),
        (lambda: transfer.fit(["a", "b", "c"], [1, 2, 3]), "probes cannot be read"),
        (lambda: transfer.fit(counts, [1, 2, 3]), "lack the view 'edges'; given are 'counts'"),
        (lambda: transfer.fit(few | {"counts": np.ones((3, 3))}, [1, 2, 3]), "has 3 columns"),
        (lambda: predictor.predict(counts), "lack the view 'edges'"),
        (lambda: predictor.predict(few | {"edges": np.ones((3, 25))}), "'edges' has 25 columns"),
        (lambda: predictor.predict(np.ones((3, 4))), "given are 'features'"),
        (lambda: predictor.predict(few, np.full((3, 1), np.nan)), "not a positive number"),
        (lambda: predictor.predict(few, -np.ones((3, 1))), "not a positive number"),
        (lambda: predictor.predict(few, np.ones((3, 2))), "must be \\(3, 1\\), designs and"),
        (lambda: predictor.predict(proxy_costs=known[:, :1]), "without the features"),
        (lambda: transfer.choose_probes(0), "1 or more"),
    ):
        with pytest.raises(DataError, match=words):
            call()


def test_many_probes_are_all_used(additive, unseen_device):
    views, known = additive(noise=0.03)
    target = unseen_device(views, noise=0.03)
    transfer = Transfer(views, known)
    probes = transfer.choose_probes(40)
    errors = [
        np.abs(transfer.fit(some, target[some]).predict().mean / unseen_device(views) - 1).mean()
        for some in (probes[:6], probes)
    ]
    assert errors[1] < min(errors[0], 0.03)


def test_transfer_does_its_algebra_on_one_thread(
    additive, unseen_device, monkeypatch, blas_threads
):
    threads = []

    class Watching(ModelAverage):
        def _condition_on(self, probes):
            threads.append(blas_threads())
            super()._condition_on(probes)

        def predict(self, rows):
            threads.append(blas_threads())
            return super().predict(rows)

    monkeypatch.setattr("evonas.surrogates.transfer.empirical_bayes.ModelAverage", Watching)
    monkeypatch.setattr("evonas.surrogates.transfer.predictor.ModelAverage", Watching)
    views, known = additive(100)
    with threadpool_limits(2):
        transfer = Transfer(views, known)
        learning = len(threads)
        transfer.fit(range(8), unseen_device(views)[:8]).predict()
        assert blas_threads() == {2}
    assert 0 < learning < len(threads)
    assert all(found == {1} for found in threads)
