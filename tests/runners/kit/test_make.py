import json
import re

import pytest

from evonas.runners.cli.main import main
from evonas.runners.kit.formats import Kit, identify
from tests.runners.kit.stack import measured, probe


def test_of_listed_designs_only_those_are_in_a_kit(made, capsys):
    assert main(probe(made, "Listed", "listed")) == 0
    # Three have no tail, and three of the others take a ninth of the usual time.
    assert "6 designs are chosen, not 8: the others take next to no" in capsys.readouterr().err
    content = json.loads((made / "listed" / "kit.json").read_text())
    assert len({model["design"] for model in content["models"]}) == 6
    sizes = [16, 48, 80]
    listed = [(head, 14 - 2 * head, size) for head in range(4, 8) for size in sizes]
    assert sorted(tuple(design.values()) for design in content["designs"]) == listed


def test_a_kit_holds_what_a_device_and_a_fit_need(made):
    content = json.loads((made / "kit" / "kit.json").read_text())
    assert content["kit"] == identify(content)
    kit = Kit.model_validate(content)
    probes = {model.design for model in kit.models}
    assert len(probes) == 8
    assert {(m.design, m.kind) for m in kit.models} == {
        (design, kind) for design in probes for kind in ("head", "tail")
    }
    assert kit.reference in {model.name for model in kit.models}
    names = {path.name for path in (made / "kit").iterdir()}
    assert names == {"kit.json", "measure.py", *(model.file for model in kit.models)}
    # Both ends of every gene, no design twice, none that is infeasible, nor a probe without tail.
    assert {"head": 1, "tail": 0, "size": 16} in kit.designs
    assert len({json.dumps(design) for design in kit.designs}) == len(kit.designs) > 50
    assert not any(d["head"] == 8 and d["tail"] == 6 for d in kit.designs)
    assert all(kit.designs[design]["tail"] for design in probes)
    assert all(
        (ms == 0) == (d["tail"] == 0)
        for d, ms in zip(kit.designs, kit.proxy_ms["tail"], strict=True)
    )


def test_what_cannot_be_probed_is_refused(made, tmp_path, capsys):
    for arguments, sentence in (
        (probe(made, "NoModels", "a"), "must set 'timed_models'"),
        (probe(made, "Forgetful", "b"), "wrote no 'head.onnx'"),
        (probe(made), "not an empty folder"),
        (probe(made, "Stack", "c", "--proxy-designs", "10", "--designs", "30"), "ask for fewer"),
        (probe(made, "Stack", "d", "--seed", "-1"), "--seed"),
        (probe(made, "Stack", "stack.py/kit"), "cannot be made"),
        (["device", "fit", "x", str(tmp_path / "none.json")], "there is no result"),
        (["device", "fit", "x", str(tmp_path)], "Is a directory; bring it from the device"),
        (["device", "fit", "../x", str(tmp_path / "none.json")], "cannot name a device"),
        (["device", "show", "x", "--devices", str(tmp_path)], "there is no device 'x'"),
    ):
        assert main(arguments) == 2, arguments
        error = capsys.readouterr().err.strip().splitlines()
        assert sentence in error[-1]


def test_what_is_predicted_is_not_probed(made, fit, tmp_path, capsys, monkeypatch):
    assert fit(measured(made))[0] == 0
    monkeypatch.setenv("EVONAS_DEVICES", str(tmp_path / "devices"))
    assert main(probe(made, "Stack", "e", "--set", "device=board")) == 2
    assert "predicts its times for board" in capsys.readouterr().err


def test_designs_that_fail_here_are_left_out_of_a_kit(made, capsys):
    broken = made / "broken"
    broken.write_text("16")
    assert main(probe(made, "Shaky", "shaky")) == 0
    assert "failed, the first: MemoryError: too small (stack.py:" in capsys.readouterr().err
    kit = json.loads((made / "shaky" / "kit.json").read_text())
    assert {design["size"] for design in kit["designs"]} == {48, 80}
    broken.write_text("16 48 80")
    assert main(probe(made, "Shaky", "all-broken")) == 1
    assert "60 of 60 designs failed, the first: MemoryError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("Failing", 1, r"the models of design {.*} cannot be exported: ValueError: no such layer"),
        ("Ragged", 2, r"'work' that problem 'Ragged' describes designs by has the shape \(5, 1\)"),
    ],
)
def test_what_is_wrong_with_a_problem_is_said(name, code, message, made, capsys):
    assert main(probe(made, name, name.lower())) == code
    assert re.search(message, capsys.readouterr().err)
