"""Candidate models of a new device's costs."""

import numpy as np

from evonas.surrogates.transfer.candidates import Candidates


def test_costs_carry_over_to_another_graph_variant():
    rng = np.random.default_rng(0)
    there = rng.integers(0, 4, (200, 2)).astype(float)
    live = there * rng.integers(0, 2, (200, 1))
    views = {"operations:whole": there, "operations:live": live}
    known = 1 + there @ np.array([[1.0], [3.0]])
    candidates = Candidates(views, known, known)
    terms = candidates.terms(views, known, known)
    places = [
        candidates.mean[row]
        for row in range(len(candidates))
        if candidates.classes[candidates.class_of[row]][:3] == ("identity", "each", "live")
    ]
    expected = (1 + live @ np.array([1.0, 3.0])) / np.median(known)
    np.testing.assert_allclose(terms.means[places[0]], expected, rtol=1e-6)
