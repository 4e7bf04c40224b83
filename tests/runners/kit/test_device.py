import copy
import json
import re
import shlex
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import evonas
from evonas.devices import store
from evonas.runners.cli.main import main
from evonas.runners.kit import fit as profile
from evonas.runners.kit.formats import Kit, identify

PROBLEM = """
    import onnx
    from onnx import TensorProto, helper

    from pathlib import Path

    from evonas import (Choice, InfeasibleError, Integer, Metric, Objective, Problem, Space)
    from evonas.devices import store


    class Stack(Problem):
        '''Matrix products: some on the device, the others on the server.'''

        space = Space(Integer("head", 1, 8), Integer("tail", 0, 6), Choice("size", [16, 48, 80]))
        metrics = [Metric("head_ms", "ms"), Metric("tail_ms", "ms"), Metric("error")]
        objectives = [Objective("head_ms"), Objective("tail_ms"), Objective("error")]
        timed_models = {"head": "head_ms", "tail": "tail_ms"}

        def __init__(self, scale: float = 1.0, devices: str = ""):
            self.scale = scale
            if devices:
                self.profiles = [store.load("board", Path(devices))]
                self.timed_models = {}

        def evaluate(self, genome, metrics):
            if genome["head"] == 8 and genome["tail"] == 6:
                raise InfeasibleError("too deep")
            one = self.scale * (genome["size"] / 48) ** 2
            error = 20 - genome["head"] - genome["tail"] - genome["size"] / 16
            times = {kind: one * genome[kind] for kind in ("head", "tail")}
            return {"head_ms": times["head"], "tail_ms": times["tail"], "error": error}

        def export(self, genome, directory):
            for kind in ("head", "tail"):
                count, size = genome[kind], genome["size"]
                nodes = [
                    helper.make_node("MatMul", [f"x{i}", "x0"], [f"x{i + 1}"])
                    for i in range(count)
                ]
                values = [
                    helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", size, size])
                    for n in ("x0", f"x{count}")
                ]
                graph = helper.make_graph(nodes, kind, values[:1], values[1:])
                opset = [helper.make_opsetid("", 18)]
                model = helper.make_model(graph, opset_imports=opset, ir_version=8)
                onnx.save(model, directory / f"{kind}.onnx")


    class Viewed(Stack):
        def views(self, genomes):
            return {
                kind: [[genome["size"] ** 2 / 1000, genome[kind]] for genome in genomes]
                for kind in ("head", "tail")
            }


    class Listed(Stack):
        designs = [
            {"head": head, "tail": 14 - 2 * head, "size": size}
            for head in range(4, 8) for size in (16, 48, 80)
        ]


    class NoModels(Stack):
        timed_models = {}


    class InSeconds(Stack):
        metrics = [Metric("head_ms", "s"), Metric("tail_ms", "s"), Metric("error")]


    class Forgetful(Stack):
        def export(self, genome, directory):
            pass


    class Named(Stack):
        def __init__(self, device="cpu"):
            super().__init__()


    class Failing(Stack):
        def export(self, genome, directory):
            raise ValueError("no such layer")


    class Ragged(Stack):
        def views(self, genomes):
            return {"work": [[genome["size"]] for genome in genomes[:5]]}


    class Shaky(Stack):
        def evaluate(self, genome, metrics):
            if str(genome["size"]) in Path(__file__).with_name("broken").read_text().split():
                raise MemoryError("too small")
            return super().evaluate(genome, metrics)


    class Other(Stack):
        space = Space(Integer("head", 1, 9), Integer("tail", 0, 6), Choice("size", [16, 48, 80]))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A kit of a small problem."""
    folder = tmp_path_factory.mktemp("device")
    (folder / "stack.py").write_text(textwrap.dedent(PROBLEM))
    assert main(probe(folder)) == 0
    return folder


def probe(folder, name="Stack", out="kit", *options):
    problem = f"{folder / 'stack.py'}:{name}"
    return [
        "device",
        "probe",
        problem,
        "--out",
        str(folder / out),
        "--designs",
        "8",
        "--proxy-designs",
        "60",
        *options,
    ]


def measured(folder, slower=lambda design, kind, ms: 3 * ms, kit="kit"):
    """A result as measure.py writes it, on a device that is so much slower."""
    content = json.loads((folder / kit / "kit.json").read_text())
    models = []
    for model in content["models"]:
        ms = content["proxy_ms"][model["kind"]][model["design"]]
        ms = slower(content["designs"][model["design"]], model["kind"], ms)
        named = {key: model[key] for key in ("name", "kind", "design")}
        models.append({**named, "ms": ms, "spread": 0.02, "bursts": 20})
    return {
        "format": 1,
        "kit": content["kit"],
        "complete": True,
        "threads": 1,
        "host": {"processor": "abacus"},
        "reference_ms": 1.0,
        "models": models,
        "made_from": content,
    }


@pytest.fixture
def fit(made, tmp_path, capsys):
    """Fit a result; give the exit code, what was printed, and the error."""

    def run(result, name="board", *options):
        paths = []
        for number, one in enumerate(result if isinstance(result, list) else [result]):
            paths.append(tmp_path / f"{number}.json")
            paths[-1].write_text(one if isinstance(one, str) else json.dumps(one))
        folder = str(tmp_path / "devices")
        code = main(["device", "fit", name, *map(str, paths), "--devices", folder, *options])
        return code, *capsys.readouterr()

    return run


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


def search(made, out, *options):
    command = ["search", f"{made / 'stack.py'}:Stack", "--runner", "serial", "--population", "10"]
    return main([*command, "--out", str(out), *options])


def test_a_front_is_measured_and_added_to_the_first_kit(made, fit, tmp_path, capsys):
    folder, run = tmp_path / "devices", tmp_path / "run"
    assert fit(measured(made))[0] == 0
    on_board = ["--set", f"devices={folder}"]
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

    # A search does not go on with times that are predicted otherwise.
    assert main(["resume", str(run), "--evaluations", "60"]) == 2
    assert "the probes of problem 'Stack' changed" in capsys.readouterr().err

    # Fitted to one of two results, it loses what the other said.
    code, _, error = fit(measured(made))
    assert code == 0
    assert "replaces a profile of 'board' that was fitted to another kit's result, too" in error


def metered(result, watts=5.0, kinds=("head", "tail")):
    for model in result["models"]:
        if model["kind"] in kinds:
            model["energy_mj"] = watts * model["ms"]
    return result


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


def test_results_that_do_not_go_together_are_refused(made, fit, tmp_path, capsys):
    assert main(probe(made, "Other", "another")) == 0
    assert main(probe(made, "Stack", "scaled", "--set", "scale=2")) == 0
    assert main(probe(made, "Stack", "second", "--seed", "1")) == 0
    capsys.readouterr()
    second = measured(made, kit="second")
    wider = measured(made, kit="second")
    views = wider["made_from"]["views"]
    views["wider"] = views.pop(next(iter(views)))
    wider["kit"] = wider["made_from"]["kit"] = identify(wider["made_from"])
    for other, sentence in (
        (wider, "result 2 describes designs otherwise than the first"),
        (measured(made), "result 2 is of the same kit as one before"),
        (measured(made, kit="another"), "their spaces differ"),
        (measured(made, kit="scaled"), "was made with the options {'scale': 2} and the first with"),
        ({**second, "threads": 2}, "was measured with --threads 2 and the first with 1"),
        ({**second, "host": {}}, "was measured on the processor None and the first with 'abacus'"),
    ):
        code, printed, error = fit([measured(made), other])
        assert code == 2
        assert not printed
        assert sentence in error
    code, _, error = fit([measured(made), second])
    assert code == 0, error
    code, _, error = fit([measured(made), second, second])
    assert (code, "result 3 is of the same kit as one before" in error) == (2, True)


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


def changed(change):
    def damage(result):
        result = copy.deepcopy(result)
        change(result)
        return result

    return damage


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda result: json.dumps(result)[:-20], "is damaged"),
        (lambda result: "[1]", "has the format None"),
        (changed(lambda r: r.update(format=2)), "has the format 2, not 1"),
        (changed(lambda r: r.pop("threads")), "damaged at threads"),
        (changed(lambda r: r["models"].pop()), "lacks 1 of 16 models"),
        (changed(lambda r: r.update(complete=False)), "is not complete"),
        (
            changed(lambda r: r["models"][0].update(ms=float("nan"))),
            "damaged at models.0.ms: nan should be a finite number; bring it from the device",
        ),
        (changed(lambda r: r["models"][0].update(ms=-1.0)), "models.0.ms: -1.0 should be greater"),
        (changed(lambda r: r["models"][0].update(ms=1e300)), r"models.0.ms: 1e\+300 should be"),
        (changed(lambda r: r["models"][0].update(ms=1e-300)), "models.0.ms: 1e-300 should be"),
        (
            changed(lambda r: r["models"][1].update(spread=1e200)),
            r"damaged at models.1.spread: 1e\+200 should be less than or equal to 2; bring",
        ),
        (changed(lambda r: r["models"][0].update(energy_mj=1e300)), "models.0.energy_mj: 1e"),
        (changed(lambda r: r.update(reference_ms=1e300)), "damaged at reference_ms: 1e"),
        (changed(lambda r: r["models"][0].update(bursts=10**400)), "damaged at models.0.bursts"),
        (changed(lambda r: r.update(threads=0)), "damaged at threads: 0 should be"),
        (changed(lambda r: r["models"][0].update(name="x")), "'x', which is not of its kit"),
        (changed(lambda r: r["models"].append(r["models"][0])), "holds a model twice"),
        (changed(lambda r: r["made_from"]["designs"].pop()), "its kit is not what"),
        (changed(lambda r: r.update(kit="0")), "its kit is not what"),
        (
            changed(lambda r: [m.update(spread=0.9) for m in r["models"][:5]]),
            "5 of 16 times .* uncertain by more than 15%",
        ),
    ],
)
def test_results_that_say_nothing_are_refused(made, fit, damage, sentence):
    code, printed, error = fit(damage(measured(made)))
    assert code == 2
    assert not printed
    assert re.search(sentence, error)
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda kit: kit["designs"].pop(), "times and views do not fit"),
        (lambda kit: kit["views"]["genes"].pop(), "times and views"),
        (lambda kit: kit["views"]["genes"][3].pop(), "times and views"),
        (lambda kit: kit["views"].clear(), "times and views"),
        (lambda kit: [row.clear() for view in kit["views"].values() for row in view], "views do"),
        (lambda kit: kit["views"]["genes"][0].__setitem__(0, 1e300), "views.genes.0.0: 1e+300 sho"),
        (lambda kit: kit["designs"].__setitem__(3, kit["designs"][2]), "has a design twice"),
        (lambda kit: kit["proxy_ms"].pop("tail"), "times and views"),
        (lambda kit: kit["models"][0].update(design=999), "is of no design"),
        (lambda kit: kit["models"][0].update(design=-1), "is of no design"),
        (lambda kit: kit["models"][0].update(kind="neck"), "is of no design"),
    ],
)
def test_kits_that_do_not_fit_together_are_refused(made, fit, change, sentence):
    result = measured(made)
    change(result["made_from"])
    result["kit"] = result["made_from"]["kit"] = identify(result["made_from"])
    code, printed, error = fit(result)
    assert (code, printed) == (2, "")
    assert sentence in error


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


def named(result, problem):
    """A result of a kit whose problem was named so on the command line."""
    kit = result["made_from"]
    kit["problem"] = problem
    result["kit"] = kit["kit"] = identify(kit)
    return result


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


def test_a_front_with_a_design_that_fails_here_has_no_kit(made, tmp_path, capsys):
    broken, run = made / "broken", str(tmp_path / "run")
    broken.write_text("")
    options = ("--evaluations", "40", "--no-surrogate", "--out", run)
    assert main(["search", f"{made / 'stack.py'}:Shaky", *options]) == 0
    broken.write_text("16")
    assert main(["device", "probe", "--run", run, "--out", str(tmp_path / "front")]) == 2
    assert "of the front have no times here" in capsys.readouterr().err


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


def test_what_is_predicted_is_not_probed(made, fit, tmp_path, capsys):
    assert fit(measured(made))[0] == 0
    assert main(probe(made, "Stack", "e", "--set", f"devices={tmp_path / 'devices'}")) == 2
    assert "predicts its times for board" in capsys.readouterr().err


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


def test_a_search_is_not_resumed_on_a_device_that_was_fitted_anew(
    made, fit, monkeypatch, tmp_path, capsys
):
    assert fit(measured(made))[0] == 0
    assert on_board(made, monkeypatch, tmp_path) == 0
    again = measured(made)
    again["kit"] = again["made_from"]["kit"] = "another"
    monkeypatch.setattr("evonas.runners.kit.formats.identify", lambda content: "another")
    assert fit(again)[0] == 0
    capsys.readouterr()
    assert main(["resume", str(tmp_path / "run"), "--evaluations", "40"]) == 2
    assert "the fitted device of problem 'Stack' changed" in capsys.readouterr().err
