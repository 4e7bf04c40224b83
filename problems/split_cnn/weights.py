"""A cache of trained weights, so that nothing is trained twice.

Weights are kept as ``.npz`` files of plain arrays in ``$EVONAS_CACHE``, or else in the user's
cache folder. The file's name is a hash of everything that the weights depend on, so nothing ever
has to be declared stale.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from platformdirs import user_cache_path

from evonas.errors import ConfigError, DataError
from evonas.problem import Report
from evonas.problems.split_cnn import architecture, supernet, training
from evonas.problems.split_cnn.architecture import SupernetConfig
from evonas.problems.split_cnn.datasets import Dataset
from evonas.problems.split_cnn.supernet import Supernet
from evonas.problems.split_cnn.training import TrainingSettings, train

Arrays = dict[str, NDArray[np.float32]]


def cache_folder() -> Path:
    """Return the folder that weights are kept in."""
    chosen = os.environ.get("EVONAS_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("evonas")


def key(config: SupernetConfig, dataset: Dataset, settings: TrainingSettings, device: str) -> str:
    """Hash what the weights depend on, the code that trains them included."""
    modules = (architecture, supernet, training)
    parts = {
        "config": asdict(config),
        "data": dataset.fingerprint,
        "settings": asdict(settings),
        "source": [Path(str(module.__file__)).read_text(encoding="utf-8") for module in modules],
        "torch": torch.__version__,
        "device": torch.device(device).type,
    }
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def load_or_train(
    config: SupernetConfig,
    dataset: Dataset,
    settings: TrainingSettings,
    report: Report,
    device: str = "cpu",
) -> Arrays:
    """Return the supernet's weights, from the cache if they are there.

    Two processes never train the same weights: the second waits for the first. Weights from a
    damaged file are trained again.

    Args:
        config: Size of the supernet.
        dataset: Images to train on.
        settings: Settings of the training.
        report: Function that is called with lines of text about what is going on.
        device: Device that torch trains on, ``cpu`` or ``cuda``.

    Raises:
        ConfigError: The cache folder cannot be written to.
    """
    folder = cache_folder()
    path = folder / f"supernet-{key(config, dataset, settings, device)}.npz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report("another process is training these weights; waiting for it")
            lock.acquire()
    except OSError as error:
        raise ConfigError(
            f"the cache folder '{folder}' cannot be written to ({error}); set EVONAS_CACHE to one "
            "that can"
        ) from error
    try:
        arrays = _read(path, config)
        if arrays is None:
            arrays = train(config, *dataset.part("train"), settings, report, device)
            try:
                _write(path, arrays)
            except OSError as error:  # A full disk is no reason to throw the training away.
                report(f"the weights cannot be kept, and are trained again next time: {error}")
        else:
            report("the supernet's weights are in the cache")
    finally:
        lock.release()
    return arrays


def _read(path: Path, config: SupernetConfig) -> Arrays | None:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        Supernet.load(config, arrays)
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile, zlib.error, DataError):
        return None
    return arrays


def _write(path: Path, arrays: Arrays) -> None:
    """Write under another name first, so that a file of this name is always complete."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        complete = Path(folder) / path.name
        # numpy below 2.1 would take an argument allow_pickle for one more array.
        np.savez(complete, **arrays)  # type: ignore[arg-type]
        complete.replace(path)
