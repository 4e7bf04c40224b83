"""One process writes to a run at a time."""

import fcntl
import os
import threading

import pytest

import evonas
from evonas.problems.toy import Blocks
from evonas.run.lock import is_locked, take_lock
from tests.evonas.searches import PLAIN, QUIET, SERIAL, FakeRunner


def test_a_second_search_on_the_same_run_is_refused_by_name(tmp_path):
    class Meddling(FakeRunner):
        def evaluate(self, task):
            for attempt in (
                lambda: evonas.resume(tmp_path / "run", problem=Blocks(), **QUIET),
                lambda: evonas.search(Blocks(), out=tmp_path / "run", **SERIAL),
            ):
                with pytest.raises(evonas.RunLockedError, match=f"process {os.getpid()} on"):
                    attempt()
            assert evonas.Run.open(tmp_path / "run").status()["state"] == "running"
            return super().evaluate(task)

    evonas.search(Blocks(), evaluations=2, out=tmp_path / "run", runner=Meddling, **PLAIN)
    with pytest.raises(evonas.RunError, match="holds a run already"):
        evonas.search(Blocks(), out=tmp_path / "run", **SERIAL)


def test_looking_whether_a_run_is_locked_does_not_lock_it(tmp_path):
    with take_lock(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(evonas.RunLockedError):
            take_lock(tmp_path)
    assert not is_locked(tmp_path)
    assert not is_locked(tmp_path / "missing")
    with (tmp_path / "journal.lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        freed = threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN))
        freed.start()
        take_lock(tmp_path).close()
        freed.join()


def test_a_lock_that_its_holder_removed_locks_nothing(tmp_path):
    held = take_lock(tmp_path)

    def remove():
        (tmp_path / "journal.lock").unlink()
        held.close()

    removed = threading.Timer(0.05, remove)
    removed.start()
    with take_lock(tmp_path):
        removed.join()
        assert is_locked(tmp_path)
    with pytest.raises(evonas.RunError, match="cannot be written: No such file"):
        take_lock(tmp_path / "missing")
