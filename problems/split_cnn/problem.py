"""The problem ``digits``, or any images: split networks for a device, a server and a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from evonas.devices.links import parse_link
from evonas.devices.presets import Device, parse_device
from evonas.errors import ConfigError, ProblemError
from evonas.problem import Constraint, Metric, Objective, Problem, Report
from evonas.problems.split_cnn import architecture, datasets, layers
from evonas.problems.split_cnn.architecture import Architecture, SupernetConfig
from evonas.problems.split_cnn.datasets import Dataset
from evonas.problems.split_cnn.deploy import deploy
from evonas.problems.split_cnn.evaluator import (
    Evaluator,
    Images,
    Labels,
    Pair,
    Prepared,
    shifted_copies,
)
from evonas.problems.split_cnn.measure import reference_ms
from evonas.problems.split_cnn.supernet import CALIBRATION_IMAGES
from evonas.problems.split_cnn.training import TrainingSettings
from evonas.problems.split_cnn.weights import cache_folder, load_or_train
from evonas.space import FloatArray, Genome, Value

VERIFICATION_IMAGES = 128
"""Validation images that an exported pair is verified on."""


class SplitCNN(Problem):
    """Search architecture, width, split point and payload of a convolutional network.

    The network's head runs on the device, its payload crosses the link, its tail runs on the
    server. Times of head and tail are measured here; what follows from them is derived::

        device_ms        = head_ms * the device's factor
        server_ms        = tail_ms * the server's factor
        link_ms          = round trip + 8 payload_bytes / uplink, or 0 if nothing crosses
        latency_ms       = device_ms + link_ms + server_ms
        head_energy_mj   = device_ms * compute power
        device_energy_mj = head_energy_mj
                         + 8 payload_bytes / uplink * (idle power + transmit power)
                         + (round trip + server_ms) * idle power

    The energy is that of the device alone, as in Kang et al., "Neurosurgeon" (ASPLOS 2017): the
    time of each phase times its power. A waiting radio adds nothing to the device's idle power. On
    fitted devices ``head_ms`` and ``tail_ms`` are predicted, and so is ``head_energy_mj`` if the
    energy was measured; the factor is 1 then.

    Args:
        data: Name of the images: ``digits``, ``folder:PATH``, ``npz:PATH`` or ``module:NAME``; see
            :mod:`evonas.problems.split_cnn.datasets`.
        image_size: Height and width in pixels that all images are resized to; left out, they keep
            their size.
        device: Device that runs the head: a preset of :mod:`evonas.devices.presets`, or
            ``"factor=20,compute_watts=3,idle_watts=1"``. From the command line and with
            :func:`evonas.references.load_problem`, it may be the name of a fitted device.
        server: Device that runs the tail, given in the same way.
        link: Link between them: a preset of :mod:`evonas.devices.links`, or
            ``"uplink_mbps=10,round_trip_ms=30"``.
        objectives: Metrics to minimise, as a list or joined by commas.
        max_error: Largest error allowed, in %; designs beyond this or another bound are infeasible.
        max_latency_ms: Largest latency allowed, in ms.
        max_device_energy_mj: Largest energy of the device allowed, in mJ.
        max_payload_bytes: Largest payload allowed, in bytes.
        max_head_memory_bytes: Largest memory of the head allowed, in bytes.
        max_params: Largest number of weights of the whole network allowed.
        validation_images: Number of images that score a design: the first validation images, and if
            there are fewer, also copies of them, shifted as in training (at most four of each).
        epochs: Number of passes over the training images; left out, as many as digits needs.
        train_seed: Seed of the supernet's training.
        threads: Number of threads of the supernet's training.
        torch_device: Device that the supernet is trained on, ``cpu`` or ``cuda``.

    Raises:
        UsageError: An option is wrong.
    """

    highlight = "split"
    timed_models: Mapping[str, str] = MappingProxyType({"head": "head_ms", "tail": "tail_ms"})
    runs_on: Mapping[str, str] = MappingProxyType({"head": "device", "tail": "server"})
    model_options = ("data", "image_size")
    model_energies: Mapping[str, str] = MappingProxyType({"head": "head_energy_mj"})
    final_metrics: Sequence[Metric] = (Metric("test_error", "%"),)

    def __init__(
        self,
        data: str = "digits",
        image_size: int | None = None,
        device: str | Device = "microcontroller",
        server: str | Device = "server",
        link: str = "802.15.4",
        objectives: str | Sequence[str] = ("error", "latency_ms", "head_memory_bytes"),
        max_error: float | None = None,
        max_latency_ms: float | None = None,
        max_device_energy_mj: float | None = None,
        max_payload_bytes: float | None = None,
        max_head_memory_bytes: float | None = None,
        max_params: float | None = None,
        validation_images: int = 1800,
        epochs: int | None = None,
        train_seed: int = 0,
        threads: int = 1,
        torch_device: str = "cpu",
    ) -> None:
        _check_whole("image_size", image_size, 8)
        _check_whole("validation_images", validation_images, 1)
        _check_whole("epochs", epochs, 1)
        self._data, self._size = data, None if image_size is None else (image_size, image_size)
        self._config = SupernetConfig(self._dataset.image, len(self._dataset.classes))
        settings = TrainingSettings(seed=train_seed, threads=threads)
        self._settings = settings if epochs is None else replace(settings, epochs=epochs)
        self._torch_device = torch_device
        self._validation_images = validation_images
        self._device, self._server = parse_device(device), parse_device(server)
        self._link = parse_link(link)
        self._prepared: Prepared | None = None

        self.space = architecture.space(self._config)
        self.metrics = _metrics(self.space.names)
        names = objectives.split(",") if isinstance(objectives, str) else objectives
        self.objectives = [Objective(name.strip()) for name in names]
        bounds = {
            "error": max_error,
            "latency_ms": max_latency_ms,
            "device_energy_mj": max_device_energy_mj,
            "payload_bytes": max_payload_bytes,
            "head_memory_bytes": max_head_memory_bytes,
            "params": max_params,
        }
        self.constraints = [
            Constraint(metric, upper=_number(f"max_{metric}", bound))
            for metric, bound in bounds.items()
            if bound is not None
        ]
        self.notes = [f"device {self._device}", f"server {self._server}", f"link {self._link}"]

    def canonical(self, genome: Genome) -> Mapping[str, Value]:
        """Map genomes of equal channel counts and equal cuts to one."""
        return architecture.canonical(genome, self._config)

    def memory_key(self, metric: str, genome: Genome) -> Mapping[str, Value]:
        """The error depends on the cut only if the payload is rounded there."""
        key = super().memory_key(metric, genome)
        if metric in ("error", "test_error") and not self._rounds(genome):
            return {name: key[name] for name in key if name not in ("split", "payload_bits")}
        return key

    def prepare(self, report: Report) -> None:
        """Train the supernet, or load its weights, and calibrate the reference network."""
        weights = load_or_train(
            self._config, self._dataset, self._settings, report, self._torch_device
        )
        images, labels = self._dataset.part("validation")
        self._prepared = Prepared(
            weights,
            self._dataset.part("train")[0][:CALIBRATION_IMAGES],
            images[: self._validation_images],
            labels[: self._validation_images],
            reference_ms(cache_folder()),
        )
        for built_from_the_last in ("_evaluator", "_scored"):
            vars(self).pop(built_from_the_last, None)

    def evaluate(self, genome: Genome, metrics: Sequence[str]) -> Mapping[str, float]:
        """Evaluate a design; all metrics but times are the same on every call."""
        wanted = set(metrics)
        found: dict[str, float] = {}
        if "error" in wanted:
            found["error"] = self._error(genome, *self._scored)
        if wanted & set(self.timed_models.values()):
            found["head_ms"], found["tail_ms"] = self._evaluator.times(self._pair(genome))
        if wanted - set(found):
            found |= self._sizes(genome)
        return {name: found[name] for name in metrics}

    def derive(self, metric: str, parts: Mapping[str, FloatArray]) -> FloatArray:
        """Compute times and energies from those of head and tail, see the class."""
        device, server, link = self._device, self._server, self._link
        if metric == "device_ms":
            return parts["head_ms"] * device.factor
        if metric == "server_ms":
            return parts["tail_ms"] * server.factor
        if metric == "link_ms":
            return link.total_ms(parts["payload_bytes"])
        if metric == "latency_ms":
            return parts["device_ms"] + parts["link_ms"] + parts["server_ms"]
        if metric == "head_energy_mj":
            return parts["device_ms"] * device.compute_watts
        sending = link.send_ms(parts["payload_bytes"]) * link.transmit_watts
        waiting = (parts["link_ms"] + parts["server_ms"]) * device.idle_watts
        return parts["head_energy_mj"] + (sending + waiting)

    def features(self, genomes: Sequence[Genome]) -> FloatArray:
        """Describe designs by the codes of their genes, and by what their times depend on.

        Args:
            genomes: Designs, in canonical form.

        Returns:
            Array of shape (number of genomes, number of genes + 4). The last columns are the
            multiply-adds of head and tail and the parameters, in millions, and the time of the
            link in ms.
        """
        rows = []
        for genome in genomes:
            split = self._evaluator.sketch(*self._place(genome))
            macs, params, cut = split.subnet.macs, split.subnet.params, split.cut
            payload = split.payload_bytes
            rows.append([sum(macs[:cut]) / 1e6, sum(macs[cut:]) / 1e6, sum(params) / 1e6, payload])
        table = np.reshape(np.array(rows, dtype=float), (-1, 4))
        table[:, 3] = self._link.total_ms(table[:, 3])
        return np.hstack([self.space.encode(genomes), table])

    def views(self, genomes: Sequence[Genome]) -> Mapping[str, FloatArray]:
        """Describe head and tail by what their layers do."""
        splits = [self._evaluator.sketch(*self._place(genome)) for genome in genomes]
        return {
            "head": np.array([layers.head(split) for split in splits]),
            "tail": np.array([layers.tail(split) for split in splits]),
        }

    def has_model(self, model: str, genome: Genome) -> bool:
        """A tail is missing where everything runs on the device."""
        return model == "head" or not self._evaluator.sketch(*self._place(genome)).on_device

    def final(self, genome: Genome) -> Mapping[str, float]:
        """Score a design on the test images."""
        return {"test_error": self._error(genome, *self._dataset.part("test"))}

    def export(self, genome: Genome, directory: Path) -> None:
        """Write ``head.onnx``, ``tail.onnx`` and ``manifest.json``, verified on real images."""
        images = self._ready.images[:VERIFICATION_IMAGES]
        deploy(self._pair(genome).split, directory, images, self._dataset.classes, genome)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what a worker does not need, or builds again."""
        left_out = ("_dataset", "_evaluator", "_scored")
        return {name: value for name, value in vars(self).items() if name not in left_out}

    @cached_property
    def _dataset(self) -> Dataset:
        return datasets.load(self._data, self._size)

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self._config, self._ready)

    @cached_property
    def _scored(self) -> tuple[Images, Labels]:
        """The images that score designs, with their labels."""
        images, labels = self._ready.images, self._ready.labels
        return shifted_copies(images, labels, self._validation_images, self._settings.shift)

    @property
    def _ready(self) -> Prepared:
        if self._prepared is None:
            raise ProblemError("the problem is not prepared; call prepare(print) first")
        return self._prepared

    def _rounds(self, genome: Genome) -> bool:
        """Whether the payload holds less than the features."""
        return genome.get("payload_bits", 32) != 32

    def _place(self, genome: Genome) -> tuple[Architecture, int, int]:
        """Architecture, cut and payload bits."""
        bits = cast(int, genome.get("payload_bits", 32))
        cut = architecture.cut(genome, self._config)
        return architecture.architecture(genome, self._config), cut, bits

    def _pair(self, genome: Genome) -> Pair:
        return self._evaluator.pair(*self._place(genome))

    def _error(self, genome: Genome, images: Images, labels: Labels) -> float:
        if not self._rounds(genome):
            # The same for all cuts, to the last bit: score the network in one piece.
            genome = {**genome, "split": self._config.last_split}
        return self._evaluator.error(self._pair(genome), images, labels)

    def _sizes(self, genome: Genome) -> dict[str, float]:
        split = self._evaluator.sketch(*self._place(genome))
        return {
            "payload_bytes": split.payload_bytes,
            "macs": sum(split.subnet.macs),
            "params": sum(split.subnet.params),
            "head_memory_bytes": split.subnet.head_memory_bytes(split.cut),
        }


def _metrics(genes: Sequence[str]) -> list[Metric]:
    network = [gene for gene in genes if gene not in ("split", "payload_bits")]
    payload = ["width", "split", "payload_bits"]
    return [
        Metric("error", "%"),
        Metric("latency_ms", "ms", derived_from=("device_ms", "link_ms", "server_ms")),
        Metric("device_ms", "ms", derived_from=("head_ms",)),
        Metric("link_ms", "ms", derived_from=("payload_bytes",)),
        Metric("server_ms", "ms", derived_from=("tail_ms",)),
        Metric(
            "device_energy_mj",
            "mJ",
            derived_from=("head_energy_mj", "payload_bytes", "link_ms", "server_ms"),
        ),
        Metric("head_ms", "ms"),
        Metric("tail_ms", "ms"),
        Metric("head_energy_mj", "mJ", derived_from=("device_ms",)),
        Metric("payload_bytes", "B", payload, expensive=False),
        Metric("macs", "", network, expensive=False),
        Metric("params", "", network, expensive=False),
        Metric("head_memory_bytes", "B", [*network, "split"], expensive=False),
    ]


def _check_whole(name: str, value: object, low: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (whole and cast(int, value) >= low):
        raise ConfigError(f"{name} is {value!r}; it must be a whole number from {low} on")


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name} is {value!r}; it must be a number")
    return float(value)
