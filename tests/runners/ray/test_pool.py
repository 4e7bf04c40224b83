"""Workers on a private Ray cluster."""

import os
import signal
import time

import numpy as np
import pytest
import ray

import evonas
from evonas.errors import DataError, ProblemError, UsageError, WorkError
from evonas.problems.toy import ZDT1
from evonas.records import Status
from evonas.runners.ray import actor as ray_actor
from evonas.runners.ray.actor import Patience
from evonas.runners.ray.cluster import joined
from evonas.runners.ray.pool import RayRunner
from evonas.testing.runner import Misbehaving, RunnerSuite, collect, task

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


@pytest.fixture
def make():
    """Make runners that are closed in the end."""
    runners = []

    def make_runner(problem, workers=1, **options):
        runners.append(RayRunner(problem, workers=workers, **options))
        return runners[-1]

    yield make_runner
    for runner in runners:
        runner.close()


class Weights(Misbehaving):
    """Holds an array that is large enough to be shared."""

    def __init__(self):
        super().__init__()
        self.weights = np.arange(100_000.0)

    def evaluate(self, genome, metrics):
        shared = not self.weights.flags.owndata and not self.weights.flags.writeable
        return {"value": self.weights.sum() if shared else -1.0}


class NoData(Misbehaving):
    def check_worker(self):
        raise DataError("there is no folder '/data/leaves'")


class KillsItsWorker(Misbehaving):
    def __reduce__(self):
        return os._exit, (7,)


class Unpicklable(Misbehaving):
    def __init__(self):
        super().__init__()
        self.generator = (n for n in range(3))


class Forking(Misbehaving):
    """Leaves a process behind that holds the worker's connection open."""

    def evaluate(self, genome, metrics):
        if os.fork() == 0:
            signal.pause()
        os._exit(3)


@pytest.mark.parametrize(
    "options",
    [{"workers": 0}, {"timeout": 0}, {"retries": -1}, {"cpus_per_evaluation": 0},
     {"gpus_per_evaluation": -1}],
)  # fmt: skip
def test_parameters_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match=r"at least|positive|more than 0"):
        RayRunner(Misbehaving(), **options)


def test_without_a_number_there_are_as_many_workers_as_fit(make):
    assert make(Misbehaving(), workers=None, cpus_per_evaluation=2).workers == 2


def lost_object():
    """Return a reference to an object that went with the process that had made it."""

    class Owner:
        def make(self):
            return [ray.put(np.zeros(100_000))]

    owner = ray.remote(Owner).options(num_cpus=0).remote()
    (reference,) = ray.get(owner.make.remote(), timeout=60)
    ray.kill(owner)
    end = time.monotonic() + 60
    while time.monotonic() < end:  # the object outlives its owner by a moment
        try:
            ray.get(reference, timeout=60)
        except ray.exceptions.ObjectLostError:
            return reference
        time.sleep(0.1)
    raise AssertionError("the object was not lost")


def test_arrays_are_shared_and_survive_their_loss_from_the_object_store(make):
    runner = make(Weights())
    runner.submit([task(1)])
    (first,) = collect(runner, 1)
    runner._reference = lost_object()
    ray.kill(runner._workers[0].actor)
    runner.submit([task(2)])
    (second,) = collect(runner, 1)
    for evaluation in (first, second):
        assert evaluation.values == {"value": 99_999 * 100_000 / 2}


def test_a_worker_that_cannot_see_the_data_says_so_before_the_search():
    with pytest.raises(WorkError, match="no folder '/data/leaves'"):
        RayRunner(NoData(), workers=2)


def test_workers_that_die_at_start_end_the_work():
    with pytest.raises(WorkError, match=r"cannot start.*exit code 7"):
        RayRunner(KillsItsWorker(), workers=2)


class Missing:
    """An actor on nodes that lack a package."""

    def __init__(self, directory):
        raise ImportError("No module named 'evonas'")

    def place(self):
        raise AssertionError("it was never made")


def test_actors_that_cannot_be_made_end_the_work(monkeypatch):
    monkeypatch.setattr(ray_actor, "Supervisor", Missing)
    with pytest.raises(WorkError, match=r"cannot start.*No module named 'evonas'"):
        RayRunner(Misbehaving(), workers=1)


def test_what_does_not_pickle_is_refused():
    with pytest.raises(ProblemError, match=r"Unpicklable.*generator"):
        RayRunner(Unpicklable())


@pytest.mark.parametrize(
    ("address", "reason"), [(None, "fits this machine"), ("auto", "could start within 1 s")]
)
def test_what_finds_no_place_is_told_with_what_there_is(address, reason):
    with pytest.raises(WorkError, match=f"{reason}.* asks for 64 CPUs .* have 4 CPUs and 0 GPUs"):
        RayRunner(
            Misbehaving(),
            workers=1,
            address=address,
            cpus_per_evaluation=64,
            patience=Patience(start=1.0),
        )


@pytest.mark.parametrize("workers", [1, 3])
def test_a_synchronous_search_ends_on_the_front_of_a_serial_one(workers):
    settings = {"evaluations": 60, "population": 10, "seed": 7, "surrogate": False}
    there = evonas.search(ZDT1(), runner=RayRunner, workers=workers, asynchronous=False, **settings)
    here = evonas.search(ZDT1(), runner="serial", **settings)
    assert there.front.designs == here.front.designs


def test_ray_prefers_an_asynchronous_search():
    run = evonas.search(ZDT1(), runner=RayRunner, workers=2, surrogate=False, evaluations=20)
    assert run.meta["settings"]["asynchronous"] is True
    assert run.status()["evaluated"] == 20


def test_death_is_noticed_while_a_forked_process_holds_the_connection(make):
    runner = make(Forking(), retries=0)
    runner.submit([task(1)])
    (evaluation,) = collect(runner, 1)
    assert evaluation.status is Status.FAILED
    assert evaluation.error == "the worker ended with exit code 3"
