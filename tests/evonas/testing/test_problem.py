"""The suite of problems finds mistakes."""

import numpy as np
import pytest

from evonas.problems.toy import Blocks
from evonas.testing import ProblemSuite


class Timed(Blocks):
    """Blocks with models and views, as they should be or not."""

    def __init__(self, right=True):
        super().__init__()
        self.right = right
        self.timed_models = {"net": self.metrics[0].name}

    def views(self, genomes):
        return {
            "graph:all": np.ones((len(genomes), 3)),
            "graph:live": np.ones((len(genomes), 3 if self.right else 2)),
        }

    def export(self, genome, directory):
        (directory / ("net.onnx" if self.right else "network.onnx")).touch()


class TestTimed(ProblemSuite):
    def make_problem(self):
        return Timed()


@pytest.mark.parametrize("test", ["views_are_finite_rows", "timed_models_are_exported"])
def test_views_and_models_that_are_wrong_do_not_pass(test):
    suite = TestTimed()
    suite.make_problem = lambda: Timed(right=False)
    (name,) = [name for name in dir(suite) if name.startswith(f"test_{test}")]
    with pytest.raises(AssertionError):
        getattr(suite, name)()
