import ast
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

import evonas.runners.kit
from evonas.runners.kit import measure as measure_script
from evonas.runners.kit.formats import identify

SCRIPT = Path(evonas.runners.kit.__file__).with_name("measure.py")


def write_model(path, size, dtype=onnx.TensorProto.FLOAT):
    """A model that multiplies a matrix of ``size`` rows and columns with itself, ten times."""
    helper = onnx.helper
    nodes = [helper.make_node("Cast", ["image"], ["x0"], to=onnx.TensorProto.FLOAT)]
    nodes += [helper.make_node("MatMul", [f"x{i}", "x0"], [f"x{i + 1}"]) for i in range(10)]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("image", dtype, ["batch", size, size])],
        [helper.make_tensor_value_info("x10", onnx.TensorProto.FLOAT, ["batch", size, size])],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


@pytest.fixture
def kit(tmp_path):
    folder = tmp_path / "kit"
    folder.mkdir()
    models = []
    for number, size in enumerate((64, 16, 160)):
        path = folder / f"{number}-head.onnx"
        write_model(path, size, (1, 2, 10)[number])  # float32, uint8, float16
        models.append(
            {
                "name": path.stem,
                "kind": "head",
                "design": number,
                "file": path.name,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
        )
    content = {"format": 1, "reference": "0-head", "models": models}
    content["kit"] = identify(content)
    (folder / "kit.json").write_text(json.dumps(content))
    shutil.copy(SCRIPT, folder)
    return folder


def measure(kit, out, *options):
    command = [sys.executable, "-I", str(kit / "measure.py"), "--out", str(out)]
    return subprocess.run(
        [*command, "--seconds-per-model", "0", *options], capture_output=True, text=True
    )


def test_a_kit_is_measured_and_what_is_measured_stays(kit, tmp_path):
    out = tmp_path / "result.json"
    done = measure(kit, out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"Done: bring back {out}"
    result = json.loads(out.read_text())
    assert result["complete"]
    assert result["threads"] == 1
    assert result["made_from"] == json.loads((kit / "kit.json").read_text())
    assert {"machine", "processor", "cores", "python", "numpy", "onnxruntime"} <= set(
        result["host"]
    )
    times = {model["name"]: model["ms"] for model in result["models"]}
    assert times["1-head"] < times["0-head"] < times["2-head"]
    assert times["0-head"] == pytest.approx(result["reference_ms"], rel=0.5)
    assert all(m["bursts"] >= 7 and np.isfinite(m["spread"]) for m in result["models"])

    # As if it had been stopped after the first model.
    result["models"][1:], result["complete"] = [], False
    result["models"][0]["ms"] = 123.0
    out.write_text(json.dumps(result))
    assert measure(kit, out).returncode == 0
    again = json.loads(out.read_text())
    assert [m["name"] for m in again["models"]] == ["0-head", "1-head", "2-head"]
    assert again["models"][0]["ms"] == 123.0
    assert again["reference_ms"] == result["reference_ms"]
    assert again["complete"]


def test_a_stop_leaves_what_was_measured(kit, tmp_path):
    out = tmp_path / "result.json"
    command = [sys.executable, str(kit / "measure.py"), "--out", str(out)]
    process = subprocess.Popen(
        [*command, "--seconds-per-model", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    # The first of the models has at most 100 bursts; the second then runs.
    while not out.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    if process.returncode == 130:  # else it was done before the signal came
        assert b"goes on from here" in error
    assert json.loads(out.read_text())["models"]
    assert measure(kit, out).returncode == 0
    assert len(json.loads(out.read_text())["models"]) == 3


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda kit, out: (kit / "1-head.onnx").write_bytes(b"?"), "was damaged"),
        (lambda kit, out: (kit / "1-head.onnx").unlink(), "the kit lacks"),
        (lambda kit, out: (kit / "kit.json").write_text("{"), "cannot be read"),
        (lambda kit, out: (kit / "kit.json").unlink(), "there is no kit"),
        (lambda kit, out: (kit / "kit.json").write_text('{"format": 1}'), "was damaged"),
        (lambda kit, out: out.write_text('{"format": 1, "kit": "other"}'), "of another kit"),
        (
            lambda kit, out: out.write_text(
                json.dumps({**json.loads((kit / "kit.json").read_text()), "threads": 2})
            ),
            "another number of threads",
        ),
        (lambda kit, out: out.write_text("[]"), "not of format"),
        (lambda kit, out: out.write_text("{"), "name another file with --out"),
        (lambda kit, out: out.mkdir(), "cannot be read"),
    ],
)
def test_what_is_refused_and_why(kit, tmp_path, damage, sentence):
    out = tmp_path / "result.json"
    damage(kit, out)
    refused = measure(kit, out)
    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda result: result.update(models="x"),
        lambda result: result["models"][0].pop("name"),
        lambda result: result["models"][0].update(name="of another kit"),
        lambda result: result.update(reference_ms=None),
    ],
)
def test_a_damaged_result_is_not_gone_on_with(kit, tmp_path, change):
    out = tmp_path / "result.json"
    assert measure(kit, out).returncode == 0
    result = json.loads(out.read_text())
    change(result)
    out.write_text(json.dumps(result))
    refused = measure(kit, out)
    assert refused.returncode == 2
    assert refused.stderr.endswith("is damaged; name another file with --out\n")
    assert json.loads(out.read_text()) == result


def test_a_power_meter_is_asked_for_every_model(kit, tmp_path):
    out = tmp_path / "result.json"
    command = [sys.executable, "-I", str(kit / "measure.py"), "--out", str(out), "--meter", "0.1"]
    command += ["--seconds-per-model", "0"]
    stopped = subprocess.run(command, input="many\n-1\n4\n", capture_output=True, text=True)
    assert stopped.returncode == 2
    assert "goes on from here" in stopped.stderr
    assert stopped.stdout.count("give one above 0") == 2
    models = json.loads(out.read_text())["models"]
    assert ["energy_mj" in model for model in models] == [True, False, False]
    # Only the others are asked for.
    done = subprocess.run(command, input="4\n4\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for model in json.loads(out.read_text())["models"]:
        # Watts by ms are mJ; the time is another run's, and the machine may be busy.
        assert 0.1 < model["energy_mj"] / (4 * model["ms"]) < 10


def test_energy_is_what_the_meter_shows_times_the_time_of_a_call(tmp_path, monkeypatch):
    clock = [0.0]

    def call():
        clock[0] += 0.002

    models = [{"name": "a"}, {"name": "b"}]
    monkeypatch.setattr(measure_script, "read", lambda *_: {"models": models})
    monkeypatch.setattr(measure_script, "load", lambda *_: call)
    monkeypatch.setattr(measure_script, "ask_watts", {"a": 4.0, "b": 5.0}.get)
    monkeypatch.setattr(measure_script, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    measure_script.meter(tmp_path, 1, tmp_path / "result.json", 0.1)
    written = json.loads((tmp_path / "result.json").read_text())["models"]
    assert [model["energy_mj"] for model in written] == pytest.approx([8.0, 10.0])


def test_a_folder_that_is_not_there_and_a_model_that_does_not_load_are_told(kit, tmp_path):
    refused = measure(kit, tmp_path / "none" / "result.json")
    assert refused.returncode == 2
    assert f"there is no folder '{tmp_path / 'none'}' for --out" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1

    content = json.loads((kit / "kit.json").read_text())
    (kit / "2-head.onnx").write_bytes(b"?")
    content["models"][2]["sha256"] = hashlib.sha256(b"?").hexdigest()
    content["kit"] = identify(content)
    (kit / "kit.json").write_text(json.dumps(content))
    refused = measure(kit, tmp_path / "result.json")
    assert refused.returncode == 2
    assert "cannot load '2-head.onnx'" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_kit_is_measured_by_one_at_a_time(kit, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    with (kit / "kit.json").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused = measure(kit, tmp_path / "result.json")
    assert refused.returncode == 2
    assert "is being measured already" in refused.stderr
    assert measure(kit, tmp_path / "result.json").returncode == 0


def test_a_python_without_packages_is_told_what_is_missing(kit, tmp_path):
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    command = [str(tmp_path / "bare" / "bin" / "python"), "-I", str(kit / "measure.py")]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith("measuring needs numpy and onnxruntime")
    assert len(refused.stderr.strip().splitlines()) == 1


def test_the_script_runs_on_an_old_python():
    """Its arguments are read, and the kit is looked for, by the standard library alone."""
    old = [Path(python) for python in map(shutil.which, ("python3.8", "python3.9")) if python]
    old += Path.home().glob(".pyenv/versions/3.[89].*/bin/python")
    for python in old:
        done = subprocess.run([python, "-I", str(SCRIPT)], capture_output=True, text=True)
        if "measure.py" in done.stderr:
            assert "there is no kit" in done.stderr
            assert done.returncode == 2
            return
    pytest.skip("there is no Python 3.8 or 3.9")


def test_the_script_is_of_an_old_python_and_imports_nothing_of_ours():
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 8))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [node.names[0].name])
    }
    assert imported <= sys.stdlib_module_names | {"numpy", "onnxruntime"}
