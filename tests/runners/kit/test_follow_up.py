import json
import re
import shlex

import numpy as np

from evonas.runners.cli.main import main
from evonas.runners.kit.formats import identify
from tests.runners.kit.stack import measured, probe


def test_a_further_kit_holds_the_designs_that_a_fit_asks_for(
    made, fit, tmp_path, capsys, monkeypatch
):
    rng = np.random.default_rng(0)
    known = {}

    def lawless(genome, kind, _):
        return known.setdefault((*genome.values(), kind), float(np.exp(2 * rng.normal())))

    monkeypatch.setattr("evonas.runners.kit.make.processor", lambda: "another machine, later")
    monkeypatch.chdir(tmp_path)
    before = measured(made, lawless)
    results, holds = [before], [{model["design"] for model in before["models"]}]
    for number in (2, 3):
        code, printed, error = fit(results)
        assert code == 0, error
        listed = [json.loads(line) for line in re.findall(r"^  (\{.*\})$", printed, re.MULTILINE)]
        probe, measure, again = re.findall(r"^  (?:evonas|python) (.*)$", printed, re.MULTILINE)
        assert measure == "measure.py --threads 1"
        paths = [str(tmp_path / f"{place}.json") for place in range(len(results))]
        paths.append(f"kit{number}/kit-result.json")
        folder = str(tmp_path / "devices")
        assert shlex.split(again) == ["device", "fit", "board", *paths, "--devices", folder]
        assert main(["device", "show", "board", "--devices", folder]) == 0
        assert "wherever they are" in capsys.readouterr().out

        assert main(shlex.split(probe)) == 0, capsys.readouterr().err
        capsys.readouterr()
        result = measured(tmp_path, lawless, kit=f"kit{number}")
        kit = result["made_from"]
        *further, reference = dict.fromkeys(model["design"] for model in kit["models"])
        assert [kit["designs"][design] for design in further] == listed
        assert len(kit["models"]) == 2 * 11
        assert not any(set(further) & earlier for earlier in holds)
        assert (kit["reference"], before["made_from"]["reference"]) == (
            "reference-head",
            f"{reference}-head",
        )
        results.append(result)
        holds.append(set(further))
    code, printed, error = fit(results)
    assert code == 0, error
    assert "of kit 3, predicted from the kits before" in printed


def test_what_a_further_kit_cannot_hold_is_not_asked_for(made, fit, tmp_path, capsys):
    assert main(probe(made, "Listed", "few", "--designs", "7")) == 0
    rng = np.random.default_rng(0)
    result = measured(made, lambda *_: float(np.exp(2 * rng.normal())), kit="few")
    code, printed, error = fit(result)
    assert code == 0, error
    assert "NOT to be trusted" in printed
    assert "Nearly all designs of its kits are measured. Make a kit of others" in printed
    after = ["--after", str(tmp_path / "0.json")]
    for arguments, sentence in (
        (after, "fewer than 4 designs of the results' kits are left that"),
        ([*after, "--designs", "9"], "9 further designs are asked for, and 3 of the"),
    ):
        assert main(["device", "probe", *arguments, "--out", str(tmp_path / "more")]) == 2
        assert sentence in capsys.readouterr().err.splitlines()[-1]
    (tmp_path / "stack.py").write_text((made / "stack.py").read_text())
    changed = {**result, "made_from": {**result["made_from"], "problem": f"{made}/stack.py:Other"}}
    changed["kit"] = changed["made_from"]["kit"] = identify(changed["made_from"])
    (tmp_path / "0.json").write_text(json.dumps(changed))
    assert main(["device", "probe", *after, "--out", str(tmp_path / "more")]) == 2
    assert "has another space or other models" in capsys.readouterr().err
