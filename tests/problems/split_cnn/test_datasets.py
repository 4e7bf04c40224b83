import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evonas.errors import DataError
from evonas.problems.split_cnn.datasets import load, resize

RNG = np.random.default_rng(0)


def save_npz(path, **arrays):
    np.savez(path, **arrays)
    return f"npz:{path}"


def pixels(count=12, shape=(8, 9)):
    return RNG.integers(0, 256, (count, *shape), dtype=np.uint8)


def labels(count=12, classes=2):
    return np.arange(count) % classes


def check(data):
    """What holds for every dataset."""
    assert data.images.dtype == np.float32
    assert data.images.min() >= 0
    assert data.images.max() <= 1
    assert data.labels.dtype == np.int64
    rows = np.concatenate([data.train, data.validation, data.test])
    assert sorted(rows) == list(range(len(data.images)))
    for part in ("train", "validation", "test"):
        images, labels = data.part(part)
        assert images.shape == (len(labels), *data.image)
        assert set(labels) == set(range(len(data.classes)))


def test_digits():
    data = load("digits")
    check(data)
    assert data.image == (1, 32, 32)
    assert len(data.images) == 1797
    for label in range(10):
        total = (data.labels == label).sum()
        for rows, share in ((data.train, 0.6), (data.validation, 0.2), (data.test, 0.2)):
            assert abs((data.labels[rows] == label).sum() - share * total) <= 1
    # The first training images calibrate: they must be a fair sample of the classes.
    assert np.bincount(data.labels[data.train[:256]], minlength=10).min() >= 10
    assert load("digits").fingerprint == data.fingerprint
    assert load("digits", (16, 16)).image == (1, 16, 16)


@given(st.lists(st.integers(3, 40), min_size=2, max_size=6))
def test_parts_are_stratified(tmp_path_factory, counts):
    given_labels = np.repeat(np.arange(len(counts)), counts)
    path = tmp_path_factory.mktemp("data") / "data.npz"
    data = load(save_npz(path, images=pixels(len(given_labels)), labels=given_labels))
    check(data)
    for label, count in enumerate(counts):
        for rows in (data.validation, data.test):
            assert (data.labels[rows] == label).sum() == max(1, round(count / 5))


@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 3), (8, 9, 1), (3, 8, 9), (5, 8, 9)])
def test_npz_layouts(tmp_path, shape):
    images = pixels(shape=shape)
    data = load(save_npz(tmp_path / "data.npz", images=images, labels=labels()))
    check(data)
    expected = images[:, None] if images.ndim == 3 else images
    if expected.shape[-1] <= 4:
        expected = np.moveaxis(expected, -1, 1)
    np.testing.assert_allclose(data.images, expected / 255, rtol=1e-6)


def test_npz_names_and_floats(tmp_path):
    images = RNG.random((12, 8, 8))
    names = np.array(["cat", "dog"])
    data = load(save_npz(tmp_path / "a.npz", images=images, labels=labels(), classes=names))
    assert data.classes == ("cat", "dog")
    np.testing.assert_allclose(data.images[:, 0], images, rtol=1e-6)


def test_the_fingerprint_follows_the_training_data(tmp_path):
    images = pixels()
    data = load(save_npz(tmp_path / "a.npz", images=images, labels=labels()))
    changed = {}
    for part in ("train", "test"):
        other = images.copy()
        other[getattr(data, part)[0]] ^= 255
        changed[part] = load(save_npz(tmp_path / f"{part}.npz", images=other, labels=labels()))
    assert changed["train"].fingerprint != data.fingerprint
    assert changed["test"].fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": labels()}, "has no array 'images'"),
        ({"images": pixels(), "label": labels()}, "no array 'labels'; did you mean 'label'"),
        ({"images": pixels(shape=(8,)), "labels": labels()}, r"shape \(12, 8\); it must be"),
        ({"images": pixels(0), "labels": labels(0)}, r"shape \(0, 8, 9\); it must be"),
        ({"images": pixels(shape=(8, 9, 0)), "labels": labels()}, r"\(12, 8, 9, 0\); it must be"),
        ({"images": np.full((12, 8, 8), "dark"), "labels": labels()}, "has the type <U4; it must"),
        ({"images": pixels(shape=(7, 7)), "labels": labels()}, "smallest size is 8x8"),
        ({"images": pixels(), "labels": labels(11)}, "it must hold 12 whole numbers"),
        ({"images": pixels(), "labels": labels() / 2}, "type float64; it must hold 12 whole"),
        ({"images": pixels(), "labels": labels() - 1}, "run from -1 to 0"),
        ({"images": pixels(), "labels": labels() * 0}, "has 1 classes; it must have between 2"),
        ({"images": pixels(), "labels": labels() * 5000}, "has 5001 classes"),
        ({"images": pixels(), "labels": labels() * 2}, "class '1' .* has 0 images"),
        (
            {"images": pixels(), "labels": labels(classes=3), "classes": np.array(["a", "b"])},
            "run from 0 to 2; with 2 classes",
        ),
        ({"images": pixels() * 1.0, "labels": labels()}, "uint8, or floats from 0 to 1"),
        ({"images": pixels().astype(np.int32), "labels": labels()}, "type int32"),
        ({"images": np.full((12, 8, 8), np.nan), "labels": labels()}, "without NaN"),
        ({"images": pixels(5), "labels": labels(5)}, "class '1' .* has 2 images; .* at least 3"),
    ],
)
def test_bad_arrays(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        load(save_npz(tmp_path / "data.npz", **arrays))


def test_files_that_are_no_archives(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        load(f"npz:{tmp_path / 'none.npz'}")
    text = tmp_path / "text.npz"
    text.write_text("not an archive")
    array = tmp_path / "array.npz"
    with array.open("wb") as file:
        np.save(file, pixels())
    objects = tmp_path / "objects.npz"
    np.savez(objects, images=np.array([{}], dtype=object), labels=labels())
    whole = tmp_path / "whole.npz"
    np.savez(whole, images=pixels(), labels=labels())
    cut = tmp_path / "cut.npz"
    cut.write_bytes(whole.read_bytes()[:-100])
    for file in (text, array, objects, cut):
        with pytest.raises(DataError, match=f"'{file}' is not a readable .npz file"):
            load(f"npz:{file}")


@pytest.fixture
def folder(tmp_path):
    """Two classes of four images."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index, image in enumerate(pixels(4, (10, 12, 3))):
            Image.fromarray(image).save(tmp_path / name / f"{index}.png")
    return tmp_path


def test_folder(folder):
    (folder / "cat" / "notes.txt").write_text("no image")
    (folder / "README.md").write_text("no image")
    (folder / ".hidden").mkdir()
    (folder / "dog" / "deeper").mkdir()
    data = load(f"folder:{folder}")
    check(data)
    assert data.classes == ("cat", "dog")
    assert data.image == (3, 10, 12)
    first = np.asarray(Image.open(folder / "cat" / "0.png"))
    np.testing.assert_allclose(data.images[0], first.transpose(2, 0, 1) / 255, rtol=1e-6)


def test_folder_of_grey_images_has_one_channel_unless_one_has_colour(folder):
    for file in folder.rglob("*.png"):
        Image.open(file).convert("L").save(file)
    assert load(f"folder:{folder}").image == (1, 10, 12)
    Image.fromarray(pixels(1, (10, 12, 3))[0]).save(folder / "cat" / "0.png")
    data = load(f"folder:{folder}")
    assert data.image == (3, 10, 12)
    assert np.array_equal(data.images[1, 0], data.images[1, 2])


def test_a_folder_that_is_missing_is_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"no folder '{tmp_path / 'photos'}'"):
        load("folder:photos")


def test_folder_of_several_sizes(folder):
    Image.fromarray(pixels(1, (20, 9, 3))[0]).save(folder / "dog" / "0.png")
    with pytest.raises(DataError, match=r"0\.png has .* \(3, 20, 9\) .* must agree, .*image_size"):
        load(f"folder:{folder}")
    data = load(f"folder:{folder}", (16, 14))
    check(data)
    assert data.image == (3, 16, 14)
    with pytest.raises(DataError, match="smallest size is 8x8"):
        load(f"folder:{folder}", (4, 4))


def test_sixteen_bits_are_scaled_not_clipped(folder):
    values = RNG.integers(0, 2**16, (10, 12), dtype=np.uint16)
    for file in folder.rglob("*.png"):
        Image.fromarray(values).save(file)
    data = load(f"folder:{folder}")
    assert data.image == (1, 10, 12)
    np.testing.assert_allclose(data.images[0, 0], values / 65535, rtol=1e-6)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_an_image_of_32_bits_is_refused(folder, kind):
    file = folder / "cat" / "4.tiff"
    Image.fromarray(np.zeros((10, 12), kind)).save(file)
    with pytest.raises(DataError, match=r"image '.*4\.tiff' has pixels of 32 bits; it must have 8"):
        load(f"folder:{folder}")


def test_a_broken_image_is_named(folder):
    file = folder / "dog" / "2.png"
    whole = file.read_bytes()
    for broken in (b"", b"no image", whole[:60], whole[:20] + whole[40:]):
        file.write_bytes(broken)
        with pytest.raises(DataError, match=f"image '{file}' cannot be read"):
            load(f"folder:{folder}")


def test_folders_that_are_no_data(folder, tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        load(f"folder:{tmp_path / 'none'}")
    with pytest.raises(DataError, match="a folder of images for each class; it has none"):
        load(f"folder:{folder / 'cat'}")
    for file in (folder / "dog").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"class 'dog' .* has 0 images"):
        load(f"folder:{folder}")
    for file in (folder / "cat").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"folders cat, dog in .* hold no images; name the folder"):
        load(f"folder:{folder}")


MODULE = """
    import numpy as np, torch
    from PIL import Image

    class Pairs(torch.utils.data.Dataset):
        classes = ["a", "b"]
        def __init__(self, make=lambda i: torch.full((1, 8, 8), i / 12), count=12):
            self.make, self.count = make, count
        def __len__(self):
            return self.count
        def __getitem__(self, index):
            return self.make(index), torch.tensor(index % 2)

    ready = Pairs()
    class Unnamed(Pairs):
        classes = 2
    pictures = Pairs(lambda i: Image.new("RGB", (9, 8), (20 * i, 0, 0)))
    colours = Pairs(lambda i: Image.new("RGB", (9, 8), (20 * i, 0, 0)).quantize())
    deep = Pairs(lambda i: Image.new("I;16", (9, 8), 5000 * i))
    listed = [(np.full((8, 8, 3), i / 12), i % 2) for i in range(12)]
    def factory():
        return ready
    def fails():
        raise RuntimeError("no disk")
    sizes = Pairs(lambda i: torch.zeros(1, 8 + i % 2, 8))
    channels = Pairs(lambda i: torch.zeros(1 + 2 * (i % 2), 8, 8))
    normalised = Pairs(lambda i: torch.full((1, 8, 8), -1.0))
    flat = Pairs(lambda i: torch.zeros(64))
    hollow = Pairs(lambda i: torch.zeros(0, 8, 8))
    floats = Pairs(lambda i: Image.new("F", (9, 8)))
    single = [torch.zeros(1, 8, 8)]
    empty = []
    number = 3
    words = [(np.zeros((8, 8)), "cat")] * 12
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module in the working directory."""
    (tmp_path / "own_data.py").write_text(textwrap.dedent(MODULE))
    (tmp_path / "own_broken.py").write_text("import no_such_package")
    monkeypatch.chdir(tmp_path)
    yield "own_data"
    sys.modules.pop("own_data", None)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("ready", (1, 8, 8)),
        ("Pairs", (1, 8, 8)),
        ("factory", (1, 8, 8)),
        ("Unnamed", (1, 8, 8)),
        ("pictures", (3, 8, 9)),
        ("colours", (3, 8, 9)),
        ("deep", (1, 8, 9)),
        ("listed", (3, 8, 8)),
    ],
)
def test_modules(module, name, image):
    path = list(sys.path)
    data = load(f"module:{module}:{name}")
    check(data)
    assert data.image == image
    assert data.classes == (("0", "1") if name in ("listed", "Unnamed") else ("a", "b"))
    assert sys.path == path


def test_a_palette_is_looked_up(module):
    data = load(f"module:{module}:colours")
    np.testing.assert_array_equal(data.images, load(f"module:{module}:pictures").images)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("readdy", "has no 'readdy'; did you mean 'ready'"),
        ("fails", "fails at item 0: RuntimeError: no disk"),
        ("sizes", r"item 1 of .* \(1, 9, 8\) and item 0 .* must agree, or be resized .*image_size"),
        ("channels", r"item 1 of .* \(3, 8, 8\) and item 0 .* must agree$"),
        ("normalised", r"item 0 of .* values from -1\.0 to -1\.0; it must be"),
        ("flat", r"item 0 of .* shape \(64,\)"),
        ("hollow", r"item 0 of .* shape \(0, 8, 8\); an image has"),
        ("floats", "item 0 of .* has pixels of 32 bits"),
        ("single", "fails at item 0: .*pairs of image and label"),
        ("empty", "is empty"),
        ("number", "fails at item 0: TypeError"),
        ("words", "fails at item 0: ValueError"),
    ],
)
def test_bad_datasets(module, name, message):
    with pytest.raises(DataError, match=message):
        load(f"module:{module}:{name}")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("module:own_broken:x", "module 'own_broken' does not import: ModuleNotFoundError"),
        ("module:no_such_module:x", "module 'no_such_module' does not import"),
        ("module:own_data", "'own_data' is no import path"),
        ("folders:x", "did you mean 'folder'"),
        ("digits:x", "it must be 'digits', 'folder:PATH'"),
        ("npz", "it must be 'digits', 'folder:PATH'"),
        ("", "it must be 'digits', 'folder:PATH'"),
    ],
)
def test_bad_specs(module, spec, message):
    with pytest.raises(DataError, match=message):
        load(spec)


def test_resizing_keeps_constants_and_averages():
    images = np.full((2, 1, 8, 8), 0.3, np.float32)
    np.testing.assert_allclose(resize(images, (16, 12)), 0.3, rtol=1e-6)
    checkerboard = np.indices((16, 16)).sum(0)[None, None].astype(np.float32) % 2
    np.testing.assert_allclose(resize(checkerboard, (8, 8)).mean(), 0.5, atol=0.05)
