"""Image data, named by a short text: digits, a folder, an ``.npz`` file, or a torch dataset.

==================  ==============================================================================
``digits``          scikit-learn's 1797 handwritten digits, 8x8, enlarged to 32x32
``folder:PATH``     a folder with one folder of images for each class; other files are skipped
``npz:PATH``        arrays ``images`` and ``labels``, and perhaps ``classes`` with their names
``module:NAME``     a torch dataset by import path, ``my_package.data:train_set``, or a class or
                    function that makes one when called without arguments
==================  ==============================================================================

Images are uint8, or floats in [0, 1], of shape (height, width), (channels, height, width), or
(height, width, channels) with at most 4 channels; files and PIL images have 8 or 16 bits. Three
fifths of each class are for training, a fifth for validation, a fifth for the final test, drawn
once and for all. All images are held in memory.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from evonas.errors import DataError, did_you_mean

Images = NDArray[np.float32]
Labels = NDArray[np.int64]
Size = tuple[int, int]
Part = Literal["train", "validation", "test"]

SMALLEST_SIDE = 8
MOST_CLASSES = 1000
MOST_CHANNELS_LAST = 4


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in three parts.

    Args:
        name: Name of what the images were loaded from.
        images: Images, shape (images, channels, height, width), float32 in [0, 1].
        labels: Labels of the images, shape (images,), from 0 to the number of classes - 1.
        classes: Names of the classes.
        train: Indices of the training images, shuffled: the first few are a fair sample.
        validation: Indices of the images that a search scores designs on.
        test: Indices of the images that only the final front is scored on.
    """

    name: str
    images: Images
    labels: Labels
    classes: tuple[str, ...]
    train: Labels
    validation: Labels
    test: Labels

    @property
    def image(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def part(self, part: Part) -> tuple[Images, Labels]:
        """Return the images and the labels of a part."""
        rows = getattr(self, part)
        return self.images[rows], self.labels[rows]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the training images and labels: what the weights depend on."""
        digest = hashlib.sha256()
        for array in self.part("train"):
            digest.update(f"{array.shape} {array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def load(spec: str, size: Size | None = None) -> Dataset:
    """Load a dataset.

    Args:
        spec: Name of the data: ``digits``, ``folder:PATH``, ``npz:PATH`` or ``module:NAME``.
        size: Height and width to resize all images to; left out, they keep their sizes, which must
            agree.

    Raises:
        DataError: There is no such data, or it is wrong.
    """
    kind, _, rest = spec.partition(":")
    loaders: dict[str, Callable[[str, Size | None], Dataset]] = {
        "digits": _digits,
        "folder": _folder,
        "npz": _npz,
        "module": _module,
    }
    if kind not in loaders or bool(rest) == (kind == "digits"):
        raise DataError(
            f"data is '{spec}'; it must be 'digits', 'folder:PATH', 'npz:PATH' or 'module:NAME'"
            + did_you_mean(kind, loaders)
        )
    if size is not None and min(size) < SMALLEST_SIDE:
        raise DataError(f"images cannot be resized to {size}; the smallest size is 8x8")
    return loaders[kind](rest, size)


def _digits(_: str, size: Size | None) -> Dataset:
    from sklearn.datasets import load_digits

    data = load_digits()
    images = data.images[:, None].astype(np.float32) / 16
    return _dataset("digits", resize(images, size or (32, 32)), data.target, None)


def _folder(path: str, size: Size | None) -> Dataset:
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError(f"there is no folder '{root.resolve()}'")
    folders = sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not folders:
        raise DataError(f"folder '{root}' must hold a folder of images for each class; it has none")
    known = Image.registered_extensions()
    files = [
        (file, label)
        for label, folder in enumerate(folders)
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in known and not file.name.startswith(".")
    ]
    if not files:
        raise DataError(
            f"the folders {', '.join(folder.name for folder in folders[:3])} in '{root}' hold no "
            "images; name the folder whose own folders are the classes"
        )
    images = [_read(file) for file, _ in files]
    if len({image.shape[0] for image in images}) > 1:
        images = [np.repeat(i, 3, axis=0) if i.shape[0] == 1 else i for i in images]
    stacked = _stack(images, size, [str(file) for file, _ in files])
    labels = np.array([label for _, label in files])
    return _dataset(f"folder '{root}'", stacked, labels, [folder.name for folder in folders])


def _read(file: Path) -> Images:
    """Read an image as (1 or 3, height, width)."""
    where = f"image '{file}'"
    try:
        with Image.open(file) as image:
            pixels = _pixels(image, where)
    except DataError:
        raise
    except Exception as error:  # What a decoder raises for a broken file is not documented.
        raise DataError(f"{where} cannot be read: {error}") from error
    return _image(pixels, where)


def _pixels(image: Image.Image, where: str) -> NDArray[Any]:
    """Return the pixels of a picture in grey or RGB, as uint8 or floats in [0, 1]."""
    # PIL clips what has more than 8 bits instead of scaling it.
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.float32) / np.float32(65535)
    if image.mode in ("I", "F"):
        raise DataError(f"{where} has pixels of 32 bits; it must have 8 or 16")
    grey = image.mode in ("1", "L", "LA")
    return np.asarray(image.convert("L" if grey else "RGB"))


def _npz(path: str, size: Size | None) -> Dataset:
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"there is no file '{file.resolve()}'")
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"'{file}' is not a readable .npz file of plain arrays: {error}") from error
    for name in ("images", "labels"):
        if name not in arrays:
            raise DataError(f"'{file}' has no array '{name}'{did_you_mean(name, arrays)}")
    images, labels = arrays["images"], arrays["labels"]
    if images.ndim not in (3, 4) or not images.size:
        raise DataError(
            f"array 'images' of '{file}' has the shape {images.shape}; it must be (images, height, "
            "width), (images, channels, height, width) or (images, height, width, channels), none 0"
        )
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"array 'labels' of '{file}' has the shape {labels.shape} and the type {labels.dtype}; "
            f"it must hold {len(images)} whole numbers, one for each image"
        )
    where = f"array 'images' of '{file}'"
    stacked = np.stack([_image(image, where) for image in images])
    names = [str(name) for name in arrays["classes"].ravel()] if "classes" in arrays else None
    return _dataset(f"'{file}'", resize(stacked, size) if size else stacked, labels, names)


def _module(path: str, size: Size | None) -> Dataset:
    where = f"dataset '{path}'"
    data = _imported(path)
    images: list[Images] = []
    labels: list[int] = []
    try:
        if isinstance(data, type) or not hasattr(data, "__getitem__"):
            data = data()
        for index in range(len(data)):
            image, label = data[index]
            item = f"item {index} of {where}"
            pixels = _pixels(image, item) if isinstance(image, Image.Image) else np.asarray(image)
            images.append(_image(pixels, item))
            labels.append(int(label))
    except DataError:
        raise
    except Exception as error:  # The code is the user's: anything can go wrong in it.
        raise DataError(
            f"{where} fails at item {len(labels)}: {type(error).__name__}: {error}; it must have "
            "a length, and give pairs of image and label"
        ) from error
    if not images:
        raise DataError(f"{where} is empty")
    stacked = _stack(images, size, [f"item {index} of {where}" for index in range(len(images))])
    classes = getattr(data, "classes", None)
    names = classes if isinstance(classes, list | tuple) else None
    return _dataset(where, stacked, np.array(labels), names)


def _imported(path: str) -> Any:
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise DataError(
            f"'{path}' is no import path; it must look like 'my_package.data:train_set'"
        )
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # The code is the user's: anything can go wrong in it.
        raise DataError(
            f"module '{module_name}' does not import: {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.path.remove(here)
    if not hasattr(module, attribute):
        raise DataError(
            f"module '{module_name}' has no '{attribute}'{did_you_mean(attribute, vars(module))}"
        )
    return getattr(module, attribute)


def _image(array: NDArray[Any], where: str) -> Images:
    """Turn one image into (channels, height, width), float32 in [0, 1]."""
    if not array.size:
        raise DataError(f"{where} has the shape {array.shape}; an image has at least one pixel")
    if array.ndim == 2:
        array = array[None]
    elif array.ndim == 3 and array.shape[2] <= MOST_CHANNELS_LAST:
        array = array.transpose(2, 0, 1)
    elif array.ndim != 3:
        raise DataError(f"{where} has the shape {array.shape}; an image has 2 or 3 dimensions")
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    # The comparison is also false for NaN.
    if np.issubdtype(array.dtype, np.floating) and np.all((array >= 0) & (array <= 1)):
        return array.astype(np.float32)
    numbers = array.dtype.kind in "biuf"  # Of text, and of Python objects, there is no least.
    values = f" and values from {array.min()} to {array.max()}" if numbers else ""
    raise DataError(
        f"{where} has the type {array.dtype}{values}; "
        "it must be uint8, or floats from 0 to 1 without NaN"
    )


def resize(images: Images, size: Size) -> Images:
    """Resize images (images, channels, height, width) to (height, width), bilinear, antialiased."""
    resized = functional.interpolate(
        torch.from_numpy(images), size=size, mode="bilinear", antialias=True
    )
    return resized.clamp(0, 1).numpy()


def _stack(images: Sequence[Images], size: Size | None, names: Sequence[str]) -> Images:
    if size is not None:
        images = [resize(image[None], size)[0] for image in images]
    for image, name in zip(images, names, strict=True):
        if image.shape != images[0].shape:
            raise DataError(
                f"{name} has (channels, height, width) {image.shape} and {names[0]} has "
                f"{images[0].shape}; all images must agree{_resizing(image, images[0])}"
            )
    return np.stack(images)


def _resizing(image: Images, other: Images) -> str:
    """Say what would make two images agree, if they differ in size only."""
    if image.shape[0] != other.shape[0]:
        return ""
    return ", or be resized to one size by the option image_size, as image_size=32"


def _dataset(
    name: str, images: Images, labels: NDArray[Any], classes: Sequence[object] | None
) -> Dataset:
    """Check the labels, and draw the parts."""
    if min(images.shape[2:]) < SMALLEST_SIDE:
        raise DataError(
            f"the images of {name} are {images.shape[2]}x{images.shape[3]}; the smallest size is "
            f"{SMALLEST_SIDE}x{SMALLEST_SIDE}"
        )
    count = len(classes) if classes is not None else int(labels.max()) + 1
    if labels.min() < 0 or labels.max() >= count:
        raise DataError(
            f"the labels of {name} run from {labels.min()} to {labels.max()}; "
            f"with {count} classes they must lie between 0 and {count - 1}"
        )
    if not 2 <= count <= MOST_CLASSES:
        raise DataError(f"{name} has {count} classes; it must have between 2 and {MOST_CLASSES}")
    names = tuple(str(c) for c in (range(count) if classes is None else classes))
    rng = np.random.default_rng(0)
    parts: list[list[Labels]] = [[], [], []]
    for label in range(count):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if len(rows) < 3:
            raise DataError(
                f"class '{names[label]}' of {name} has {len(rows)} images; it must have at least "
                "3, for training, validation and test"
            )
        fifth = max(1, round(len(rows) / 5))
        for part, share in zip(parts, np.split(rows, [fifth, 2 * fifth]), strict=True):
            part.append(share)
    test, validation, train = (rng.permutation(np.concatenate(part)) for part in parts)
    return Dataset(name, images, labels.astype(np.int64), names, train, validation, test)
