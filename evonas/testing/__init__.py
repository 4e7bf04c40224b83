"""Conformance suites: tests that the authors of plug-ins inherit for their own parts.

::

    class TestMyProblem(ProblemSuite):
        def make_problem(self):
            return MyProblem()

Subclass :class:`ProblemSuite`, :class:`OptimizerSuite`, :class:`SurrogateSuite`,
:class:`GateSuite`, :class:`JournalSuite` or :class:`RunnerSuite` in a test module and run pytest.
"""

from __future__ import annotations

from evonas.testing.journal import JournalSuite
from evonas.testing.optimizer import OptimizerSuite
from evonas.testing.problem import ProblemSuite, sample_designs
from evonas.testing.runner import Misbehaving, RunnerSuite
from evonas.testing.surrogate import GateSuite, SurrogateSuite

__all__ = [
    "GateSuite",
    "JournalSuite",
    "Misbehaving",
    "OptimizerSuite",
    "ProblemSuite",
    "RunnerSuite",
    "SurrogateSuite",
    "sample_designs",
]
