"""Costs of designs on a new device, from a few probes and what is known of other devices."""

from evonas.surrogates.transfer.assessment import Trust
from evonas.surrogates.transfer.monotonicity import Monotonicity, check_monotonicity
from evonas.surrogates.transfer.predictor import Intervals, Predictor
from evonas.surrogates.transfer.proxy import ProxyModel
from evonas.surrogates.transfer.transfer import Transfer, choose_probes
from evonas.surrogates.transfer.views import Views, problem_views

__all__ = [
    "Intervals",
    "Monotonicity",
    "Predictor",
    "ProxyModel",
    "Transfer",
    "Trust",
    "Views",
    "check_monotonicity",
    "choose_probes",
    "problem_views",
]
