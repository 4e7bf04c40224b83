import json

import pytest

from evonas.devices import store
from evonas.runners.cli.main import main
from tests.runners.kit.stack import measured, search


def test_a_front_is_measured_and_added_to_the_first_kit(made, fit, tmp_path, capsys, monkeypatch):
    folder, run = tmp_path / "devices", tmp_path / "run"
    assert fit(measured(made))[0] == 0
    monkeypatch.setenv("EVONAS_DEVICES", str(folder))
    on_board = ["--device", "board"]
    assert search(made, run, *on_board, "--evaluations", "38") == 0
    assert "from 30 evaluations (" in (text := capsys.readouterr().out)
    assert "and 8 probes of board." in text
    assert main(["status", str(run), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["evaluated"] == 30
    assert status["probes"] == {"board": 8}
    assert search(made, tmp_path / "none", *on_board, "--evaluations", "8") == 2
    assert "8 were made already, as probes of board; give more than 8" in capsys.readouterr().err

    # The run's own problem cannot time models; the kit is made as that of the device was.
    out = ["--out", str(tmp_path / "front")]
    assert main(["device", "probe", "--run", str(run), "--designs", "5", *out, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["files"]) >= 5
    designs = json.loads((run / "front.json").read_text())["designs"]
    genomes = {f"id{design['id']}": design["genes"] for design in designs}
    result = measured(tmp_path, kit="front")
    # Meanwhile the device's clock has slowed down, and the reference model with it.
    result["reference_ms"] *= 1.5
    for model in result["models"]:
        model["ms"] *= 1.5
    code, printed, error = fit([measured(made), result])
    assert code == 0, error
    assert "of kit 2, predicted from the kits before" in printed
    assert error == ""
    probes = store.load("board", folder).kinds["head"].probes
    assert [probe.kit for probe in probes] == [0] * 8 + [1] * 6
    assert probes.pop().label == "reference"
    for probe in probes[8:]:
        assert probe.genome == genomes[probe.label]
        # The device is three times as slow.
        expected = 3 * (probe.genome["size"] / 48) ** 2 * probe.genome["head"]
        assert probe.measured == pytest.approx(expected)
        assert probe.predicted == pytest.approx(expected, rel=0.3)

    # Fitted to one of two results, it loses what the other said.
    code, _, error = fit(measured(made))
    assert code == 0
    assert "replaces a profile of 'board' that was fitted to another kit's result, too" in error


def test_a_front_with_a_design_that_fails_here_has_no_kit(made, tmp_path, capsys):
    broken, run = made / "broken", str(tmp_path / "run")
    broken.write_text("")
    options = ("--evaluations", "40", "--no-surrogate", "--out", run)
    assert main(["search", f"{made / 'stack.py'}:Shaky", *options]) == 0
    broken.write_text("16")
    assert main(["device", "probe", "--run", run, "--out", str(tmp_path / "front")]) == 2
    assert "of the front have no times here" in capsys.readouterr().err
