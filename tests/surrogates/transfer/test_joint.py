"""One model of pairs of designs and devices."""

import numpy as np
import pytest

from evonas.errors import DataError
from evonas.run.diagnostics import spearman
from evonas.surrogates.transfer import JointPredictor, Transfer


def test_a_joint_model_needs_the_anchors_only(additive):
    views, _ = additive(300)
    rng = np.random.default_rng(0)
    weights = rng.random((30, 4)) * [1, 3, 6, 1]
    known = 1 + views["counts"] @ weights.T
    target = 1 + views["counts"] @ np.array([0.4, 2.0, 3.0, 0.5])
    anchors = np.array(Transfer(views, known[:, :1]).choose_probes(8))
    joint = JointPredictor().fit(views["counts"], known, anchors, rng)
    found = joint.predict(views["counts"], target[anchors])
    assert spearman(found, target) > 0.9
    # Twice as slow a device is twice as slow.
    np.testing.assert_allclose(
        joint.predict(views["counts"], 2 * target[anchors]), 2 * found, rtol=1e-5
    )
    known[anchors[0], 3] = np.nan
    with pytest.raises(DataError, match="known device 3"):
        JointPredictor().fit(views["counts"], known, anchors, rng)


def test_a_joint_model_is_told_as_much_as_it_was_trained_with(additive):
    views, known = additive(60)
    counts, anchors = views["counts"], np.arange(5)
    stated = np.arange(2.0 * known.shape[1]).reshape(-1, 2)
    trained = JointPredictor().fit(counts, known, anchors, np.random.default_rng(0), stated)
    joint = JointPredictor.from_arrays(trained.to_arrays())
    costs = known[anchors, 0]
    assert joint.predict(counts, costs, stated[0]).shape == (60,)
    for arguments, words in (
        ((counts, costs), "with 11 features, .* 4 features and 5 anchors, without stated features"),
        ((counts, costs, stated[0][:1]), "5 anchors, 1 stated"),
        ((counts, costs[:3], stated[0]), "3 anchors, 2 stated"),
        ((counts[:, :2], costs, stated[0]), "2 features and 5"),
        ((counts, -costs, stated[0]), "an anchor's cost is not a positive number"),
    ):
        with pytest.raises(DataError, match=words):
            joint.predict(*arguments)
