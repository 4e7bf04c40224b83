"""``--runner ray`` from the command line, on a private cluster."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from evonas import Run
from evonas.errors import EvonasError

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
        program = "import sys; from runners.cli import main; sys.exit(main())"
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
