import numpy as np

from benchmarks.joint import predict_jointly
from evonas.run.diagnostics import spearman


def test_a_joint_model_needs_the_anchors_only():
    rng = np.random.default_rng(0)
    features = rng.integers(0, 5, (300, 4)).astype(float)
    known = 1 + features @ (rng.random((30, 4)) * [1, 3, 6, 1]).T
    costs = 1 + features @ np.array([0.4, 2.0, 3.0, 0.5])
    anchors = rng.choice(300, 8, replace=False)
    known[anchors[0], 3] = np.nan  # teaches nothing
    found = predict_jointly(features, known, anchors, costs[anchors], np.random.default_rng(0))
    assert spearman(found, costs) > 0.9
    # Twice as slow a device is twice as slow.
    twice = predict_jointly(features, known, anchors, 2 * costs[anchors], np.random.default_rng(0))
    np.testing.assert_allclose(twice, 2 * found, rtol=1e-5)
