"""Tests of a journal on disk."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from evonas.errors import RunError, RunLockedError
from evonas.records import Candidate, Decision, Evaluation, Prediction, Status, Verdict
from evonas.run.journal import Journal


class JournalSuite(ABC):
    """Tests of a journal on disk."""

    @abstractmethod
    def create(self, directory: Path) -> Journal:
        """Start a journal."""

    @abstractmethod
    def open(self, directory: Path) -> Journal:
        """Open a journal to go on writing to it."""

    CANDIDATES: ClassVar = [
        (Candidate(i, {"layers": i, "width": i / 3, "kernel": "a"}, i // 2), verdict)
        for i, verdict in enumerate(
            [
                Verdict(Decision.EVALUATE, "no surrogate"),
                Verdict(Decision.PRUNE, "dominated", {"error": Prediction(1 / 3, 0.1)}),
                Verdict(Decision.AUDIT, "audit"),
                Verdict(Decision.EVALUATE, "read from memory"),
            ]
        )
    ]

    def test_it_gives_back_what_was_committed(self) -> None:
        evaluations = [
            Evaluation(self.CANDIDATES[2][0], Status.FAILED, {}, 0.5, "host:1", "it broke", 3),
            Evaluation(self.CANDIDATES[0][0], Status.OK, {"error": 0.1}, 0.25, "host:2"),
        ]
        state = {"generator": 2**70, "values": [0.1, None, 1e300]}
        with tempfile.TemporaryDirectory() as name:
            with self.create(Path(name)) as journal:
                assert journal.snapshot() is None
                journal.commit(candidates=self.CANDIDATES, snapshot=(0, 0, state))
                journal.commit(evaluations=[(e, {}) for e in evaluations])
            with self.open(Path(name)) as journal:
                assert journal.candidates() == self.CANDIDATES
                assert journal.evaluations() == evaluations
                assert journal.evaluations(after=1) == evaluations[1:]
                assert journal.snapshot() == (0, 0, state)

    def test_a_value_from_memory_keeps_where_it_was_measured(self) -> None:
        first = Evaluation(self.CANDIDATES[0][0], Status.OK, {"error": 0.1, "ms": 2.0}, 3.0, "a:1")
        second = Evaluation(self.CANDIDATES[3][0], Status.OK, {"error": 0.1, "ms": 5.0}, 1.0, "b:2")
        with tempfile.TemporaryDirectory() as name, self.create(Path(name)) as journal:
            journal.commit(candidates=self.CANDIDATES)
            journal.commit(evaluations=[(first, {}), (second, {"error": 0})])
            assert journal.evaluations()[1].values == second.values
            assert journal.sources() == {(3, "error"): 0}

    def test_a_commit_is_whole_or_nothing(self) -> None:
        good = Evaluation(self.CANDIDATES[0][0], Status.OK, {"error": 0.1})
        with tempfile.TemporaryDirectory() as name, self.create(Path(name)) as journal:
            journal.commit(candidates=self.CANDIDATES)
            broken = replace(good, candidate=self.CANDIDATES[2][0], attempts=None)  # type: ignore[arg-type]
            try:
                journal.commit(evaluations=[(good, {}), (broken, {})])
            except Exception:
                assert journal.evaluations() == []
            else:
                raise AssertionError("a broken evaluation was committed")
            journal.commit(evaluations=[(good, {})])
            assert journal.evaluations() == [good]

    def test_two_writers_are_refused_and_readers_are_not(self) -> None:
        with tempfile.TemporaryDirectory() as name, self.create(Path(name)) as journal:
            try:
                self.open(Path(name))
            except RunLockedError as error:
                assert "process" in str(error)
            else:
                raise AssertionError("a second writer was let in")
            journal.commit(candidates=self.CANDIDATES)
            with journal.read(Path(name)) as reader:
                assert reader.candidates() == self.CANDIDATES

    def test_what_is_no_journal_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            with self.create(directory):
                pass
            files = [path for path in directory.iterdir() if path.suffix == ".sqlite"]
            for content in (b"", b"this is not a database at all" * 100):
                for path in files:
                    path.write_bytes(content)
                self._expect_run_error(directory)
            for path in files:
                path.unlink()
            self._expect_run_error(directory)
            self._expect_run_error(directory / "missing")

    def _expect_run_error(self, directory: Path) -> None:
        try:
            self.open(directory)
        except RunError as error:
            assert str(directory) in str(error)
        else:
            raise AssertionError(f"'{directory}' was opened")
