"""Which method serves a device, and whether to trust it."""

import numpy as np
import pytest

from evonas.run.diagnostics import spearman
from evonas.surrogates.transfer import Transfer, Trust


def test_the_same_device_is_reused_and_a_bent_one_keeps_its_order(additive):
    views, known = additive()
    transfer = Transfer(views["edges"], known[:, :1] ** 3)
    probes = transfer.choose_probes(10)
    same = transfer.fit(probes, known[probes, 0] ** 3)
    assert same.monotonicity.spearman == pytest.approx(1)
    assert same.predict().mean == pytest.approx(known[:, 0] ** 3, rel=1e-2)
    bent = transfer.fit(probes, np.log(known[probes, 0]) + 1).predict().mean
    assert spearman(bent, known[:, 0]) > 0.98


def test_a_verdict_follows_the_error_over_all_designs(additive, unseen_device):
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


def test_a_poor_fit_is_not_trusted_and_other_probes_can_be_added(additive):
    views, known = additive()
    rng = np.random.default_rng(0)
    transfer = Transfer(views, known)
    probes = transfer.choose_probes(10)
    assert not transfer.fit(probes, np.exp(rng.standard_normal(10))).trust.good
    more = transfer.choose_probes(10, probes)
    assert len(set(more)) == 10
    assert not set(more) & set(probes)
