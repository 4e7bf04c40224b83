import json
import subprocess
import sys

import numpy as np
import pytest

from evonas.devices import store
from evonas.runners.cli.main import main
from evonas.runners.kit import fit as profile
from evonas.runners.kit.formats import Kit, identify
from tests.runners.kit.stack import changed, measured, metered, named, probe


def test_a_kit_is_measured_and_fitted_for_real(made, tmp_path, fit):
    command = [sys.executable, "-I", str(made / "kit" / "measure.py"), "--seconds-per-model", "0"]
    out = tmp_path / "measured.json"
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    code, printed, error = fit(out.read_text())
    assert code == 0, error
    assert "head: " in printed
    assert "tail: " in printed


def test_a_device_that_is_a_multiple_is_predicted_and_trusted(made, fit, tmp_path, capsys):
    code, printed, _ = fit(measured(made))
    assert code == 0
    assert printed.count("to be trusted") == 2
    assert "NOT" not in printed
    found = store.load("board", tmp_path / "devices")
    kit = Kit.model_validate(json.loads((made / "kit" / "kit.json").read_text()))
    for kind in ("head", "tail"):
        rows = kit.rows(kind)
        truth = 3 * np.array(kit.proxy_ms[kind])[rows]
        predicted = found.predictor(kind).predict(kit.views_of(rows))
        assert np.mean(np.abs(predicted.mean / truth - 1)) < 0.1
        assert np.corrcoef(predicted.mean, truth)[0, 1] > 0.98

    folder = str(tmp_path / "devices")
    for command in (["show", "board"], ["list"]):
        assert main(["device", *command, "--devices", folder]) == 0
        assert "abacus" in (text := capsys.readouterr().out) or "predicted" in text
        assert main(["device", *command, "--devices", folder, "--json"]) == 0
        read = json.loads(capsys.readouterr().out)
        one = read[0] if isinstance(read, list) else read
        assert one["name"] == "board"
        assert one["trusted"]
        assert one["kinds"]["head"]["metric"] == "head_ms"


def test_a_device_that_follows_nothing_known_is_not_trusted(made, fit, tmp_path, capsys):
    rng = np.random.default_rng(0)
    code, printed, _ = fit(measured(made, lambda *_: float(np.exp(2 * rng.normal()))))
    assert code == 0
    assert "NOT to be trusted" in printed
    assert "Measure 10 more designs, these:" in printed

    # Profiles that were written before do not list them.
    found = store.load("board", tmp_path / "devices")
    store.save(found.model_copy(update={"next": None}), tmp_path / "devices")
    assert main(["device", "show", "board", "--devices", str(tmp_path / "devices")]) == 0
    assert "Measure ten more.\nA follow-up kit holds them;" in capsys.readouterr().out


def test_devices_that_are_known_are_proxies_of_the_next(made, fit, tmp_path):
    def slower(genome, kind, ms):
        return ms * (1 + genome["size"] / 100)

    assert fit(measured(made, slower), "first")[0] == 0
    code, printed, error = fit(measured(made, slower), "second", "--proxy", "first", "--json")
    assert code == 0, error
    assert json.loads(printed)["proxies"] == [profile.KIT_MACHINE, "first"]
    assert json.loads(printed)["trusted"]
    assert store.device_names(tmp_path / "devices") == ["first", "second"]
    assert "own --proxy" in fit(measured(made), "first", "--proxy", "first")[2]
    assert "did you mean 'first'" in fit(measured(made), "third", "--proxy", "frst")[2]


def test_a_view_that_is_named_after_a_kind_describes_its_models_alone(made, fit, tmp_path):
    assert main(probe(made, "Viewed", "viewed")) == 0
    assert fit(measured(made, kit="viewed"), "first")[0] == 0
    code, _, error = fit(measured(made, kit="viewed"), "second", "--proxy", "first")
    assert code == 0, error
    for name in ("first", "second"):
        found = store.load(name, tmp_path / "devices")
        for kind in ("head", "tail"):
            assert found.kinds[kind].predictor["views"] == [kind]


def test_energy_that_was_metered_is_predicted_as_time_is(made, fit, tmp_path):
    code, printed, error = fit(metered(measured(made), kinds=("head",)))
    assert code == 0, error
    assert "head energy [mJ], each predicted from the others" in printed
    found = store.load("board", tmp_path / "devices")
    assert list(found.kinds) == ["head", "head energy", "tail"]
    kit = Kit.model_validate(json.loads((made / "kit" / "kit.json").read_text()))
    views = kit.views_of(kit.rows("head"))
    energy = found.predictor("head energy").predict(views).mean
    assert energy == pytest.approx(5 * found.predictor("head").predict(views).mean, rel=0.05)
    code, printed, _ = fit(metered(measured(made)), "second", "--proxy", "board", "--json")
    assert code == 0
    assert json.loads(printed)["kinds"]["tail energy"]["unit"] == "mJ"

    for result, sentence in (
        (lambda r: r["models"][0].pop("energy_mj"), "has 'energy_mj' for 7 of 8 models of kind"),
        (lambda r: r["models"][0].update(energy_mj=-1), "damaged at models.0.energy_mj"),
    ):
        code, _, error = fit(changed(result)(metered(measured(made))))
        assert (code, sentence in error) == (2, True)


def test_a_kit_without_tails_is_no_first_kit(made, fit):
    assert main(probe(made, "Stack", "heads", "--seed", "2")) == 0
    heads = measured(made, kit="heads")
    content = heads["made_from"]
    for models in (heads["models"], content["models"]):
        models[:] = [model for model in models if model["kind"] == "head"]
    heads["kit"] = content["kit"] = identify(content)
    code, _, error = fit(heads)
    assert code == 2
    assert "has 0 models of kind 'tail' and a fit needs more than 3; give that of" in error
    code, _, error = fit([measured(made), heads])
    assert code == 0, error


def test_proxies_of_another_problem_are_refused(made, fit, tmp_path):
    assert main(probe(made, "Other", "other")) == 0
    assert fit(measured(made, kit="other"), "other")[0] == 0
    code, _, error = fit(measured(made), "board", "--proxy", "other")
    assert code == 2
    assert "of another space; give proxies of the kit's problem" in error


def test_a_proxy_is_of_the_same_problem_by_whatever_path(made, fit, tmp_path):
    assert fit(measured(made), "other")[0] == 0
    assert fit(named(measured(made), "stack.py:Stack"), "board", "--proxy", "other")[0] == 0
    code, _, error = fit(named(measured(made), "stack.py:Pile"), "board", "--proxy", "other")
    assert (code, "give proxies of the kit's problem" in error) == (2, True)
