"""What every runner does, done by workers on a private Ray cluster."""

import pytest

from evonas.testing_runner import Misbehaving, RunnerSuite
from runners.ray_cluster import joined
from runners.ray_pool import RayRunner

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Be connected with a private cluster, which every runner here then uses."""
    with joined(None, Misbehaving(), cpus=4, store_bytes=0, threads=1):
        yield


class TestRayRunner(RunnerSuite):
    workers = 2

    def make_runner(self, problem, **options):
        return RayRunner(problem, **options)
