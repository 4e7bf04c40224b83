"""Analytic problems pass the suite of problems."""

from evonas.problems.toy import ZDT1, BinhKorn, Blocks
from evonas.testing import ProblemSuite


class TestBlocks(ProblemSuite):
    evaluated = 50

    def make_problem(self):
        return Blocks()


class TestZDT1(ProblemSuite):
    def make_problem(self):
        return ZDT1()


class TestBinhKorn(ProblemSuite):
    def make_problem(self):
        return BinhKorn()
