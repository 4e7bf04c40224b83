"""Write a design as ``head.onnx`` and ``tail.onnx``, verified, with a manifest beside them.

The pair is run in onnxruntime, image by image as a device does, and compared with torch:

1. The head's payload is torch's features quantised in torch. A feature that lies within float
   rounding noise of the border between two levels may come out on the other side of it; these
   are counted.
2. The tail's scores are torch's on the same payload.
3. Head then tail give torch's scores, for all images without such a feature. (Half precision has
   so many borders that hardly an image is without; there the first two settle it.)
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from evonas.errors import WorkError
from evonas.problems.split_cnn.graphs import OPSET, head_model, tail_model
from evonas.problems.split_cnn.measure import session
from evonas.problems.split_cnn.split import Split
from evonas.space import Genome

SCORE_TOLERANCE = 1e-4
"""Largest difference of scores between onnxruntime and torch."""

ROUNDING_NOISE = 1e-5
"""Largest difference of features, as a share of the largest feature.

The two sum in different orders; on sub-networks of the digits' supernet they differed by at most
a tenth of this.
"""


def deploy(
    split: Split,
    directory: Path,
    images: NDArray[np.float32],
    classes: Sequence[str],
    genome: Genome,
) -> None:
    """Write and verify ``head.onnx``, ``tail.onnx`` and ``manifest.json``.

    Args:
        split: The design, cut.
        directory: Directory to write to; it exists.
        images: Real images to verify the pair on, shape (images, channels, height, width).
        classes: Names of the classes, in the order of the scores.
        genome: Genome of the design, for the manifest.

    Raises:
        WorkError: The pair does not compute what torch does; its files are removed.
    """
    head, tail = directory / "head.onnx", directory / "tail.onnx"
    models = {head: head_model(split), tail: tail_model(split)}
    try:
        for path, model in models.items():
            _write(path, model.SerializeToString())
        verification = verify(split, head, tail, images)
        manifest = {
            "genome": dict(genome),
            "head": _describe(head, models[head]),
            "tail": _describe(tail, models[tail]),
            "image": {"range": [0, 1], "shape": list(split.subnet.input_shape)},
            "payload": {
                "bytes_per_image": split.payload_bytes,
                "crosses_the_link": not split.on_device,
                "quantisation": split.quantiser.describe(),
            },
            "classes": list(classes),
            "verification": verification,
            "opset": OPSET,
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("evonas", "onnx", "onnxruntime", "torch")},
            },
        }
        text = json.dumps(manifest, indent=2) + "\n"
        _write(directory / "manifest.json", text.encode())
    except BaseException:
        for path in models:
            path.unlink(missing_ok=True)
        raise


def verify(split: Split, head: Path, tail: Path, images: NDArray[np.float32]) -> dict[str, Any]:
    """Compare a pair in onnxruntime with torch.

    Args:
        split: Design that the pair should compute.
        head: File of the head.
        tail: File of the tail.
        images: Images, shape (images, channels, height, width).

    Returns:
        Counts of what was compared, and the largest differences.

    Raises:
        WorkError: The pair differs from torch by more than rounding explains.
    """
    x, quantiser = torch.from_numpy(images), split.quantiser
    features = split.subnet.run(x, 0, split.cut)
    expected = quantiser.quantise(features)
    payload = torch.from_numpy(_run(head, "image", images))
    scores = torch.from_numpy(_run(tail, "payload", payload.numpy()))
    expected_scores = split.tail(expected)

    if payload.shape != expected.shape or payload.dtype != expected.dtype:
        raise WorkError(
            f"the head's payload is {tuple(payload.shape)} {payload.dtype}; "
            f"it must be {tuple(expected.shape)} {expected.dtype}"
        )
    noise = ROUNDING_NOISE * float(features.abs().max())
    levels, expected_levels = (quantiser.unpack(p).float() for p in (payload, expected))
    lowest, highest = (quantiser.levels(features + shift).float() for shift in (-noise, noise))
    wrong = (levels < lowest) | (levels > highest)
    differs = levels != expected_levels
    if quantiser.bits < 16:
        wrong |= (levels - expected_levels).abs() > 1
    if wrong.any():
        raise WorkError(
            f"the head's payload differs from torch's in {int(wrong.sum())} of {wrong.numel()} "
            f"values by more than rounding noise of {noise:.1e} explains"
        )
    tail_difference = _largest(scores - split.tail(payload))
    # Without levels there are no borders: all images count.
    same = ~differs.flatten(1).any(dim=1) if quantiser.bits < 32 else torch.ones(len(x)) > 0
    pair_difference = _largest((scores - expected_scores)[same])
    for what, difference in (("tail", tail_difference), ("pair", pair_difference)):
        if not difference <= SCORE_TOLERANCE:
            raise WorkError(
                f"scores of the {what} differ from torch's by {difference:.1e}; "
                f"at most {SCORE_TOLERANCE:.0e} is allowed"
            )
    agree = scores.argmax(dim=1) == expected_scores.argmax(dim=1)
    return {
        "images": len(images),
        "payload_values": differs.numel(),
        "payload_values_rounded_to_the_next_level": (
            int(differs.sum()) if quantiser.bits < 32 else 0
        ),
        "images_without_such_values": int(same.sum()),
        "largest_score_difference_of_the_tail": tail_difference,
        "largest_score_difference_of_the_pair": pair_difference,
        "largest_score_difference_on_all_images": _largest(scores - expected_scores),
        "score_tolerance": SCORE_TOLERANCE,
        "label_agreement": float(agree.float().mean()),
    }


def _run(model: Path, name: str, batch: NDArray[Any]) -> NDArray[Any]:
    """Run a model image by image."""
    loaded = session(model)
    return np.concatenate([loaded.run(None, {name: one[None]})[0] for one in batch])


def _largest(differences: torch.Tensor) -> float:
    return float(differences.abs().max()) if differences.numel() else 0.0


def _describe(path: Path, model: onnx.ModelProto) -> dict[str, Any]:
    data = path.read_bytes()
    return {
        "file": path.name,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "inputs": [_tensor(value) for value in model.graph.input],
        "outputs": [_tensor(value) for value in model.graph.output],
    }


def _tensor(value: onnx.ValueInfoProto) -> dict[str, Any]:
    kind = value.type.tensor_type
    return {
        "name": value.name,
        "shape": [size.dim_param or size.dim_value for size in kind.shape.dim],
        "dtype": str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)),
    }


def _write(path: Path, data: bytes) -> None:
    """Write under another name first, so that a file of this name is always complete."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)
