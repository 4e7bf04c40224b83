"""Journals of earlier versions are read, and go on."""

import shutil
import sqlite3
from pathlib import Path

import pytest

import evonas
from evonas import Choice, Integer, Metric, Objective, Problem, Real, RunError, Space
from evonas.run.journal import MIGRATIONS, SCHEMA, Journal
from evonas.run.run import Run

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
