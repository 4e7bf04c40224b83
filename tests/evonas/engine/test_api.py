"""How searches are started, replaced and resumed."""

import os

import pytest

import evonas
from evonas.problems.toy import Blocks
from evonas.space import genome_key
from tests.evonas.searches import OPTIONS, QUIET, SERIAL, Fragile, Power, fake, genomes, record


def test_a_search_stopped_by_its_budget_resumes_with_a_larger_one(tmp_path):
    options = OPTIONS | {"evaluations": 32}  # the end of a batch: 12 + 10 + 10
    evonas.search(Fragile(), out=tmp_path / "short", runner=fake(), **options)
    evonas.resume(tmp_path / "short", problem=Fragile(), evaluations=60, runner=fake(), **QUIET)
    evonas.search(Fragile(), out=tmp_path / "long", runner=fake(), **OPTIONS)
    assert record(tmp_path / "short") == record(tmp_path / "long")


def test_a_changed_problem_is_not_resumed(uninterrupted, tmp_path):
    evonas.search(Fragile(), out=tmp_path / "run", runner=fake(), **OPTIONS)
    with pytest.raises(evonas.RunError, match="the constraints of problem 'Fragile' changed"):
        evonas.resume(tmp_path / "run", problem=Blocks(), **QUIET)
    with pytest.raises(evonas.RunError, match=r"evonas\.resume\(directory, problem=\.\.\.\)"):
        evonas.resume(tmp_path / "run", **QUIET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evaluations": 0}, "evaluations is 0; it must be at least 1"),
        ({"seconds": -1.0}, "seconds is -1.0; it must be more than 0"),
        ({"generations": 0}, "generations is 0"),
        ({"evaluation": 5}, "unknown parameter 'evaluation'; did you mean 'evaluations'"),
        ({"address": "auto"}, "address is for the runner 'ray', not 'serial'"),
        ({"population": 1}, "population is 1"),
        ({"offspring": 0}, "offspring is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"timeout": 0}, "timeout is 0"),
        ({"runner": "serail"}, "unknown runner 'serail'; did you mean 'serial'"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(evonas.UsageError, match=message):
        evonas.search(Blocks(), out=tmp_path / "run", **(SERIAL | options))
    assert not (tmp_path / "run").exists()


def test_settings_that_are_none_are_refused():
    with pytest.raises(evonas.UsageError, match="settings are 60; they must be SearchSettings"):
        evonas.search(Blocks(), 60)


def test_final_metrics_are_measured_for_the_front_alone(tmp_path):
    scored = []

    class Final(Blocks):
        final_metrics = (evonas.Metric("test_error", "%"),)

        def final(self, genome):
            scored.append(genome_key(genome))
            return {"test_error": 1.5}

    run = evonas.search(Final(), evaluations=60, out=tmp_path / "run", **SERIAL)
    assert sorted(scored) == genomes(run.front)
    assert (run.front.to_frame()["test_error"] == 1.5).all()
    evonas.resume(tmp_path / "run", problem=Final(), **QUIET)
    assert len(scored) == len(run.front)


def test_a_run_is_replaced_only_by_one_that_is_ready_to_begin(tmp_path):
    class Unready(Blocks):
        def prepare(self, report):
            raise Power

    directory = tmp_path / "run"
    evonas.search(Blocks(), evaluations=20, out=directory, **SERIAL)
    before = record(directory)
    for problem, error, options in (
        (Unready(), Power, {}),
        (Blocks(), evonas.UsageError, {"population": 1}),
        (Blocks(), evonas.UsageError, {"workers": 0}),
        (Blocks(), evonas.UsageError, {"seed": -1}),
        (Blocks(), evonas.UsageError, {"options": {"since": {1}}}),
    ):
        with pytest.raises(error):
            evonas.search(problem, out=directory, overwrite=True, **options, **SERIAL)
        assert record(directory) == before
    with pytest.raises(evonas.RunError, match="holds a run already"):
        evonas.search(Blocks(), evaluations=20, seed=1, out=directory, **SERIAL)
    files = {"notes.txt": "mine"}
    evonas.search(
        Blocks(), evaluations=20, seed=1, out=directory, overwrite=True, files=files, **SERIAL
    )
    assert record(directory) != before
    assert (directory / "notes.txt").read_text() == "mine"


def test_a_file_is_no_directory_for_a_run(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(evonas.RunError, match="cannot be made: File exists"):
        evonas.search(Blocks(), out=tmp_path / "file", **SERIAL)


def test_a_second_search_is_refused_while_the_first_prepares(tmp_path):
    class Second(Blocks):
        def prepare(self, report):
            with pytest.raises(evonas.RunLockedError, match=f"written by process {os.getpid()}"):
                evonas.search(Blocks(), evaluations=20, out=tmp_path / "run", **SERIAL)

    run = evonas.search(Second(), evaluations=20, out=tmp_path / "run", **SERIAL)
    assert run.status()["evaluated"] == 20
