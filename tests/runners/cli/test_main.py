import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint, EntryPoints, entry_points

import pandas as pd
import pytest
import yaml

from evonas import plugins
from evonas.run.lock import take_lock
from evonas.runners.cli.main import main

PROBLEM = """
    import os
    import signal

    from evonas import (DataError, InfeasibleError, Integer, Metric, Objective, Problem, Space)


    class Tent(Problem):
        '''Two slopes that meet.'''

        space = Space(Integer("n", 0, 200))
        metrics = [Metric("left", "%"), Metric("right", "ms")]
        objectives = [Objective("left"), Objective("right")]
        notes = ["the device is simulated [here]"]

        def __init__(self, fail: str = "", interrupts: int = 0):
            self.fail = fail
            self.interrupts = interrupts
            self.count = 0

        def evaluate(self, genome, metrics):
            print("noise")
            self.count += 1
            if self.fail == "raise":
                raise ValueError("no such device")
            if self.fail == "refuse":
                raise InfeasibleError("too wide")
            if self.count == 7:
                for _ in range(self.interrupts):
                    os.kill(os.getpid(), signal.SIGINT)
            return {"left": float(genome["n"]), "right": 100.0 - genome["n"]}


    class NoData(Tent):
        def prepare(self, report):
            raise DataError("the folder 'leaves' has no images")


    class Interrupted(Tent):
        def prepare(self, report):
            os.kill(os.getpid(), signal.SIGINT)


    class WithModels(Tent):
        def prepare(self, report):
            self.ready = True

        def export(self, genome, directory):
            (directory / "model.txt").write_text(f"{genome['n']} {self.ready}")


    class Broken(Tent):
        def describe(self):
            raise RuntimeError("a bug")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder that holds a file of problems."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tent.py").write_text(textwrap.dedent(PROBLEM))
    return tmp_path


@pytest.fixture
def evonas(capsys):
    """Call the command line; returns its exit code, standard output and standard error."""

    def call(line, *more):
        code = main([*line.split(), *more])
        return code, *capsys.readouterr()

    return call


SMALL = "--runner serial --population 10 --evaluations 30"


def front(directory):
    return json.loads((directory / "front.json").read_text())["designs"]


def test_search_writes_the_front_and_shows_it(evonas, folder):
    code, out, err = evonas(f"search tent.py:Tent {SMALL} --seed 3")
    run = folder / "results/runs/Tent"
    assert code == 0
    table = pd.read_csv(run / "front.csv")
    for design in table.head(3).itertuples():
        assert f"{design.left:.4g}" in out
    for text in ("left [%]", "right [ms]", "simulated [here]", "results/runs/Tent", "front.png"):
        assert text in out
    assert "100%, finished, 30 evaluated" in err
    assert (run / "front.png").stat().st_size > 1000
    assert len(pd.read_parquet(run / "front.parquet")) == len(table)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["seed"], config["evaluations"]) == (3, 30)
    assert config["problem"] == f"{folder / 'tent.py'}:Tent"


def test_json_is_all_there_is_on_standard_output(evonas):
    code, out, err = evonas(f"search tent.py:Tent {SMALL} --json")
    result = json.loads(out)
    assert code == 0
    assert result["evaluated"] == 30
    assert result["state"] == "finished"
    assert len(result["front"]) == result["front_size"]
    assert "noise" in err


def test_a_search_without_a_directory_never_touches_another(evonas, folder):
    for _ in range(2):
        evonas(f"search tent.py:Tent {SMALL}")
    assert {path.name for path in (folder / "results/runs").iterdir()} == {"Tent", "Tent-2"}


def test_worker_processes_find_a_problem_in_a_file(evonas):
    code, out, _ = evonas(
        "search tent.py:Tent --workers 2 --population 6 --evaluations 12 --out run --json"
    )
    assert code == 0
    assert json.loads(out)["evaluated"] == 12


def test_search_reads_a_configuration(evonas, folder):
    (folder / "my.yaml").write_text(
        "problem: tent.py:Tent\nrunner: serial\npopulation: 10\nevaluations: 20\nout: run\n"
        "options: {fail: raise}\n"
    )
    code, out, _ = evonas("search my.yaml --evaluations 30 --json", "--set", "fail=''")
    assert code == 0
    assert json.loads(out)["evaluated"] == 30


def test_a_run_is_replaced_only_when_told_to(evonas, folder):
    line = f"search tent.py:Tent {SMALL} --out run"
    assert evonas(line)[0] == 0
    before = front(folder / "run")
    code, _, err = evonas(f"{line} --seed 1")
    assert code == 2
    for advice in ("evonas resume run", "another --out", "--overwrite"):
        assert advice in err
    assert front(folder / "run") == before
    (folder / "run" / "notes.txt").write_text("mine")
    assert evonas(f"{line} --seed 1 --overwrite")[0] == 0
    assert front(folder / "run") != before
    assert (folder / "run" / "notes.txt").read_text() == "mine"


def test_a_run_that_is_being_written_is_left_alone(evonas, folder):
    line = f"search tent.py:Tent {SMALL} --out run"
    evonas(line)
    before = front(folder / "run")
    with take_lock(folder / "run"):
        code, _, err = evonas(f"{line} --overwrite")
        assert code == 2
        assert f"process {os.getpid()}" in err
        assert evonas("resume run")[0] == 2
    assert front(folder / "run") == before


def test_a_folder_with_other_things_in_it_is_left_alone(evonas, folder):
    (folder / "mine").mkdir()
    (folder / "mine" / "config.yaml").write_text("mine")
    for more in ("", "--overwrite"):
        code, _, err = evonas(f"search tent.py:Tent {SMALL} --out mine {more}")
        assert code == 2
        assert "'mine' is not empty" in err
    assert [path.name for path in (folder / "mine").iterdir()] == ["config.yaml"]


def test_a_folder_with_a_file_that_is_named_like_a_runs_is_left_alone(evonas, folder):
    mine = folder / "mine"
    (mine / "models").mkdir(parents=True)
    for name in ("journal.md", "front.txt", "models/weights.pt"):
        (mine / name).write_text("mine")
    assert "'mine' is not empty" in evonas(f"search tent.py:Tent {SMALL} --out mine")[2]
    assert (mine / "models" / "weights.pt").read_text() == "mine"
    evonas(f"search tent.py:Tent {SMALL} --out run")
    (folder / "run" / "journal.md").write_text("mine")
    assert evonas(f"search tent.py:Tent {SMALL} --seed 1 --out run --overwrite")[0] == 0
    assert (folder / "run" / "journal.md").read_text() == "mine"


@pytest.mark.parametrize("wrong", ["--population 1", "--runner serial --workers 4"])
def test_a_wrong_call_does_not_cost_the_run_that_it_would_replace(evonas, folder, wrong):
    evonas(f"search tent.py:Tent {SMALL} --out run")
    before = front(folder / "run")
    config = (folder / "run" / "config.yaml").read_text()
    code, _, err = evonas(f"search tent.py:Tent {SMALL} {wrong} --out run --overwrite")
    assert code == 2
    assert err.count("\n") == 1
    assert front(folder / "run") == before
    assert (folder / "run" / "config.yaml").read_text() == config
    assert evonas("resume run --evaluations 60")[0] == 0


def test_an_option_that_cannot_be_remembered_is_named(evonas, folder):
    code, _, err = evonas(f"search tent.py:Tent {SMALL} --out run --set fail=2024-01-01")
    assert code == 2
    assert "option 'fail' is datetime.date(2024, 1, 1); it must be text" in err


def test_a_run_of_several_workers_goes_on_in_one_process(evonas, folder):
    assert evonas(f"search tent.py:Tent {SMALL} --runner processes --workers 2 --out run")[0] == 0
    assert evonas("resume run --evaluations 60 --runner serial")[0] == 0


@pytest.mark.parametrize(
    "line", ["search tent.py:NoData", "search tent.py:Tent --runner serial --workers 2"]
)
def test_what_goes_wrong_before_the_search_leaves_nothing_behind(evonas, folder, line):
    assert evonas(f"{line} --out run")[0] == 2
    assert not (folder / "run").exists()


def test_ctrl_c_before_the_search_leaves_nothing_to_resume(evonas, folder):
    code, _, err = evonas("search tent.py:Interrupted --out run")
    assert code == 130
    assert err == "Stopped at once.\n"
    assert not (folder / "run").exists()


def test_the_directory_of_a_start_that_was_killed_is_used_again(evonas, folder):
    (folder / "run").mkdir()
    take_lock(folder / "run").close()
    (folder / "run" / "journal.sqlite.partial").write_text("")
    assert evonas(f"search tent.py:Tent {SMALL} --out run")[0] == 0


def test_ctrl_c_once_stops_cleanly_and_resume_ends_where_an_uninterrupted_run_does(evonas, folder):
    code, out, err = evonas(f"search tent.py:Tent {SMALL} --out run", "--set", "interrupts=1")
    assert code == 0
    assert "Stopping" in err
    assert "evonas resume run" in out
    _, out, _ = evonas("status run --json")
    assert json.loads(out)["state"] == "stopped"
    assert 7 <= json.loads(out)["evaluated"] < 30
    # A stop in a later session at the same count of evaluations must not matter either.
    while json.loads(evonas("status run --json")[1])["state"] == "stopped":
        assert evonas("resume run")[0] == 0
    evonas(f"search tent.py:Tent {SMALL} --out whole")
    assert front(folder / "run") == front(folder / "whole")


@pytest.mark.parametrize("interrupts", ["1", "2"])
def test_the_command_that_goes_on_can_be_pasted(evonas, interrupts):
    call = ["--out", "my run", "--set", f"interrupts={interrupts}"]
    _, out, err = evonas(f"search tent.py:Tent {SMALL}", *call)
    assert "evonas resume 'my run'" in (out + err)
    assert "evonas resume 'my run'" in evonas("status", "my run")[1]


def test_ctrl_c_twice_stops_at_once_and_keeps_what_was_done(evonas):
    code, _, err = evonas(f"search tent.py:Tent {SMALL} --out run", "--set", "interrupts=2")
    assert code == 130
    assert "evonas resume run" in err
    assert "Traceback" not in err
    status = json.loads(evonas("status run --json")[1])
    assert status["state"] == "interrupted"
    assert status["evaluated"] == 6
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_resume_takes_a_larger_budget(evonas):
    evonas(f"search tent.py:Tent {SMALL} --out run")
    for used in ("", "--evaluations 30"):
        code, _, err = evonas(f"resume run {used}")
        assert code == 0
        assert "used its budget" in err
    code, out, _ = evonas("resume run --evaluations 40 --json")
    assert code == 0
    assert json.loads(out)["evaluated"] == 40


@pytest.mark.parametrize(("fail", "reason"), [("raise", "no such device"), ("refuse", "30 infeas")])
def test_a_search_that_finds_nothing_has_failed_and_says_why(evonas, fail, reason):
    code, _, err = evonas(f"search tent.py:Tent {SMALL} --out run", "--set", f"fail={fail}")
    assert code == 1
    assert reason in err.splitlines()[-1]
    code, out, _ = evonas("status run")
    assert code == 0
    assert fail == "refuse" or "failed 30 times: ValueError: no such device (tent.py:" in out


def test_status_names_what_counts(evonas):
    evonas(f"search tent.py:Tent {SMALL} --out run")
    status = json.loads(evonas("status run --json")[1])
    wanted = "proposed evaluated pruned failed front_size hypervolume state"
    assert set(wanted.split()) <= set(status)
    assert status["evaluated"] == status["proposed"] == 30


def test_export_writes_what_is_asked_for(evonas, folder):
    evonas(f"search tent.py:Tent {SMALL} --out run")
    (folder / "run" / "front.csv").unlink()
    code, out, _ = evonas("export run --format csv,parquet")
    assert code == 0
    assert out.split() == ["run/front.csv", "run/front.parquet"]
    assert len(pd.read_csv(folder / "run" / "front.csv")) == len(front(folder / "run"))
    assert json.loads(evonas("export run --json")[1])["files"][-1] == "run/front.png"


def test_models_are_exported_by_search_and_by_export(evonas, folder):
    code, out, _ = evonas(f"search tent.py:WithModels {SMALL} --out run")
    designs = front(folder / "run")
    assert code == 0
    assert f"{len(designs)} designs, each verified" in out
    model = folder / "run" / "models" / str(designs[0]["id"]) / "model.txt"
    assert model.read_text() == f"{designs[0]['genes']['n']} True"
    model.unlink()
    assert evonas("export run")[0] == 0
    assert model.exists()


def test_a_full_disk_leaves_the_run_to_be_exported(evonas, folder, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr("evonas.run.run.export_models", full)
        code, _, error = evonas(f"search tent.py:WithModels {SMALL} --out run")
    assert code == 1
    assert "No space left on device); everything that was evaluated is kept" in error
    assert error.endswith("then: evonas export run\n")
    assert evonas("export run")[0] == 0


BAD_CALLS = {
    "serch digits": "Did you mean 'search'",
    "search": "Missing argument",
    "search tent.py:Tent --evaluation 3": "--evaluations",
    "search tent.py:Tent --evaluations many": "valid integer",
    "search tent.py:Tent --evaluations 0": "--evaluations is 0",
    "search tent.py:Tent --runner proceses": "did you mean 'processes'",
    "search tent.py:Tent --set fial=x": "did you mean 'fail'",
    "search tent.py:Tent --set fail": "key=value",
    "search tent.py:Tent --device phone": "has neither an option 'device' nor 'timed_models'",
    "search digits --device fone": "did you mean 'phone'",
    "search tent.py:Tnet": "did you mean 'Tent'",
    "search tent.py": "tent.py:MyProblem",
    "search blokcs": "did you mean 'blocks'",
    "search none.yaml": "No such file",
    "search none.py:Tent": "none.py",
    "search no.module:Tent": "no.module",
    "search tent.py:Tent --out tent.py": "tent.py",
    "search tent.py:NoData": "has no images",
    "resume none": "no run directory 'none'",
    "status .": "not a run directory",
    "status corrupt": "corrupt",
    "resume corrupt": "corrupt",
    "export corrupt": "corrupt",
    "export run --format cvs": "did you mean 'csv'",
    "export run --format onnx": "no models",
    "search tent.py:Tent --timeout inf": "--timeout is inf; it must be a finite number",
    "search tent.py:Tent --address auto": "--address is for the runner 'ray', not 'processes'",
    "resume run --evaluations 0": "--evaluations is 0; it must be at least 1",
    "resume run --address auto": "--address is for the runner 'ray', not 'serial'",
    "resume run --seed 3": "No such option",
    "resume run --runner none": "unknown runner",
}


@pytest.mark.parametrize("line", BAD_CALLS)
def test_a_wrong_call_is_told_in_one_sentence(evonas, folder, line):
    if " run" in line:
        evonas(f"search tent.py:Tent {SMALL} --out run")
    (folder / "corrupt").mkdir()
    (folder / "corrupt" / "journal.sqlite").write_text("this is no database")
    code, out, err = evonas(line)
    assert code == 2
    assert out == ""
    assert BAD_CALLS[line] in err
    assert err.splitlines()[-1].startswith("evonas: ")
    assert "Traceback" not in err


def test_a_bug_is_one_sentence_too_and_debug_shows_where_it_is(evonas):
    code, _, err = evonas("search tent.py:Broken")
    assert code == 1
    assert err == "evonas: unexpected RuntimeError: a bug; --debug shows where it comes from\n"
    code, _, err = evonas("search --debug tent.py:Broken")
    assert code == 1
    assert "Traceback" in err
    assert "tent.py" in err


def test_problems_lists_what_loads_and_reports_the_rest(evonas, monkeypatch):
    def with_broken(group):
        broken = EntryPoint("broken", "no.such.module:Problem", group)
        return EntryPoints([broken, *(p for p in entry_points(group=group) if p.name != "digits")])

    monkeypatch.setattr(plugins, "entry_points", with_broken)
    code, out, err = evonas("problems")
    assert code == 0
    assert "blocks" in out
    assert "kernel (3 | 5 | 7)" in out
    assert "minimise error" in out
    assert "plug-in 'broken'" in err
    names = [problem["name"] for problem in json.loads(evonas("problems --json")[1])]
    assert "zdt1" in names
    assert "broken" not in names


@pytest.mark.parametrize(
    "command", ["search", "resume", "status", "export", "problems", "doctor", "device probe"]
)
def test_every_command_has_help_with_an_example(evonas, command):
    code, out, _ = evonas(f"{command} --help")
    assert code == 0
    assert f"Example: evonas {command}" in out


def test_help_without_a_command_and_the_version(evonas):
    code, out, _ = evonas("")
    assert code == 0
    assert "search" in out
    code, out, _ = evonas("--version")
    assert code == 0
    assert out.startswith("evonas ")


def test_python_m_evonas_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "evonas", "serach"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Did you mean 'search'?" in done.stderr


def test_a_surrogate_prunes_and_says_what_it_was_worth(tmp_path, capsys):
    out = str(tmp_path / "run")
    arguments = ["search", "blocks", "--evaluations", "130", "--runner", "serial", "--out", out]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["evaluated"] == 130
    assert found["pruned"] > 0
    assert found["spared_share"] == pytest.approx(found["pruned"] / found["proposed"], abs=0.05)
    assert set(found["spearman"]) == {"error", "operations"}
    assert main(["resume", out]) == 0
    share = f"{found['spared_share']:.0%}"
    said = f"Surrogate: chose 130 of {found['considered']} proposals, {found['pruned']} pruned"
    assert found["considered"] > 130
    ended = capsys.readouterr().out
    assert said in ended
    assert f"{share} spared" in ended
    assert "Spearman correlation: error 0." in ended
    assert "quick here: with --no-surrogate" in ended
    assert main(["status", out]) == 0
    shown = {line[:20].strip(): line[20:] for line in capsys.readouterr().out.splitlines()}
    wrong = found["wrong_prune_rate"]
    expected = "unknown, nothing was audited" if wrong is None else f"{wrong:.4g}"
    assert shown["wrong prune rate"].strip() == expected


def test_without_a_surrogate_nothing_is_pruned(tmp_path, capsys):
    arguments = ["search", "blocks", "--evaluations", "60", "--runner", "serial", "--json"]
    assert main([*arguments, "--no-surrogate", "--out", str(tmp_path / "run")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["evaluated"], found["pruned"]) == (60, 0)
    assert "spared_share" not in found


def test_a_run_that_did_not_count_proposals_goes_on(tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["search", "blocks", "--runner", "serial", "--out", str(out)]
    assert main([*arguments, "--evaluations", "30"]) == 0
    with sqlite3.connect(out / "journal.sqlite") as journal:
        journal.execute("UPDATE snapshots SET state = json_remove(state, '$.considered')")
    journal.close()
    assert main(["status", str(out)]) == 0
    assert main(["resume", str(out), "--evaluations", "40"]) == 0
    assert "from 40 evaluations" in capsys.readouterr().out
