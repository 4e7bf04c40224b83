import json
import shutil

import numpy as np
import pytest

import evonas
from evonas.devices import store
from evonas.runners.cli.main import main
from tests.runners.kit.stack import measured, search


def test_what_to_probe_is_said_once(made, tmp_path, capsys):
    run = tmp_path / "run"
    assert search(made, run, "--evaluations", "10") == 0
    out = ["--out", str(tmp_path / "kit")]
    for arguments, sentence in (
        (out, "give a PROBLEM"),
        (["digits", "--run", str(run), *out], "and one of them only"),
        (["--run", str(run), "--set", "scale=2", *out], "a run or a result has its own options"),
        (["--run", str(tmp_path / "none"), *out], "none"),
    ):
        assert main(["device", "probe", *arguments]) == 2
        assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_a_kit_says_how_its_result_is_fitted(made, tmp_path, capsys):
    result, out = tmp_path / "kit-result.json", tmp_path / "further"
    result.write_text(json.dumps(measured(made)))
    assert main(["device", "probe", "--after", str(result), "--out", str(out)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"evonas device fit NAME {result} {out / 'kit-result.json'}"


def test_where_profiles_go(made, fit, tmp_path, capsys, monkeypatch):
    code, _, error = fit(measured(made), "board", "--devices", str(made / "stack.py"))
    assert (code, "cannot hold profiles" in error) == (2, True)
    monkeypatch.chdir(tmp_path)
    assert main(["device", "list"]) == 0
    assert f"No devices in {store.devices_folder()};" in capsys.readouterr().out
    assert fit(measured(made))[0] == 0
    monkeypatch.setenv("EVONAS_DEVICES", str(tmp_path / "devices"))
    assert main(["device", "list"]) == 0
    assert "board" in capsys.readouterr().out


def test_a_damaged_profile_is_refused(made, fit, tmp_path, capsys):
    assert fit(measured(made))[0] == 0
    arrays, header = (tmp_path / "devices" / f"board.{end}" for end in ("npz", "json"))
    whole = arrays.read_bytes()
    for damaged in (b"?", whole[: len(whole) // 2]):
        arrays.write_bytes(damaged)
        code, _, error = fit(measured(made), "next", "--proxy", "board")
        assert (code, "board.npz' is damaged" in error) == (2, True)
    arrays.write_bytes(whole)
    content = json.loads(header.read_text())
    del content["kinds"]["head"]
    for damaged in ("{}", json.dumps(content)):
        header.write_text(damaged)
        code, _, error = fit(measured(made), "next", "--proxy", "board")
        assert (code, "fit the device again" in error) == (2, True)
    # The others are listed all the same.
    assert fit(measured(made), "good")[0] == 0
    assert main(["device", "list", "--devices", str(tmp_path / "devices")]) == 0
    captured = capsys.readouterr()
    assert "good" in captured.out
    assert "board.json' is damaged" in captured.err


def on_board(made, monkeypatch, tmp_path, name="Stack", *options):
    monkeypatch.setenv("EVONAS_DEVICES", str(tmp_path / "devices"))
    problem = f"{made / 'stack.py'}:{name}"
    run = str(tmp_path / "run")
    settings = ["--evaluations", "30", "--no-surrogate", "--population", "10", "--out", run]
    return main(["search", problem, "--device", "board", *settings, *options])


def test_a_problem_of_ones_own_is_searched_on_a_fitted_device(made, fit, monkeypatch, tmp_path):
    assert fit(measured(made))[0] == 0
    assert on_board(made, monkeypatch, tmp_path, "Stack", "--runner", "processes") == 0
    run = evonas.Run.open(tmp_path / "run")
    assert run.meta["description"]["problem"] == "Stack"
    assert run.status()["probes"] == {"board": 8}
    assert run.status()["evaluated"] == 22
    frame = run.front.to_frame()
    one = 3 * (frame["size"] / 48) ** 2
    np.testing.assert_allclose(frame["head_ms"], one * frame["head"], rtol=0.2)
    assert (frame["tail_ms"][frame["tail"] == 0] == 0).all()
    assert (frame["head_ms_lower"] < frame["head_ms"]).all()
    assert (frame["head_ms"] < frame["head_ms_upper"]).all()
    assert main(["resume", str(tmp_path / "run"), "--evaluations", "40"]) == 0
    assert (
        main(["device", "probe", "--run", str(tmp_path / "run"), "--out", str(tmp_path / "kit")])
        == 0
    )
    assert fit([measured(made), measured(tmp_path)])[0] == 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Other", (), "was fitted for other models: problem"),
        ("Viewed", (), "was fitted for other models: problem"),
        ("Stack", ("--set", "scale=2"), "with the options {}; make a kit of these"),
        ("NoModels", (), "has neither an option 'device' nor 'timed_models'"),
        ("Named", (), "has an option 'device' of its own and predicts nothing for it"),
        ("InSeconds", (), "metric 'head_ms' has the unit 's'"),
    ],
)
def test_a_device_that_was_fitted_for_something_else_is_refused(
    name, options, message, made, fit, monkeypatch, tmp_path, capsys
):
    assert fit(measured(made))[0] == 0
    assert on_board(made, monkeypatch, tmp_path, name, *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def fitted_anew(made, fit, monkeypatch):
    """Fit the board to the result of another kit, on which everything takes longer."""
    again = measured(made, lambda design, kind, ms: 9 * ms)
    again["kit"] = again["made_from"]["kit"] = "another"
    monkeypatch.setattr("evonas.runners.kit.formats.identify", lambda content: "another")
    assert fit(again)[0] == 0


def test_a_run_keeps_the_profile_that_it_was_made_with(made, fit, monkeypatch, tmp_path):
    assert fit(measured(made))[0] == 0
    devices, run = tmp_path / "devices", tmp_path / "run"
    before = [(devices / f"board.{end}").read_bytes() for end in ("json", "npz")]
    assert on_board(made, monkeypatch, tmp_path) == 0
    assert [(run / "devices" / f"board.{end}").read_bytes() for end in ("json", "npz")] == before
    fitted_anew(made, fit, monkeypatch)
    for change in (lambda: None, lambda: shutil.rmtree(devices)):
        change()
        evaluations = evonas.Run.open(run).evaluated + 12
        assert main(["resume", str(run), "--evaluations", str(evaluations)]) == 0
        frame = evonas.Run.open(run).front.to_frame()
        one = 3 * (frame["size"] / 48) ** 2
        np.testing.assert_allclose(frame["head_ms"], one * frame["head"], rtol=0.2)
    assert main(["export", str(run)]) == 0
    assert main(["device", "probe", "--run", str(run), "--out", str(tmp_path / "kit")]) == 0
    # A search in its place has no use for it.
    monkeypatch.chdir(made)
    search = ["search", "stack.py:Stack", "--evaluations", "10", "--out", str(run), "--overwrite"]
    assert main([*search, "--no-surrogate"]) == 0
    assert not (run / "devices").exists()


def test_a_run_without_a_profile_is_not_resumed_on_a_device_that_was_fitted_anew(
    made, fit, monkeypatch, tmp_path, capsys
):
    """Runs of earlier versions keep none."""
    assert fit(measured(made))[0] == 0
    assert on_board(made, monkeypatch, tmp_path) == 0
    shutil.rmtree(tmp_path / "run" / "devices")
    fitted_anew(made, fit, monkeypatch)
    assert main(["resume", str(tmp_path / "run"), "--evaluations", "40"]) == 2
    assert "the fitted device of problem 'Stack' changed" in capsys.readouterr().err
