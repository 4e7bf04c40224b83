"""What is known of a new device's costs before a probe is measured."""

from __future__ import annotations

import numpy as np

from evonas.surrogates.transfer.candidates import Candidates
from evonas.surrogates.transfer.empirical_bayes import EmpiricalPrior, learn
from evonas.surrogates.transfer.proxy_devices import ProxyDevices

SAMPLE = 500
"""Designs whose predictions say what error is to be expected."""


class TransferPrior:
    """Candidate models of a new device, and their weights.

    Args:
        proxies: The proxy devices.
        empirical: What the proxies teach; left out, it is learnt.

    Attributes:
        proxies: The argument.
        empirical: What the proxies teach.
        candidates: The candidate models.
        terms: Terms of the candidates at the designs of the transfer.
        sample: Terms at a random part of these designs.
        log_weights: Log weights of the classes of candidates, shape (classes,).
    """

    def __init__(self, proxies: ProxyDevices, empirical: EmpiricalPrior | None = None) -> None:
        self.proxies = proxies
        views, costs, predicted = proxies.views, proxies.costs, proxies.predict(proxies.views)
        self.candidates = Candidates(views, costs, predicted)
        self.terms = self.candidates.terms(views, costs, predicted)
        rng = np.random.default_rng(proxies.seed)
        self.empirical = empirical or learn(views, costs, predicted, proxies.families, rng)
        order = np.random.default_rng(proxies.seed).permutation(len(costs))
        self.sample = self.terms.take(order[:SAMPLE])
        self.log_weights = self.empirical.log_weights(self.candidates)
