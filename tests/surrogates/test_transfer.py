"""Transfer of costs between devices."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import cauchy, multivariate_t
from threadpoolctl import threadpool_limits

from evonas.errors import DataError
from evonas.surrogates.transfer import (
    Predictor,
    ProxyModel,
    Transfer,
    Trust,
    check_monotonicity,
    choose_probes,
)
from evonas.surrogates.transfer.additive import column_costs
from evonas.surrogates.transfer.known import KnownDevices
from evonas.surrogates.transfer.mixture import OUTLIER_WIDTH, OUTLIERS, RATE, SHAPE, Mixture
from evonas.surrogates.transfer.monotonicity import Calibration, rank_correlation
from evonas.surrogates.transfer.priors import Priors, take

COSTS = np.array([[0.1, 1.0, 3.0, 0.4], [0.2, 2.0, 2.0, 0.6], [0.1, 0.5, 5.0, 2.0]])
"""Of three devices' operations."""


def additive(designs=400, seed=0, noise=0.0):
    """Views of random designs, and costs on three devices that add up operations."""
    rng = np.random.default_rng(seed)
    operations = rng.integers(0, 4, (designs, 6))
    counts = np.array([(operations == kind).sum(axis=1) for kind in range(4)], float).T
    edges = (operations[:, :, None] == np.arange(4)).reshape(designs, -1).astype(float)
    costs = 2 + counts @ COSTS.T
    return {"counts": counts, "edges": edges}, costs * np.exp(
        noise * rng.standard_normal(costs.shape)
    )


def unseen_device(views, noise=0.0, seed=1):
    rng = np.random.default_rng(seed)
    costs = 1 + views["counts"] @ np.array([0.3, 3.0, 4.0, 0.1])
    return costs * np.exp(noise * rng.standard_normal(len(costs)))


def test_an_additive_device_is_recovered_from_ten_probes():
    views, known = additive()
    target = unseen_device(views)
    transfer = Transfer(views, known)
    probes = transfer.choose_probes(10)
    predictor = transfer.fit(probes, target[probes])
    found = predictor.predict()
    assert predictor.method == "adapt"
    assert rank_correlation(found.mean, target) > 0.99
    assert np.abs(found.mean / target - 1).mean() < 0.03
    assert predictor.trust.good


def test_one_outlier_does_not_spoil_the_fit():
    views, known = additive()
    target = unseen_device(views)
    transfer = Transfer(views, known)
    probes = transfer.choose_probes(12)
    measured = target[probes]
    measured[3] *= 4
    found = transfer.fit(probes, measured).predict()
    assert np.abs(found.mean / target - 1).mean() < 0.05


@pytest.mark.parametrize(("count", "least"), [(2, 10), (3, 7)])
def test_outliers_alike_do_not_hide_one_another(count, least):
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
def test_it_does_not_matter_by_how_much_an_outlier_is_off(devices):
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


@pytest.mark.parametrize(("k", "devices"), [(3, 3), (5, 0), (5, 3), (12, 3)])
def test_what_candidates_make_of_the_probes_is_as_without_the_shortcuts(k, devices):
    """Each probe is really left out, and evidence is the density of a multivariate t."""
    views, known = additive(150, noise=0.05)
    transfer = Transfer(views, known[:, :devices])
    costs = unseen_device(views, noise=0.05)[:k]
    costs[1] *= 3
    at = take(transfer.at, np.arange(k))
    flat = np.zeros(len(transfer.priors.keys))
    mixture = Mixture(transfer.priors, at, costs, flat, np.full(k, 0.02))
    found, scaled = mixture._found, costs / mixture.scale
    relative = np.log(scaled / at.level)
    anywhere = (
        cauchy.logpdf(relative, scale=OUTLIER_WIDTH)
        - np.log(scaled)
        + np.log(OUTLIERS / (1 - OUTLIERS))
    )
    candidates = np.arange(0, len(transfer.priors), 7)
    residuals, slopes = mixture._residuals(candidates)
    covariances = RATE / SHAPE * mixture._covariances(candidates)

    def density(row, rows):
        """Of some probes, with those that a candidate sets aside."""
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


def test_intervals_cover_and_enclose_the_mean():
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


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(1e-3, 1e3))
def test_predictions_scale_with_the_unit(factor):
    views, known = additive(150)
    target = unseen_device(views)
    transfer = Transfer(views, known[:, :1])
    probes = transfer.choose_probes(8)
    one = transfer.fit(probes, target[probes]).predict().mean
    other = transfer.fit(probes, factor * target[probes]).predict().mean
    np.testing.assert_allclose(other, factor * one, rtol=1e-6)


@pytest.mark.parametrize("devices", [1, 3])
def test_the_unit_of_all_costs_does_not_matter(devices):
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


def costs_of_many_parts(seed):
    """Counts of the parts of designs, costs of the parts on a known device, and a generator."""
    rng = np.random.default_rng(seed)
    counts = rng.uniform(0, 4, (200, 12)) * (rng.random((200, 12)) < 0.7)
    return counts, rng.uniform(0.1, 1, 12), rng


def test_parts_may_be_many_times_as_dear_as_on_the_only_known_device():
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


def test_intervals_of_designs_that_cost_next_to_nothing_are_small_beside_the_others():
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


def test_the_same_device_is_reused_and_a_bent_one_keeps_its_order():
    views, known = additive()
    transfer = Transfer(views["edges"], known[:, :1] ** 3)
    probes = transfer.choose_probes(10)
    same = transfer.fit(probes, known[probes, 0] ** 3)
    assert same.monotonicity.spearman == pytest.approx(1)
    assert same.predict().mean == pytest.approx(known[:, 0] ** 3, rel=1e-2)
    bent = transfer.fit(probes, np.log(known[probes, 0]) + 1).predict().mean
    assert rank_correlation(bent, known[:, 0]) > 0.98


def test_monotonicity_is_told_from_disorder():
    rng = np.random.default_rng(0)
    proxy = np.linspace(1, 10, 12)
    rising = check_monotonicity(proxy, proxy**2, rng)
    assert rising.holds
    assert rising.spearman == pytest.approx(1)
    assert rising.lower == pytest.approx(1)
    falling = check_monotonicity(proxy, 1 / proxy, rng)
    assert not falling.holds
    assert falling.p_value < 0.05
    assert falling.kendall == pytest.approx(-1)


@given(
    st.lists(
        st.tuples(st.floats(0.1, 100), st.floats(0.1, 100)),
        min_size=3,
        max_size=20,
        unique_by=lambda pair: pair[0],
    )
)
def test_a_calibration_never_falls(pairs):
    proxy, costs = np.array(pairs).T
    curve = Calibration(proxy, costs)
    line = curve(np.linspace(0.05, 200, 300))
    assert (np.diff(line) >= -1e-9 * line[1:]).all()
    assert (line > 0).all()


def test_a_poor_fit_asks_for_ten_more_probes():
    views, known = additive()
    rng = np.random.default_rng(0)
    transfer = Transfer(views, known)
    probes = transfer.choose_probes(10)
    predictor = transfer.fit(probes, np.exp(rng.standard_normal(10)))
    assert not predictor.trust.good
    more = predictor.next_probes()
    assert len(set(more)) == 10
    assert not set(more) & set(probes)


@pytest.mark.parametrize("devices", [0, 1, 3])
def test_probes_differ_and_tell_more_than_the_cheapest(devices):
    views, known = additive()
    target = unseen_device(views)
    transfer = Transfer(views, known[:, :devices])
    probes = transfer.choose_probes(8)
    assert len(set(probes)) == 8
    assert probes == Transfer(views, known[:, :devices]).choose_probes(8)
    cheapest = np.argsort(target)[:8].tolist()
    errors = [
        np.abs(transfer.fit(some, target[some]).predict().mean / target - 1).mean()
        for some in (probes, cheapest)
    ]
    assert errors[0] < errors[1]


def test_probes_can_be_chosen_in_one_call():
    views, known = additive(100)
    assert choose_probes(views, known, 5) == Transfer(views, known).choose_probes(5)


@pytest.mark.parametrize("designs", [3, 4, 6, 9])
def test_nothing_is_learnt_from_devices_that_agree_on_too_few_designs(designs):
    views, _ = additive(designs)
    rng = np.random.default_rng(designs)
    known = np.exp(4 * rng.standard_normal((designs, 3)))
    transfer = Transfer(views, known)
    assert transfer.experience.weights == {}
    found = transfer.fit([0, 1, 2], [1.0, 2.0, 3.0]).predict()
    assert np.isfinite(found.upper).all()


def test_gaps_of_a_known_device_are_filled():
    views, known = additive()
    holes = known.copy()
    holes[::7, 1] = np.nan
    transfer = Transfer(views, holes)
    filled = transfer.known[::7, 1]
    assert np.abs(filled / known[::7, 1] - 1).mean() < 0.1
    assert (transfer.known[1::7] == known[1::7]).all()


def test_designs_that_no_device_was_measured_on():
    views, known = additive(500)
    target = unseen_device(views)
    first = {name: view[:300] for name, view in views.items()}
    rest = {name: view[300:] for name, view in views.items()}
    transfer = Transfer(first, known[:300, :1])
    probes = transfer.choose_probes(12)
    by_index = transfer.fit(probes, target[probes])
    assert rank_correlation(by_index.predict(rest).mean, target[300:]) > 0.95
    unseen = {name: view[:12] for name, view in rest.items()}
    by_views = transfer.fit(unseen, target[300:312])
    assert rank_correlation(by_views.predict(rest).mean, target[300:]) > 0.8


@pytest.mark.parametrize("devices", [0, 1, 3])
def test_a_saved_predictor_predicts_the_same(devices, tmp_path):
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


def test_bad_input_is_refused():
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
        (lambda: predictor.predict(known=known[:, :1]), "without the features"),
        (lambda: transfer.choose_probes(0), "1 or more"),
    ):
        with pytest.raises(DataError, match=words):
            call()


def test_views_are_told_by_their_names_and_others_are_left_out():
    views, known = additive(60)
    readings = {"n:all": views["counts"], "n:live": views["counts"][:, ::-1]}
    transfer = Transfer(readings, known[:, :1])
    predictor = transfer.fit(range(8), unseen_device(views)[:8])
    more = {"n:other": views["counts"], **dict(reversed(readings.items())), **views}
    np.testing.assert_array_equal(predictor.predict(more).mean, predictor.predict(readings).mean)


def test_costs_carry_over_to_another_reading_of_a_graph():
    rng = np.random.default_rng(0)
    there = rng.integers(0, 4, (200, 2)).astype(float)
    live = there * rng.integers(0, 2, (200, 1))
    views = {"operations:whole": there, "operations:live": live}
    known = 1 + there @ np.array([[1.0], [3.0]])
    priors = Priors(views, known, known)
    at = priors.at(views, known, known)
    places = [
        priors.base[row]
        for row in range(len(priors))
        if priors.keys[priors.key[row]][:3] == ("identity", "each", "live")
    ]
    expected = (1 + live @ np.array([1.0, 3.0])) / np.median(known)
    np.testing.assert_allclose(at.bases[places[0]], expected, rtol=1e-6)


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


def test_costs_of_columns_are_found_and_never_negative():
    views, _ = additive()
    counts = views["counts"][:, :3]  # All four add up to a constant.
    found = column_costs(counts, 2 + counts @ np.array([0.5, 0.0, 3.0]))
    np.testing.assert_allclose(found, [2, 0.5, 0, 3], atol=0.15)
    falling = column_costs(counts, 10 - counts[:, 0])
    assert (falling >= 0).all()
    signed = np.column_stack([counts, -counts[:, 0]])
    assert column_costs(signed, 1 + counts[:, 1])[-1] == 0


def test_a_proxy_of_few_designs_predicts_costs_that_add_up():
    views, known = additive(400)
    model = ProxyModel().fit(views["counts"][:60], known[:60, 0])
    assert np.abs(model.predict(views["counts"][60:]) / known[60:, 0] - 1).mean() < 0.02
    saved = model.to_arrays()
    with pytest.raises(DataError, match="damaged"):
        ProxyModel.from_arrays(saved | {"trees": saved["trees"][:100]})


def test_known_devices_are_grouped_by_likeness():
    rng = np.random.default_rng(0)
    one, two = rng.random((2, 200)) + 0.5
    noise = np.exp(0.01 * rng.standard_normal((200, 5)))
    known = np.column_stack([one, two, one, two, one]) * noise
    devices = KnownDevices({"x": one[:, None]}, known, known)
    groups = [sorted(members) for kind, members in devices.members("smooth") if kind == "group"]
    assert [0, 2, 4] in groups
    assert [1, 3] in groups
    assert all(1 < len(group) < 5 for group in groups)


def test_many_probes_are_all_used():
    views, known = additive(noise=0.03)
    target = unseen_device(views, noise=0.03)
    transfer = Transfer(views, known)
    probes = transfer.choose_probes(40)
    errors = [
        np.abs(transfer.fit(some, target[some]).predict().mean / unseen_device(views) - 1).mean()
        for some in (probes[:6], probes)
    ]
    assert errors[1] < min(errors[0], 0.03)


def test_many_probes_are_looked_at_in_blocks(monkeypatch):
    views, known = additive(150, noise=0.03)
    target = unseen_device(views, noise=0.03)
    transfer = Transfer(views, known)
    sizes, whole = [], Mixture._covariances

    def watch(self, some):
        covariances = whole(self, some)
        sizes.append(covariances.size)
        return covariances

    monkeypatch.setattr(Mixture, "_covariances", watch)
    found = []
    for most in (10**7, 10**5):
        monkeypatch.setattr("evonas.surrogates.transfer.blocks.ELEMENTS", most)
        found.append(transfer.fit(range(40), target[:40]))
    assert max(sizes[-10:]) <= 10**5 < max(sizes)
    np.testing.assert_allclose(found[0].predict().mean, found[1].predict().mean, rtol=1e-9)
    assert found[0].monotonicity == found[1].monotonicity


def test_sifting_candidates_again_leaves_those_that_count(monkeypatch):
    views, known = additive(noise=0.03, seed=1)
    measured = unseen_device(views, noise=0.03)[:90]
    measured[[5, 70]] *= 4
    transfer = Transfer(views, known)
    found = []
    for sieves in (((16, 1500), (64, 200)), ((16, 1500),)):
        monkeypatch.setattr("evonas.surrogates.transfer.mixture.SIFTED", sieves)
        mixture = transfer.fit(range(90), measured)._mixture
        assert (~mixture.used).nonzero()[0].tolist() == [5, 70]
        found.append(mixture)
    assert len(found[0]._candidates) == 200 < len(found[1]._candidates)
    means = [mixture.predict(transfer.at).mean for mixture in found]
    np.testing.assert_allclose(*means, rtol=1e-3)


def test_a_verdict_follows_the_error_over_all_designs():
    rng = np.random.default_rng(0)
    views, known = additive(noise=0.02)
    bent = unseen_device(views) * np.exp(0.5 * rng.standard_normal(len(known)))
    transfer = Transfer(views, known)
    for target, good in ((unseen_device(views), True), (bent, False)):
        probes = transfer.choose_probes(12)
        predictor = transfer.fit(probes, target[probes])
        error = np.abs(predictor.predict().mean / target - 1).mean()
        assert predictor.trust.good == good
        assert predictor.trust.error > 0.6 * error
    assert not Trust(error=0.5, spearman=1.0, left_out=0.01).good


def test_intervals_are_wider_where_known_costs_are_guessed():
    views, known = additive(noise=0.1)
    transfer = Transfer(views, known)
    probes = transfer.choose_probes(10)
    predictor = transfer.fit(probes, known[probes, 0])
    measured, guessed = predictor.predict(), predictor.predict(views)
    assert transfer.model_error > 0.05
    assert np.median(guessed.upper / guessed.lower) > np.median(measured.upper / measured.lower)


def test_transfer_does_its_algebra_on_one_thread(monkeypatch, blas_threads):
    threads = []

    class Watching(Mixture):
        def _condition(self):
            threads.append(blas_threads())
            super()._condition()

        def predict(self, rows):
            threads.append(blas_threads())
            return super().predict(rows)

    monkeypatch.setattr("evonas.surrogates.transfer.experience.Mixture", Watching)
    monkeypatch.setattr("evonas.surrogates.transfer.transfer.Mixture", Watching)
    views, known = additive(100)
    with threadpool_limits(2):
        transfer = Transfer(views, known)
        learning = len(threads)
        transfer.fit(range(8), unseen_device(views)[:8]).predict()
        assert blas_threads() == {2}
    assert 0 < learning < len(threads)
    assert all(found == {1} for found in threads)
