import threading
from dataclasses import replace

import numpy as np
import pytest

from evonas.errors import ConfigError
from evonas.problems.split_cnn import training, weights
from evonas.problems.split_cnn.architecture import SupernetConfig
from evonas.problems.split_cnn.datasets import Dataset
from evonas.problems.split_cnn.training import TrainingSettings
from evonas.problems.split_cnn.weights import cache_folder, key, load_or_train

CONFIG = SupernetConfig(image=(1, 8, 8), classes=2, channels=(16,), depths=(1, 1), stem=4)
SETTINGS = TrainingSettings(epochs=1, batch=4)


def dataset(seed=0):
    images = np.random.default_rng(seed).random((8, 1, 8, 8), np.float32)
    rows = np.arange(8)
    return Dataset("random", images, rows % 2, ("a", "b"), rows[:4], rows[4:6], rows[6:])


DATA = dataset()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a list that grows with each training."""
    monkeypatch.setenv("EVONAS_CACHE", str(tmp_path / "cache"))
    trainings = []

    def counted(*arguments):
        trainings.append(arguments)
        return training.train(*arguments)

    monkeypatch.setattr(weights, "train", counted)
    return trainings


def load(report=lambda line: None, **change):
    arguments = {"config": CONFIG, "dataset": DATA, "settings": SETTINGS} | change
    return load_or_train(**arguments, report=report)


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_weights_are_trained_once(cache):
    lines = []
    first = load()
    assert same(load(lines.append), first)
    assert len(cache) == 1
    assert lines == ["the supernet's weights are in the cache"]
    load(settings=replace(SETTINGS, seed=1))
    assert len(cache) == 2


def test_training_sees_the_training_part_only(cache):
    load()
    _, images, labels, *_ = cache[0]
    assert np.array_equal(images, DATA.images[DATA.train])
    assert np.array_equal(labels, DATA.labels[DATA.train])


def test_the_key_follows_everything_that_matters(monkeypatch, tmp_path):
    keys = [
        key(CONFIG, DATA, SETTINGS, "cpu"),
        key(replace(CONFIG, stem=8), DATA, SETTINGS, "cpu"),
        key(CONFIG, dataset(seed=1), SETTINGS, "cpu"),
        key(CONFIG, DATA, replace(SETTINGS, shift=1), "cpu"),
        key(CONFIG, DATA, SETTINGS, "cuda"),
    ]
    changed = tmp_path / "training.py"
    changed.write_text("another source")
    with monkeypatch.context() as patch:
        patch.setattr(training, "__file__", str(changed))
        keys.append(key(CONFIG, DATA, SETTINGS, "cpu"))
    with monkeypatch.context() as patch:
        patch.setattr("torch.__version__", "another version")
        keys.append(key(CONFIG, DATA, SETTINGS, "cpu"))
    assert len(set(keys)) == len(keys)
    # What is scored, and not trained on, does not matter.
    other = replace(DATA, name="other", images=DATA.images.copy())
    other.images[DATA.validation] = other.images[DATA.test] = 0
    assert key(CONFIG, other, SETTINGS, "cpu") == keys[0]


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


def damage_flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def damage_text(path):
    path.write_text("not an archive")


def damage_empty(path):
    path.write_bytes(b"")


def damage_one_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def damage_missing_array(path):
    np.savez(path, x=np.zeros(3, np.float32))


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncate,
        damage_flip,
        damage_text,
        damage_empty,
        damage_one_array,
        damage_missing_array,
    ],
)
def test_a_damaged_file_is_trained_again_and_replaced(cache, damage):
    first = load()
    (path,) = cache_folder().glob("*.npz")
    damage(path)
    assert same(load(), first)
    assert len(cache) == 2
    assert same(load(), first)
    assert len(cache) == 2


def test_an_interrupted_training_leaves_no_file(cache, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(weights, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load()
    assert not list(cache_folder().glob("*.npz"))
    # And no lock.
    load()
    assert len(cache) == 1


def test_two_at_a_time_train_once(cache, monkeypatch):
    waiting = threading.Event()
    counted = weights.train

    def slow(*arguments):
        # Goes on when the other one is known to wait.
        assert waiting.wait(60)
        return counted(*arguments)

    monkeypatch.setattr(weights, "train", slow)
    results = []

    def report(line):
        if "waiting" in line:
            waiting.set()

    threads = [threading.Thread(target=lambda: results.append(load(report))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache) == 1
    assert same(*results)


def test_a_cache_that_cannot_be_written_to(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("EVONAS_CACHE", str(file))
    with pytest.raises(ConfigError, match=f"cache folder '{file}' cannot be written to"):
        load()


def test_a_full_disk_does_not_undo_the_training(cache, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    lines = []
    monkeypatch.setattr(weights.np, "savez", full)
    first = load(lines.append)
    assert "cannot be kept, and are trained again next time: [Errno 28]" in lines[-1]
    assert not list(cache_folder().glob("*.npz"))
    assert same(load(), first)
    assert len(cache) == 2


def test_the_user_s_cache_folder_is_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv("EVONAS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().name == "evonas"
    monkeypatch.setenv("EVONAS_CACHE", "~/kept")
    assert "~" not in str(cache_folder())
