import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from evonas.errors import WorkError
from evonas.problems.split_cnn import deploy as deploy_module
from evonas.problems.split_cnn.architecture import PAYLOAD_BITS
from evonas.problems.split_cnn.deploy import deploy, verify
from evonas.problems.split_cnn.graphs import head_model, tail_model
from evonas.problems.split_cnn.measure import session
from evonas.problems.split_cnn.split import Split

CLASSES = ("a", "b", "c", "d", "e")
GENOME = {"width": 0.5, "split": 3}
GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "runs.md"


def write(split, images, directory):
    deploy(split, directory, images.numpy(), CLASSES, GENOME)
    return json.loads((directory / "manifest.json").read_text())


def run(model, name, batch):
    return session(model).run(None, {name: batch})[0]


@pytest.mark.parametrize("cut", [0, 1, 3, 5, 6])
@pytest.mark.parametrize("bits", PAYLOAD_BITS)
def test_a_pair_computes_what_torch_does(subnet, images, tmp_path, cut, bits):
    split = Split.at(subnet, cut, bits, images[:20])
    manifest = write(split, images, tmp_path)
    found = manifest["verification"]
    assert found["images"] == len(images)
    assert found["largest_score_difference_of_the_tail"] <= 1e-4
    assert found["largest_score_difference_of_the_pair"] <= 1e-4
    assert found["label_agreement"] > 0.95
    assert sorted(p.name for p in tmp_path.iterdir()) == ["head.onnx", "manifest.json", "tail.onnx"]

    # Independently: the two files on a whole batch, against torch without the pair's classes.
    head, tail = (onnx.load(tmp_path / f"{name}.onnx") for name in ("head", "tail"))
    payload = run(head, "image", images.numpy())
    scores = run(tail, "payload", payload)
    expected = subnet.run(images)
    if bits == 32 or cut == subnet.last_cut:
        np.testing.assert_allclose(scores, expected, atol=1e-4)
    tolerance = {32: 1e-4, 16: 0.02, 8: 0.2, 4: 2.0}[bits] * float(expected.abs().max())
    assert np.abs(scores - expected.numpy()).max() < tolerance
    assert payload[0].nbytes == manifest["payload"]["bytes_per_image"] or cut == subnet.last_cut


def test_with_everything_on_the_device_nothing_crosses(subnet, images, tmp_path):
    split = Split.at(subnet, subnet.last_cut, 4, images)
    manifest = write(split, images, tmp_path)
    assert split.payload_bytes == manifest["payload"]["bytes_per_image"] == 0
    assert manifest["payload"]["crosses_the_link"] is False
    payload = run(onnx.load(tmp_path / "head.onnx"), "image", images.numpy())
    np.testing.assert_allclose(payload, subnet.run(images), atol=1e-4)
    scores = run(onnx.load(tmp_path / "tail.onnx"), "payload", payload)
    np.testing.assert_array_equal(scores, payload)


def test_an_odd_number_of_features_is_packed(make_subnet, tmp_path):
    net = make_subnet(image=(1, 9, 9), channels=(5, 7))
    x = torch.rand(20, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    split = Split.at(net, 1, 4, x)
    assert split.quantiser.elements % 2
    assert write(split, x, tmp_path)["payload"]["bytes_per_image"] == (5 * 25 + 1) // 2


@pytest.mark.parametrize("bits", PAYLOAD_BITS)
def test_a_batch_gives_what_its_images_give_one_by_one(subnet, images, bits):
    split = Split.at(subnet, 3, bits, images)
    head, tail = session(head_model(split)), session(tail_model(split))
    batch = images[:3].numpy()
    together = tail.run(None, {"payload": head.run(None, {"image": batch})[0]})[0]
    alone = [
        tail.run(None, {"payload": head.run(None, {"image": one})[0]})[0] for one in batch[:, None]
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-4 if bits >= 16 else 0.1)


def test_the_manifest_says_what_the_files_are(subnet, images, tmp_path):
    split = Split.at(subnet, 3, 8, images)
    manifest = write(split, images, tmp_path)
    assert manifest["genome"] == GENOME
    assert manifest["classes"] == list(CLASSES)
    for part in ("head", "tail"):
        described = manifest[part]
        data = (tmp_path / described["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == described["sha256"]
        assert len(data) == described["bytes"]
        for kind, values in (("inputs", "get_inputs"), ("outputs", "get_outputs")):
            for found, value in zip(
                described[kind],
                getattr(session(tmp_path / described["file"]), values)(),
                strict=True,
            ):
                assert (found["name"], found["shape"]) == (value.name, value.shape)
                numpy_name = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}[value.type]
                assert found["dtype"] == numpy_name
    names = [manifest[p][k][0]["name"] for p in ("head", "tail") for k in ("inputs", "outputs")]
    assert names == ["image", "payload", "payload", "scores"]
    quantisation = manifest["payload"]["quantisation"]
    payload = run(onnx.load(tmp_path / "head.onnx"), "image", images.numpy())
    zero, step = (np.array(quantisation[k]).reshape(-1, 1, 1) for k in ("zero", "step"))
    back = torch.from_numpy(((payload - zero) * step).astype(np.float32))
    scores = run(onnx.load(tmp_path / "tail.onnx"), "payload", payload)
    np.testing.assert_allclose(subnet.run(back, 3), scores, atol=1e-4)


def other_weights(model, name, change):
    for constant in model.graph.initializer:
        if constant.name == name:
            changed = change(onnx.numpy_helper.to_array(constant)).astype(np.float32)
            constant.CopyFrom(onnx.numpy_helper.from_array(changed, name))
            return model
    raise AssertionError(name)


@pytest.mark.parametrize("bits", PAYLOAD_BITS)
def test_a_tail_that_computes_something_else_is_refused(
    subnet, images, tmp_path, monkeypatch, bits
):
    def wrong(split):
        return other_weights(tail_model(split), "classifier.bias", lambda bias: bias + 1e-3)

    monkeypatch.setattr(deploy_module, "tail_model", wrong)
    with pytest.raises(WorkError, match=r"scores of the tail differ from torch's by 1\.0e-03"):
        write(Split.at(subnet, 3, bits, images), images, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bits", PAYLOAD_BITS)
def test_a_head_that_computes_something_else_is_refused(
    subnet, images, tmp_path, monkeypatch, bits
):
    def wrong(split):
        return other_weights(head_model(split), "stem.conv1.bias", lambda bias: bias * 1.01)

    monkeypatch.setattr(deploy_module, "head_model", wrong)
    with pytest.raises(WorkError, match=r"payload differs from torch's in \d+ of \d+ values"):
        write(Split.at(subnet, 3, bits, images), images, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_pair_of_another_format_is_refused(subnet, images, tmp_path):
    write(Split.at(subnet, 3, 8, images), images, tmp_path)
    other = Split.at(subnet, 3, 16, images)
    with pytest.raises(WorkError, match="float16"):
        verify(other, tmp_path / "head.onnx", tmp_path / "tail.onnx", images.numpy())


@pytest.mark.parametrize(("level", "explained"), [(100.5, True), (100.4, False)])
def test_a_feature_on_the_border_of_two_levels_may_round_either_way(
    subnet, images, tmp_path, level, explained
):
    """The head's steps are a little smaller, so that one value comes out as the next level."""
    split = Split.at(subnet, 0, 8, images)
    image = torch.zeros(1, *subnet.input_shape)
    image[0, 0, 2, 3] = level * split.quantiser.step[0]
    assert split.head(image)[0, 0, 2, 3] == 100
    smaller = 1 - 1e-6 if explained else 100.4 / 100.6
    head, tail = tmp_path / "head.onnx", tmp_path / "tail.onnx"
    onnx.save(other_weights(head_model(split), "step", lambda step: step * smaller), head)
    onnx.save(tail_model(split), tail)
    if explained:
        found = verify(split, head, tail, image.numpy())
        assert found["payload_values_rounded_to_the_next_level"] == 1
        assert found["images_without_such_values"] == 0
        assert found["largest_score_difference_on_all_images"] > 0
    else:
        with pytest.raises(WorkError, match="differs from torch's in 1 of 120 values"):
            verify(split, head, tail, image.numpy())


@pytest.mark.parametrize(("cut", "bits"), [(0, 4), (3, 4), (3, 16), (6, 32)])
def test_a_pair_runs_as_the_guide_shows_with_numpy_and_onnxruntime_alone(
    make_subnet, tmp_path, cut, bits
):
    """The guide's ten lines, in a Python that cannot import anything of ours."""
    net = make_subnet(image=(1, 32, 32))
    x = torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    models = tmp_path / "runs/digits/models/0"
    models.mkdir(parents=True)
    write(Split.at(net, cut, bits, x), x, models)
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (source,) = [block for block in blocks if "InferenceSession" in block]
    assert len([line for line in source.splitlines() if line.strip()]) <= 10
    blocked = (
        "import json, sys\nfrom pathlib import Path\n"
        "for m in ('torch', 'onnx', 'evonas'): sys.modules[m] = None\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked + source],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in CLASSES
