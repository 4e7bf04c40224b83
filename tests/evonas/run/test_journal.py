"""Journals of earlier versions are read, and go on."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

import evonas
from evonas import (
    Choice,
    Integer,
    Metric,
    Objective,
    Problem,
    Real,
    RunError,
    Space,
)
from evonas.problems.toy import Blocks
from evonas.run.journal import MIGRATIONS, SCHEMA, TABLES, Journal
from evonas.run.run import Run
from evonas.testing import JournalSuite
from tests.evonas.searches import OPTIONS, QUIET, SERIAL, FakeRunner, Fragile, fake, record

DATA = Path(__file__).with_name("data")


class Kite(Problem):
    """How many layers, how wide, which kernel?"""

    space = Space(Integer("layers", 1, 8), Real("width", 0.25, 1.0), Choice("kernel", [3, 5, 7]))
    metrics = (Metric("error", "%"), Metric("latency_ms", "ms"))
    objectives = (Objective("error"), Objective("latency_ms"))

    def evaluate(self, genome, metrics):
        work = genome["layers"] * genome["width"] * genome["kernel"]
        return {"error": 100 / (1 + work), "latency_ms": 0.4 * work + genome["layers"]}


@pytest.fixture(params=["plain", "surrogate"])
def run(request, tmp_path):
    """A run of 30 evaluations, written with schema version 1."""
    shutil.copytree(DATA / f"schema1_{request.param}", tmp_path / "run")
    return tmp_path / "run"


def schema(run):
    with sqlite3.connect(run / "journal.sqlite") as connection:
        return int(connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()[0])


def test_a_run_of_an_earlier_version_is_looked_at_and_left_as_it_is(run):
    assert Run.open(run).status()["evaluated"] == 30
    assert len(Run.open(run).front)
    assert schema(run) == 1


def test_a_run_of_an_earlier_version_goes_on(run):
    before = Run.open(run)._journal.evaluations()
    found = evonas.resume(run, problem=Kite(), evaluations=40, report=lambda line: None)
    assert found.status()["evaluated"] == 40
    assert found._journal.evaluations()[:30] == before
    assert schema(run) == SCHEMA
    assert MIGRATIONS.keys() == set(range(1, SCHEMA))


def test_a_run_of_a_later_version_is_refused_and_left_as_it_is(run):
    with sqlite3.connect(run / "journal.sqlite") as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    for opened in (Journal.read, Journal.open):
        with pytest.raises(RunError, match=r"schema version 99, .* use the version that wrote it"):
            opened(run)
    assert schema(run) == 99


def test_a_full_disk_is_said_in_a_sentence_and_the_run_goes_on_later(uninterrupted, tmp_path):
    class DiskFills(FakeRunner):
        def evaluate(self, task):
            if task.candidate.id == 25:
                connection = journals[0]._connection
                pages = connection.execute("PRAGMA page_count").fetchone()[0]
                connection.execute(f"PRAGMA max_page_count = {pages}")
            return super().evaluate(task)

    journals = []
    create = Journal.create.__func__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Journal,
            "create",
            classmethod(lambda *args: journals.append(create(*args)) or journals[-1]),
        )
        with pytest.raises(evonas.WorkError, match=r"cannot be written .*full.* resume"):
            evonas.search(Fragile(), out=tmp_path / "run", runner=DiskFills, **OPTIONS)
    assert len(record(tmp_path / "run")[1]) >= 25
    evonas.resume(tmp_path / "run", problem=Fragile(), runner=fake(), **QUIET)
    assert record(tmp_path / "run") == record(uninterrupted)


def test_a_disk_that_is_full_at_the_start_costs_no_run(tmp_path, monkeypatch):
    evonas.search(Blocks(), evaluations=20, out=tmp_path / "run", **SERIAL)
    before = record(tmp_path / "run")
    monkeypatch.setattr("evonas.run.journal.TABLES", f"PRAGMA max_page_count = 3; {TABLES}")
    with pytest.raises(evonas.WorkError, match=r"no journal can be written .*full.*make room"):
        evonas.search(Blocks(), evaluations=20, out=tmp_path / "run", overwrite=True, **SERIAL)
    assert record(tmp_path / "run") == before


def test_a_run_that_may_only_be_read_can_be_looked_at(tmp_path, monkeypatch):
    directory = tmp_path / "run"
    evonas.search(Blocks(), evaluations=20, out=directory, **SERIAL)._journal.close()
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    connect = sqlite3.connect

    def readable(name, **options):
        assert "immutable=1" in str(name)
        return connect(name, **options)

    # As root everything may be written, whatever the modes say.
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    monkeypatch.setattr("sqlite3.connect", readable)
    with evonas.Run.open(directory)._journal as journal:
        assert len(journal.evaluations()) == 20
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


class TestJournal(JournalSuite):
    def create(self, directory: Path):
        return Journal.create(directory, {"settings": {}})

    def open(self, directory: Path):
        return Journal.open(directory)


def test_a_journal_of_another_version_is_refused(tmp_path):
    with Journal.create(tmp_path, {}) as journal:
        journal.set_meta({"schema": 99})
    with pytest.raises(Exception, match="schema version 99"):
        Journal.open(tmp_path)
