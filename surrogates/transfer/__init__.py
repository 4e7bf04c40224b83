"""Costs of designs on a new device, from a few probes and what is known of other devices."""

from surrogates.transfer.assessment import Trust
from surrogates.transfer.joint import JointPredictor
from surrogates.transfer.monotonicity import Monotonicity, check_monotonicity
from surrogates.transfer.predictor import Intervals, Predictor
from surrogates.transfer.proxy import ProxyModel
from surrogates.transfer.transfer import Transfer, choose_probes
from surrogates.transfer.views import Views, problem_views

__all__ = [
    "Intervals",
    "JointPredictor",
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
