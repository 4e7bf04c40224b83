"""Costs of designs on a new device, from a few measured probes and from proxy devices.

A probe becomes a predicted latency in three steps: :class:`Transfer` learns from proxies and
chooses the probes, ``Transfer.fit`` takes their measured costs and gives a :class:`Predictor`, and
``Predictor.predict`` gives costs with intervals.

Notation. A candidate model q is a Bayesian linear model of the costs under a link function f::

    f(y / c) = m_q + T_q w + e,  w ~ N(0, s^2 I),  e ~ N(0, s^2 diag(n_q^2)),  s^2 ~ IG(a, b)

    symbol   meaning                                         shape        in the code
    k        probes
    X        feature views of designs                        (designs, d) views
    P        costs on proxy devices, in their unit           (designs, devices)
                                                                          costs, proxy_costs
    y        costs of the probes on the new device           (k,)         costs
    c        scale of the new device, in the unit of y       scalar       scale
    f        link function: identity or logarithm                         link
    m_q      prior mean, from P relative to its medians      (k,)         means
    T_q      terms, times their prior deviations             (k, terms)   Terms
    n_q      noise deviation                                 (k,)         noise_deviation
    C_q      T_q T_q' + diag(n_q^2)                          (k, k)       covariance
    r_q      f(y / c) - m_q                                  (k,)         residual
    a, b     shape and rate of the prior of s^2              scalars      SHAPE, RATE
    p(q)     prior weight of a candidate                     scalar       log_weights
    eta      power of the likelihood                         scalar       LEARNING_RATE

All but P, y and c are without a unit. Where the equations come from:

- p(y | q) is a multivariate Student t density (Rasmussen and Williams, "Gaussian Processes for
  Machine Learning", 2006, section 9.9), and a probe is left out as in their eq. 5.12:
  :mod:`~evonas.surrogates.transfer.bayesian_linear_model`.
- p(q | y) and the averages over candidates are eq. 1 to 3 of Hoeting et al., "Bayesian Model
  Averaging: A Tutorial" (1999), with the likelihood to the power of eta (Grünwald, "The Safe
  Bayesian", 2012): :mod:`~evonas.surrogates.transfer.model_averaging`.
- p(q) is learnt from proxies by expectation-maximisation (Bishop, "Pattern Recognition and Machine
  Learning", 2006, eq. 9.23 and 9.26): :mod:`~evonas.surrogates.transfer.empirical_bayes`.
- Probes minimise the integrated variance (Cohn 1996): :mod:`~evonas.surrogates.transfer.probes`.
- Whether a proxy orders designs as the new device does is tested as in Lu et al., "One Proxy Device
  Is Enough for Hardware-Aware Neural Architecture Search" (2021):
  :mod:`~evonas.surrogates.transfer.monotonicity`.
"""

from evonas.surrogates.transfer.assessment import Trust
from evonas.surrogates.transfer.inputs import Views, problem_views
from evonas.surrogates.transfer.monotonicity import Monotonicity, check_monotonicity
from evonas.surrogates.transfer.predictor import Intervals, Predictor
from evonas.surrogates.transfer.proxy_model import ProxyModel
from evonas.surrogates.transfer.transfer import Transfer

__all__ = [
    "Intervals",
    "Monotonicity",
    "Predictor",
    "ProxyModel",
    "Transfer",
    "Trust",
    "Views",
    "check_monotonicity",
    "problem_views",
]
