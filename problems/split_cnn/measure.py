"""Measure how long a model takes in onnxruntime, on a machine that may be busy.

Times on a shared machine jump by factors when other work comes and goes, but all code that runs
at the same moment is slowed alike. So a model is timed in short bursts between bursts of a fixed
reference network, and what is kept is the median over the bursts of the ratio of the two. The
reference's own time is calibrated once for each host and kept: it is the unit that turns ratios
into milliseconds, the same for all workers and all runs there.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from filelock import FileLock
from numpy.typing import NDArray

from evonas.problems.split_cnn.graphs import head_model
from evonas.problems.split_cnn.quantise import Quantiser
from evonas.problems.split_cnn.split import Split
from evonas.problems.split_cnn.subnet import Block, Classifier, Conv, SubNet

BURSTS, FEWEST_BURSTS = 20, 5
"""Numbers of bursts of each model; every burst gives a ratio."""

RUNS, FEWEST_RUNS = 5, 2
"""Numbers of timed samples in a burst; the fastest counts."""

BUDGET_MS = 45.0
"""Time for all bursts together; slow models get fewer samples, down to the fewest."""

SAMPLE_MS = 0.05
"""A sample repeats its model until it takes about this long, far above the clock's resolution."""

CALIBRATION_SECONDS = 1.5

Work = Callable[[], object]
"""A call of a model."""


def session(model: onnx.ModelProto | Path) -> onnxruntime.InferenceSession:
    """Load a model as it is measured and verified: on one thread that does not spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


class Stopwatch:
    """Times models against the reference network.

    Args:
        reference_ms: Time of the reference network, from :func:`reference_ms`.
    """

    def __init__(self, reference_ms: float) -> None:
        self.reference_ms = reference_ms

    def measure(self, works: Sequence[Work], rng: np.random.Generator) -> list[float]:
        """Time each of several calls of models, in ms.

        The few microseconds that onnxruntime needs for a call of a model that does nothing are
        left out: they do not belong to the network, and must not be multiplied when a slower
        device is simulated.

        Args:
            works: Calls to time; each is made many times.
            rng: Random number generator that draws the order within each round of bursts.

        Returns:
            Times in ms, in the order of the calls.
        """
        timed = [*self._yardsticks, *works]
        repetitions = [_repetitions(work) for work in timed]
        round_ms = sum(_sample_ms(work, n) * n for work, n in zip(timed, repetitions, strict=True))
        rounds = BUDGET_MS / round_ms
        runs = int(np.clip(rounds / BURSTS, FEWEST_RUNS, RUNS))
        bursts = np.empty((int(np.clip(rounds / runs, FEWEST_BURSTS, BURSTS)), len(timed)))
        for burst in bursts:
            for index in rng.permutation(len(timed)):
                samples = (_sample_ms(timed[index], repetitions[index]) for _ in range(runs))
                burst[index] = min(samples)
        reference, call, found = bursts[:, :1], bursts[:, 1:2], bursts[:, 2:]
        ratios = np.median((found - call) / reference, axis=0)
        return [max(0.0, float(ratio)) * self.reference_ms for ratio in ratios]

    @cached_property
    def _yardsticks(self) -> tuple[Work, Work]:
        """The reference network, and a model that does nothing."""
        return _reference(), _work(_head((1, 1, 1), ()), np.zeros((1, 1, 1, 1), np.float32))


def reference_ms(folder: Path) -> float:
    """Return the reference network's time on this host, in ms; calibrated on the first call.

    It is the smallest of many short medians within a second or two: the time when nothing else runs
    on the machine. It is kept in ``folder``, in a file named after the host, the processor,
    onnxruntime's version and the reference network.
    """
    model = _reference_model().SerializeToString()
    parts = [platform.node(), platform.machine(), platform.processor(), onnxruntime.__version__]
    digest = hashlib.sha256(json.dumps(parts).encode() + model).hexdigest()[:16]
    path = folder / f"reference-{digest}.json"
    folder.mkdir(parents=True, exist_ok=True)
    # Two processes that calibrate at once would disturb each other, and disagree.
    with FileLock(path.with_suffix(".lock")):
        try:
            return float(json.loads(path.read_text(encoding="utf-8"))["reference_ms"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # Not there, or damaged: calibrate and write it.
        found = _calibrate()
        with suppress(OSError):  # On a full disk it is calibrated again next time.
            path.write_text(json.dumps({"reference_ms": found, "host": platform.node()}))
    return found


def _calibrate() -> float:
    work = _reference()
    end = time.perf_counter() + CALIBRATION_SECONDS
    medians = []
    while time.perf_counter() < end:
        medians.append(statistics.median(_sample_ms(work, 1) for _ in range(25)))
        time.sleep(0.02)
    return min(medians)


def _sample_ms(work: Work, repetitions: int) -> float:
    """Time of one call, in ms, from a few in a row."""
    start = time.perf_counter_ns()
    for _ in range(repetitions):
        work()
    return (time.perf_counter_ns() - start) / repetitions / 1e6


def _repetitions(work: Work) -> int:
    work()  # The first call allocates.
    return max(1, math.ceil(SAMPLE_MS / min(_sample_ms(work, 1) for _ in range(3))))


def _reference() -> Work:
    image = np.random.default_rng(0).random((1, 1, 32, 32), np.float32)
    return _work(_reference_model(), image)


def _work(model: onnx.ModelProto, image: NDArray[np.float32]) -> Work:
    loaded = session(model)
    return lambda: loaded.run(None, {"image": image})


def _reference_model() -> onnx.ModelProto:
    """A small network of the same kinds of layers as those that it is compared with."""
    rng = np.random.default_rng(0)

    def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Conv:
        shape = (outputs, inputs // groups, kernel, kernel)
        weight = rng.standard_normal(shape, np.float32) / np.float32(math.prod(shape[1:]) ** 0.5)
        return Conv(weight, np.zeros(outputs, np.float32), stride, groups, relu=True)

    blocks = (
        Block("stem", (conv(1, 16, 3, 2), conv(16, 32, 3)), residual=False),
        Block("block1", (conv(32, 96, 1), conv(96, 96, 3, 1, 96), conv(96, 32, 1)), residual=True),
        Block("block2", (conv(32, 96, 1), conv(96, 96, 5, 2, 96), conv(96, 64, 1)), residual=False),
        Block("block3", (conv(64, 192, 1), conv(192, 192, 3, 1, 192), conv(192, 64, 1)), True),
    )
    return _head((1, 32, 32), blocks)


def _head(image: tuple[int, int, int], blocks: tuple[Block, ...]) -> onnx.ModelProto:
    """A model that runs these blocks and sends their output as it is."""
    classifier = Classifier("", np.empty((0, 0), np.float32), np.empty(0, np.float32))
    subnet = SubNet(image, blocks, classifier)
    quantiser = Quantiser.without_ranges(32, subnet.shapes[len(blocks)])
    return head_model(Split(subnet, len(blocks), quantiser))
