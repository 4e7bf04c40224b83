"""The append-only record of a run, in SQLite.

Tables (schema version 2)::

    meta            key, value (JSON): schema, problem description, settings, state, seconds
    candidates      id, batch, genome (JSON), decision, reason, predictions (JSON)
    evaluations     number, candidate, status, error, seconds, worker, attempts, finished, source
    metric_values   candidate, metric, value, seconds, worker, source
    snapshots       optimizer state (JSON) after a batch was proposed, and what it was told

``source`` of a value is the candidate whose measurement it was read from; its ``seconds`` and
``worker`` are those of the call that measured it. ``source`` of an evaluation is set for a free
design, which is not counted: the candidate that its expensive metrics were measured of.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from evonas.errors import RunError, WorkError
from evonas.host import worker_name
from evonas.records import Candidate, Decision, Evaluation, Prediction, Status, Verdict
from evonas.run.layout import JOURNAL, PARTIAL, remove_files
from evonas.run.lock import take_lock

SCHEMA = 2

MIGRATIONS = {
    1: "ALTER TABLE evaluations ADD COLUMN source INTEGER REFERENCES candidates (id);",
}
"""Schema version -> SQL that takes a journal to the next version, when a run is resumed."""

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE candidates (
    id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, genome TEXT NOT NULL,
    decision TEXT NOT NULL, reason TEXT NOT NULL, predictions TEXT NOT NULL
);
CREATE TABLE evaluations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    candidate INTEGER NOT NULL UNIQUE REFERENCES candidates (id),
    status TEXT NOT NULL, error TEXT NOT NULL, seconds REAL NOT NULL, worker TEXT NOT NULL,
    attempts INTEGER NOT NULL, finished REAL NOT NULL, source INTEGER REFERENCES candidates (id)
);
CREATE TABLE metric_values (
    candidate INTEGER NOT NULL REFERENCES candidates (id), metric TEXT NOT NULL,
    value REAL NOT NULL, seconds REAL NOT NULL, worker TEXT NOT NULL, source INTEGER NOT NULL,
    PRIMARY KEY (candidate, metric)
) WITHOUT ROWID;
CREATE TABLE snapshots (batch INTEGER PRIMARY KEY, told INTEGER NOT NULL, state TEXT NOT NULL);
"""

MODE = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
"""Readers do not wait for the writer. A killed process loses nothing that it committed; a power
cut may lose the last commits, never the consistency (sqlite.org/pragma.html#pragma_synchronous)."""


class Journal:
    """A run's candidates, verdicts, evaluations and snapshots.

    Use :meth:`create`, :meth:`open` or :meth:`read`, and as a context manager.
    """

    def __init__(self, connection: sqlite3.Connection, where: str, lock: IO[str] | None) -> None:
        self._connection = connection
        self._where = where
        self._lock = lock

    @classmethod
    def create(
        cls, directory: Path | None, meta: Mapping[str, Any], lock: IO[str] | None = None
    ) -> Self:
        """Start a journal.

        Args:
            directory: Directory of the run, made if need be; ``None`` keeps the journal in memory.
            meta: Facts to remember about the run, as JSON values.
            lock: Lock from :meth:`claim`, if the directory was claimed; a run that is there is then
                replaced.

        Raises:
            RunError: The directory holds a run already.
            RunLockedError: Another process is writing to it.
            WorkError: The disk is full; a run that is there is kept.
        """
        if directory is None:
            connection = sqlite3.connect(":memory:")
            _fill(connection, meta)
            return cls(connection, "memory", None)
        lock = lock or cls.claim(directory)
        try:
            partial = _create(directory, meta)
            remove_files(directory)
            partial.replace(directory / JOURNAL)
            return cls(_connect(directory / JOURNAL), str(directory), lock)._checked()
        except BaseException:
            lock.close()
            raise

    @staticmethod
    def claim(directory: Path, overwrite: bool = False) -> IO[str]:
        """Keep other processes away from a directory until a journal is created there.

        Args:
            directory: Directory of the run, made if need be.
            overwrite: Whether it may hold a run already.

        Returns:
            The lock, to be passed to :meth:`create` or closed.

        Raises:
            RunError: The directory holds a run already, or cannot be made.
            RunLockedError: Another process is writing to it, or about to.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"the run's directory '{directory}' cannot be made: {error.strerror}"
            ) from None
        lock = take_lock(directory)
        if (directory / JOURNAL).exists() and not overwrite:
            lock.close()
            raise RunError(
                f"'{directory}' holds a run already; resume it, or choose another directory"
            )
        return lock

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open a run to go on writing to it.

        Raises:
            RunError: There is no run, or its journal is corrupt or of another version.
            RunLockedError: Another process is writing to it.
        """
        path = _find(directory)
        lock = take_lock(directory)
        try:
            return cls(_connect(path), str(directory), lock)._checked()
        except BaseException:
            lock.close()
            raise

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Open a run for reading, even while another process writes to it.

        The directory may be read-only.

        Raises:
            RunError: There is no run, or its journal is corrupt or of another version.
        """
        path = _find(directory)
        return cls(_connect(path, _reading_mode(path)), str(directory), None)._checked()

    def _checked(self) -> Self:
        try:
            if self._lock is not None:
                self._connection.executescript(MODE)
            schema = self._schema()
            while self._lock is not None and schema in MIGRATIONS:
                schema = self._migrate(schema)
        except (sqlite3.Error, json.JSONDecodeError) as error:
            self.close()
            raise RunError(
                f"the journal in '{self._where}' is corrupt ({error}); restore it from a copy"
            ) from error
        if schema != SCHEMA and schema not in MIGRATIONS:
            self.close()
            raise RunError(
                f"the journal in '{self._where}' has schema version {schema}, and this version "
                f"of EvoNAS reads version {SCHEMA}; use the version that wrote it"
            )
        return self

    def _schema(self) -> int:
        schema: int = self.meta().get("schema")  # type: ignore[assignment]
        return schema

    def _migrate(self, schema: int) -> int:
        """Make the journal one of the next schema version, in one transaction."""
        self._connection.executescript(
            f"BEGIN; {MIGRATIONS[schema]} UPDATE meta SET value = '{schema + 1}' "
            "WHERE key = 'schema'; COMMIT;"
        )
        return self._schema()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the journal and let others write to the run."""
        self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection, self._where)

    def commit(
        self,
        *,
        candidates: Iterable[tuple[Candidate, Verdict]] = (),
        evaluations: Iterable[tuple[Evaluation, Mapping[str, int]]] = (),
        snapshot: tuple[int, int, Mapping[str, Any]] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """Write in one transaction.

        Args:
            candidates: Candidates, each with its verdict.
            evaluations: Evaluations, each with its values from memory: metric -> id of the
                candidate that the value was measured of.
            snapshot: Number of the batch, number of evaluations that the optimizer was told of, and
                its state; it replaces the one before.
            meta: Facts to remember about the run, as JSON values.

        Raises:
            WorkError: The disk is full or the file cannot be written; nothing of it is kept.
        """
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO candidates VALUES (?, ?, ?, ?, ?, ?)",
                [_candidate_row(candidate, verdict) for candidate, verdict in candidates],
            )
            for evaluation, sources in evaluations:
                _insert_evaluation(connection, evaluation, sources)
            if snapshot is not None:
                batch, told, state = snapshot
                connection.execute("DELETE FROM snapshots")
                connection.execute(
                    "INSERT INTO snapshots VALUES (?, ?, ?)", (batch, told, json.dumps(state))
                )
            _set_meta(connection, meta or {})

    def add_values(self, candidate: int, values: Mapping[str, float], seconds: float) -> None:
        """Add metrics that were measured after the search."""
        worker = worker_name()
        rows = [(candidate, m, v, seconds, worker, candidate) for m, v in values.items()]
        with self._transaction() as connection:
            connection.executemany("INSERT INTO metric_values VALUES (?, ?, ?, ?, ?, ?)", rows)

    def set_meta(self, values: Mapping[str, Any]) -> None:
        """Remember facts about the run."""
        with self._transaction() as connection:
            _set_meta(connection, values)

    def meta(self) -> dict[str, Any]:
        """Return what is remembered about the run."""
        rows = self._connection.execute("SELECT key, value FROM meta")
        return {key: json.loads(value) for key, value in rows}

    def candidates(self) -> list[tuple[Candidate, Verdict]]:
        """Return all candidates with their verdicts, in the order of proposal."""
        rows = self._connection.execute("SELECT * FROM candidates ORDER BY id")
        return [
            (
                Candidate(id_, json.loads(genome), batch),
                Verdict(
                    Decision(decision),
                    reason,
                    {m: Prediction(*p) for m, p in json.loads(predictions).items()},
                ),
            )
            for id_, batch, genome, decision, reason, predictions in rows
        ]

    def evaluations(self, after: int = 0) -> list[Evaluation]:
        """Return evaluations in the order of commit.

        Args:
            after: Number of the last evaluation to leave out; the first has number 1.
        """
        values: dict[int, dict[str, float]] = {}
        for candidate, metric, value in self._connection.execute(
            "SELECT v.candidate, metric, value FROM metric_values v "
            "JOIN evaluations e USING (candidate) WHERE number > ?",
            (after,),
        ):
            values.setdefault(candidate, {})[metric] = value
        source = "e.source" if self._schema() > 1 else "NULL"
        rows = self._connection.execute(
            "SELECT c.id, c.genome, c.batch, e.status, e.seconds, e.worker, e.error, e.attempts, "
            f"{source} FROM evaluations e JOIN candidates c ON c.id = e.candidate "
            "WHERE number > ? ORDER BY number",
            (after,),
        )
        return [
            Evaluation(
                Candidate(id_, json.loads(genome), batch),
                Status(status),
                values.get(id_, {}),
                seconds,
                worker,
                error,
                attempts,
                source,
            )
            for id_, genome, batch, status, seconds, worker, error, attempts, source in rows
        ]

    def sources(self) -> dict[tuple[int, str], int]:
        """Return where values read from memory came from: (candidate, metric) -> candidate."""
        rows = self._connection.execute(
            "SELECT candidate, metric, source FROM metric_values WHERE source != candidate"
        )
        return {(candidate, metric): source for candidate, metric, source in rows}

    def snapshot(self) -> tuple[int, int, dict[str, Any]] | None:
        """Return the latest snapshot as it was committed, or ``None`` before the first."""
        row = self._connection.execute("SELECT batch, told, state FROM snapshots").fetchone()
        return None if row is None else (row[0], row[1], json.loads(row[2]))

    def counts(self) -> dict[str, int]:
        """Count proposed designs, designs by decision, and evaluations by status.

        Free designs are no evaluations. A design that was pruned and let through later counts as
        let through.
        """
        counts: dict[str, int] = {}
        counted = "WHERE source IS NULL" if self._schema() > 1 else ""
        for query in (
            "SELECT decision, COUNT(*) FROM candidates GROUP BY decision",
            f"SELECT status, COUNT(*) FROM evaluations {counted} GROUP BY status",
        ):
            counts.update(self._connection.execute(query))
        designs = "SELECT COUNT(DISTINCT genome) FROM candidates"
        counts["proposed"] = self._connection.execute(designs).fetchone()[0]
        let_through = sum(counts.get(d, 0) for d in Decision if d is not Decision.PRUNE)
        counts["prune"] = counts["proposed"] - let_through
        return counts


class _Transaction:
    """Commits on success, rolls back on failure, and turns errors of SQLite into a sentence."""

    def __init__(self, connection: sqlite3.Connection, where: str) -> None:
        self._connection, self._where = connection, where

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._connection.commit()
        except sqlite3.Error as failure:
            error = failure
        if error is not None:
            with suppress(sqlite3.Error):
                self._connection.rollback()
        if isinstance(error, sqlite3.Error):
            raise WorkError(
                f"the journal in '{self._where}' cannot be written ({error}); everything "
                "committed before is kept: make room, then resume the run"
            ) from error


def _connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Open a journal that is there."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=30)


def _reading_mode(path: Path) -> str:
    """How to open a journal for reading.

    A reader writes a file beside the journal. Where it may not, the write-ahead log must be empty
    (sqlite.org/wal.html#readonly).
    """
    if os.access(path.parent, os.W_OK):
        return "rw"
    return "ro" if path.with_name(path.name + "-wal").exists() else "ro&immutable=1"


def _create(directory: Path, meta: Mapping[str, Any]) -> Path:
    """Make the journal under another name: a process that is killed leaves no half of one."""
    partial = directory / PARTIAL
    partial.unlink(missing_ok=True)
    connection = sqlite3.connect(partial)
    try:
        _fill(connection, meta)
    except sqlite3.Error as error:
        raise WorkError(
            f"no journal can be written in '{directory}' ({error}); make room, then search again"
        ) from error
    finally:
        connection.close()
    return partial


def _fill(connection: sqlite3.Connection, meta: Mapping[str, Any]) -> None:
    connection.executescript(TABLES)
    rows = [(key, json.dumps(value)) for key, value in {"schema": SCHEMA, **meta}.items()]
    connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
    connection.commit()


def _find(directory: Path) -> Path:
    path = directory / JOURNAL
    if not directory.is_dir():
        raise RunError(f"there is no run directory '{directory}'")
    if not path.is_file():
        raise RunError(f"'{directory}' is not a run directory: it has no {JOURNAL}")
    return path


def _set_meta(connection: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO meta VALUES (?, ?)",
        [(key, json.dumps(value)) for key, value in values.items()],
    )


def _candidate_row(candidate: Candidate, verdict: Verdict) -> tuple[int, int, str, str, str, str]:
    predictions = {m: [p.mean, p.deviation] for m, p in verdict.predictions.items()}
    return (
        candidate.id,
        candidate.batch,
        json.dumps(dict(candidate.genome)),
        verdict.decision.value,
        verdict.reason,
        json.dumps(predictions),
    )


def _insert_evaluation(
    connection: sqlite3.Connection, evaluation: Evaluation, sources: Mapping[str, int]
) -> None:
    id_ = evaluation.candidate.id
    connection.execute(
        "INSERT INTO evaluations "
        "(candidate, status, error, seconds, worker, attempts, finished, source) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id_,
            evaluation.status.value,
            evaluation.error,
            evaluation.seconds,
            evaluation.worker,
            evaluation.attempts,
            time.time(),
            evaluation.source,
        ),
    )
    rows: Sequence[tuple[object, ...]] = [
        (id_, metric, value, evaluation.seconds, evaluation.worker, sources.get(metric, id_))
        for metric, value in evaluation.values.items()
        if metric not in sources
    ]
    connection.executemany("INSERT INTO metric_values VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.executemany(
        "INSERT INTO metric_values SELECT ?, metric, value, seconds, worker, source "
        "FROM metric_values WHERE candidate = ? AND metric = ?",
        [(id_, source, metric) for metric, source in sources.items()],
    )
