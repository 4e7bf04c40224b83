import re

import numpy as np
import pytest
import torch

from evonas.errors import ConfigError, WorkError
from evonas.problems.split_cnn import training
from evonas.problems.split_cnn.architecture import SupernetConfig, largest, smallest
from evonas.problems.split_cnn.datasets import load
from evonas.problems.split_cnn.supernet import Supernet
from evonas.problems.split_cnn.training import TrainingSettings, random_architecture, train

TINY = SupernetConfig(image=(1, 8, 8), classes=2, channels=(16, 24), depths=(1, 2), stem=4)
QUICK = TrainingSettings(epochs=2, batch=8)


def halves(count, seed=0):
    """Noise that is brighter on the left (class 0) or on the right (class 1)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.uniform(0, 0.7, (count, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[:, :, 4 * label : 4 * label + 4] += 0.3
    return images, labels


def quiet(_):
    pass


def test_all_sub_networks_learn():
    images, labels = halves(64)
    arrays = train(TINY, images, labels, TrainingSettings(epochs=12, batch=16, shift=1), quiet)
    net = Supernet.load(TINY, arrays)
    fresh, truth = halves(64, seed=1)
    rng = np.random.default_rng(0)
    some = [random_architecture(TINY, rng) for _ in range(5)]
    for architecture in [largest(TINY), largest(TINY, 0.25), smallest(TINY), *some]:
        scores = net.subnet(architecture, torch.from_numpy(images)).run(torch.from_numpy(fresh))
        assert (scores.argmax(1).numpy() == truth).mean() >= 0.9


@pytest.mark.slow
def test_digits_are_learned_at_both_ends_of_the_knob():
    data = load("digits")
    (images, labels), (fresh, truth) = data.part("train"), data.part("validation")
    config = SupernetConfig(data.image, len(data.classes))
    # A fifth of the steps that the defaults take.
    net = Supernet.load(config, train(config, images, labels, TrainingSettings(epochs=6), quiet))
    for width, least in ((1.0, 0.985), (config.narrowest, 0.92)):
        subnet = net.subnet(largest(config, width), torch.from_numpy(images))
        found = subnet.run(torch.from_numpy(fresh)).argmax(1).numpy()
        assert (found == truth).mean() >= least


def test_the_seed_determines_the_weights():
    images, labels = halves(16)
    first, again = (train(TINY, images, labels, QUICK, quiet) for _ in range(2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    other = train(TINY, images, labels, TrainingSettings(epochs=2, batch=8, seed=1), quiet)
    assert not np.array_equal(first["stem.0.weight"], other["stem.0.weight"])


def test_training_leaves_the_global_generators_alone():
    images, labels = halves(16)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(TINY, images, labels, QUICK, quiet)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("image", "classes"),
    [((1, 8, 8), 2), ((1, 28, 28), 10), ((2, 9, 17), 3), ((3, 96, 64), 100), ((3, 224, 224), 1000)],
)
def test_any_image_size_trains_a_step(image, classes):
    config = SupernetConfig(image=image, classes=classes)
    rng = np.random.default_rng(0)
    images = rng.random((2, *image), np.float32)
    start = Supernet(config, torch.Generator().manual_seed(0)).arrays()
    arrays = train(config, images, np.array([0, classes - 1]), TrainingSettings(epochs=1), quiet)
    assert not np.array_equal(arrays["classifier_weight"], start["classifier_weight"])
    subnet = Supernet.load(config, arrays).subnet(smallest(config), torch.from_numpy(images))
    assert subnet.run(torch.from_numpy(images)).shape == (2, classes)


def test_progress_is_reported(monkeypatch):
    monkeypatch.setattr(training, "REPORT_SECONDS", -1.0)
    lines = []
    train(TINY, *halves(16), QUICK, lines.append)
    assert [re.sub(r"\d+ s", "N s", line) for line in lines] == [
        f"training the supernet: {percent}%, N s left" for percent in (25, 50, 75, 100)
    ]
    assert lines[-1].endswith(" 0 s left")


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_is_set_and_put_back(monkeypatch, threads):
    monkeypatch.setattr(training, "REPORT_SECONDS", -1.0)
    before = torch.get_num_threads()
    seen = []
    settings = TrainingSettings(epochs=1, batch=8, threads=threads)
    train(TINY, *halves(16), settings, lambda _: seen.append(torch.get_num_threads()))
    assert set(seen) == {threads}
    assert torch.get_num_threads() == before


def test_weights_that_diverge_are_an_error():
    images, labels = halves(16)
    with pytest.raises(WorkError, match=r"diverged.*lower the learning rate"):
        train(TINY, images, labels, TrainingSettings(epochs=2, learning_rate=1e35), quiet)


def test_without_averaging_the_last_weights_are_returned():
    images, labels = halves(16)
    averaged = train(TINY, images, labels, QUICK, quiet)
    last = train(TINY, images, labels, TrainingSettings(epochs=2, batch=8, average=0), quiet)
    assert not np.array_equal(averaged["stem.0.weight"], last["stem.0.weight"])


@pytest.mark.parametrize("most", [0, 1, 3])
def test_shifted_images_keep_what_stays_inside(most):
    # One bright pixel, far enough from the border to stay inside.
    images = torch.zeros(200, 2, 9, 10)
    images[:, 0, 4, 5], images[:, 1, 4, 5] = 1.0, 2.0
    shifted = training._shifted(images, most, np.random.default_rng(0))
    assert shifted.shape == images.shape
    assert torch.equal(shifted.sum((2, 3)), images.sum((2, 3)))
    where = torch.nonzero(shifted[:, 0])[:, 1:] - torch.tensor([4, 5])
    # Each shift occurs, and both channels move together.
    expected = set(range(-most, most + 1))
    assert {int(r) for r in where[:, 0]} == {int(c) for c in where[:, 1]} == expected
    assert torch.equal(shifted[:, 1], 2 * shifted[:, 0])


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there(device):
    with pytest.raises(ConfigError, match=f"device '{device}' cannot be used"):
        train(TINY, *halves(16), QUICK, quiet, device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_a_cuda_device():
    arrays = train(TINY, *halves(16), QUICK, quiet, "cuda")
    assert all(np.isfinite(array).all() for array in arrays.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "'epochs' is 0; it must be at least 1"),
        ({"batch": 1}, "'batch' is 1; it must be at least 2"),
        ({"learning_rate": -1.0}, "'learning_rate' is -1.0; it must be at least 0"),
        ({"weight_decay": float("nan")}, "'weight_decay' is nan"),
        ({"distillation": 1.5}, "'distillation' is 1.5; it must be at least 0 and at most 1"),
        ({"label_smoothing": 1.1}, "'label_smoothing' is 1.1"),
        ({"average": 2}, "'average' is 2"),
        ({"threads": 0}, "'threads' is 0"),
        ({"shift": -1}, "'shift' is -1"),
        ({"seed": -1}, "'seed' is -1"),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(ConfigError, match=message):
        TrainingSettings(**change)
