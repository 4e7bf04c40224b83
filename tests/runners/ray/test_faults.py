"""What clusters do, done on purpose to real ones: a head and two more nodes on this machine."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from evonas import Run, Status
from evonas.errors import EvonasError
from evonas.run.journal import Journal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of Ray's own start of processes
]

DRIVER = Path(__file__).with_name("ray_driver.py")
EVALUATIONS = 30
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


def make_cluster(folder):
    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
    head = {
        **NODE,
        "include_dashboard": False,
        "temp_dir": str(folder),
        "_system_config": {**quick, "health_check_failure_threshold": 4},
    }
    # Ray notes the latest cluster's address here, wherever that cluster's own folder is.
    Path("/tmp/ray").mkdir(exist_ok=True)
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(**NODE)
    cluster.add_node(**NODE)
    return cluster


@pytest.fixture(scope="module")
def folder():
    """A folder with a short path: Ray's sockets lie deep in it."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as path:
        yield path


@pytest.fixture(scope="module")
def cluster(folder):
    cluster = make_cluster(folder)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def drive(tmp_path):
    """Start drivers of one run; what is left of them in the end is killed."""
    drivers = []

    def start(cluster, *options):
        command = [sys.executable, DRIVER, cluster.address, tmp_path / "run", str(EVALUATIONS)]
        with (tmp_path / "log").open("ab") as log:
            driver = subprocess.Popen([*command, *options], stdout=log, stderr=log)
        drivers.append(driver)
        return driver

    yield start
    for driver in drivers:
        driver.kill()
        driver.wait()


def evaluations(directory):
    with Journal.read(directory) as journal:
        return journal.evaluations()


def wait_for(condition, driver, seconds=120):
    """Poll until a condition holds; it may fail with an error of ours until then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if value := condition():
                return value
        except EvonasError:
            pass
        assert driver is None or driver.poll() is None, "the driver has ended"
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def wait_for_evaluations(directory, number, driver):
    wait_for(lambda: len(evaluations(directory)) >= number, driver)


def finish(driver, tmp_path):
    assert driver.wait(timeout=200) == 0, (tmp_path / "log").read_text()[-3000:]


def check_complete(directory):
    """Every candidate was counted once, and none was lost."""
    found = evaluations(directory)
    assert Run.open(directory).status()["state"] == "finished"
    assert sorted(e.candidate.id for e in found) == list(range(EVALUATIONS))
    assert {e.status for e in found} == {Status.OK}
    for evaluation in found:
        n = evaluation.candidate.genome["n"]
        assert evaluation.values == {"low": n, "high": n % 1000}
    return found


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def process_of(evaluation):
    return int(evaluation.worker.rpartition(":")[2])


def actor_of(evaluation):
    return parent(process_of(evaluation))


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("which", [process_of, actor_of])
def test_a_worker_that_dies_or_hangs_costs_what_ran_there(cluster, drive, tmp_path, which, number):
    driver = drive(cluster)
    run = tmp_path / "run"
    wait_for_evaluations(run, 8, driver)
    victim = which(evaluations(run)[-1])
    os.kill(victim, number)
    finish(driver, tmp_path)
    again = [e for e in check_complete(run) if e.attempts > 1]
    assert len(again) <= 1
    wait_for(lambda: not is_alive(victim), None)


def test_a_node_that_dies_costs_what_ran_there_and_one_that_joins_is_used(cluster, drive, tmp_path):
    driver = drive(cluster, "seconds=0.5")
    run = tmp_path / "run"
    wait_for_evaluations(run, 6, driver)
    before = {process_of(e) for e in evaluations(run)}
    cluster.list_all_nodes()[-1].all_processes["raylet"][0].process.kill()
    wait_for_evaluations(run, 14, driver)
    cluster.add_node(**NODE)
    finish(driver, tmp_path)
    found = check_complete(run)
    assert sum(e.attempts > 1 for e in found) <= 1
    assert {process_of(e) for e in found} - before


def test_a_driver_that_is_killed_leaves_nothing_and_its_run_goes_on(cluster, drive, tmp_path):
    driver = drive(cluster)
    run = tmp_path / "run"
    wait_for_evaluations(run, 10, driver)
    driver.kill()
    driver.wait()
    kept = {e.candidate.id: e for e in evaluations(run)}
    wait_for(lambda: not any(is_alive(process_of(e)) for e in kept.values()), None)
    finish(drive(cluster), tmp_path)
    found = {e.candidate.id: e for e in check_complete(run)}
    assert all(found[number] == evaluation for number, evaluation in kept.items())


def test_a_stop_ends_within_its_grace_and_leaves_nothing(cluster, drive, tmp_path):
    driver = drive(cluster, "seconds=0.4")
    run = tmp_path / "run"
    wait_for_evaluations(run, 6, driver)
    processes = {process_of(e) for e in evaluations(run)}
    driver.send_signal(signal.SIGTERM)
    finish(driver, tmp_path)
    assert Run.open(run).status()["state"] == "stopped"
    wait_for(lambda: not any(map(is_alive, processes)), None)
    kept = len(evaluations(run))
    assert kept < EVALUATIONS
    finish(drive(cluster), tmp_path)
    check_complete(run)


def test_a_head_that_dies_ends_the_search_which_goes_on_elsewhere(cluster, drive, tmp_path, folder):
    run = tmp_path / "run"
    other = make_cluster(folder)
    try:
        driver = drive(other, "seconds=1.5")
        wait_for_evaluations(run, 4, driver)
        other.head_node.all_processes["gcs_server"][0].process.kill()
        assert driver.wait(timeout=100) == 1
        assert "has not answered for" in (tmp_path / "log").read_text()
        assert 4 <= len(evaluations(run)) < EVALUATIONS
    finally:
        other.shutdown()
    finish(drive(cluster), tmp_path)
    check_complete(run)
