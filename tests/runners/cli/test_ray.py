"""``--runner ray`` from the command line, on a private cluster."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from evonas import Run
from evonas.errors import EvonasError
from evonas.runners.ray.cluster import answers

pytestmark = pytest.mark.slow

FILES = {
    "near.py": """
        import time

        def half(n):
            time.sleep(0.1)
            return n / 2
    """,
    "mine.py": """
        import near
        from evonas import Integer, Metric, Objective, Problem, Space

        class Mine(Problem):
            space = Space(Integer("n", 0, 5000))
            metrics = [Metric("low"), Metric("high")]
            objectives = [Objective("low"), Objective("high", "maximise")]

            def evaluate(self, genome, metrics):
                print("noise from", near.__file__)
                return {"low": near.half(genome["n"]), "high": genome["n"]}
    """,
}
SEARCH = ["search", "mine.py:Mine", "--runner", "ray", "--workers", "2", "--population", "6"]


@pytest.fixture
def evonas(tmp_path):
    """Start the command line in a folder that holds a problem and a module beside it."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    started = []

    def start(*arguments):
        program = "import sys; from evonas.runners.cli.main import main; sys.exit(main())"
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def processes_of(pid):
    """Find what a private cluster of a process has running, by the folder in its arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"/evonas-ray-{pid}-".encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            pass
    return found


def wait_until(condition):
    end = time.monotonic() + 90
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def test_a_search_is_quiet_and_sends_the_problem_with_what_lies_beside_it(evonas, tmp_path):
    process = evonas(*SEARCH, "--evaluations", "20", "--out", "run", "--json")
    out, err = process.communicate(timeout=200)
    result = json.loads(out)
    assert (result["evaluated"], result["failed"]) == (20, 0)
    assert "noise" not in err
    assert "ray" not in err.lower()
    log = (tmp_path / "run" / "ray.log").read_text()
    assert f"/evonas-ray-{process.pid}-" in log.partition("noise from")[2].splitlines()[0]
    assert not processes_of(process.pid)
    assert not list(Path("/tmp").glob(f"evonas-ray-{process.pid}-*"))


def test_a_killed_search_leaves_nothing_running_and_goes_on(evonas, tmp_path):
    def count():
        try:
            return Run.open(tmp_path / "run").status()["evaluated"]
        except EvonasError:
            return 0

    process = evonas(*SEARCH, "--evaluations", "400", "--out", "run")
    wait_until(lambda: count() > 8)
    assert processes_of(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not processes_of(process.pid))
    kept = count()
    resumed = evonas("resume", "run", "--evaluations", str(kept + 10), "--json")
    out, _ = resumed.communicate(timeout=200)
    result = json.loads(out)
    assert (result["evaluated"], result["failed"]) == (kept + 10, 0)
    assert not list(Path("/tmp").glob(f"evonas-ray-{process.pid}-*"))


@pytest.fixture
def guarded_head(monkeypatch):
    """Start a head that asks for a token, which this machine has; return its address."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as path:
        program = "import sys; from ray.scripts.scripts import main; sys.exit(main())"
        options = ["--head", "--block", "--num-cpus=1", "--include-dashboard=false"]
        head = subprocess.Popen(
            [sys.executable, "-c", program, "start", *options, f"--port={port}",
             f"--temp-dir={path}"],
            env={**os.environ, "RAY_AUTH_MODE": "token"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(lambda: answers(f"127.0.0.1:{port}"))
            yield f"127.0.0.1:{port}"
        finally:
            head.terminate()
            head.wait(timeout=60)


def test_a_cluster_that_asks_for_a_token_is_joined_by_its_address(evonas, guarded_head):
    doctor = evonas("doctor", "--address", guarded_head, "--json")
    out, errors = doctor.communicate(timeout=200)
    assert doctor.returncode == 0, errors
    assert len(json.loads(out)["nodes"]) == 1
