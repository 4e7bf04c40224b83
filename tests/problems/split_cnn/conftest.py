"""Networks with random weights, shared by the tests of what is done with a network."""

import numpy as np
import pytest
import torch

from evonas.problems.split_cnn.subnet import Block, Classifier, Conv, SubNet


def random_conv(rng, inputs, outputs, kernel=1, *, stride=1, groups=1, relu=True):
    shape = (outputs, inputs // groups, kernel, kernel)
    scale = np.sqrt((2 if relu else 1) / np.prod(shape[1:]))
    weight = (scale * rng.standard_normal(shape)).astype(np.float32)
    bias = (0.2 * rng.standard_normal(outputs)).astype(np.float32)
    return Conv(weight, bias, stride, groups, relu)


def random_subnet(seed=0, image=(1, 12, 10), channels=(8, 12), classes=5, depth=2):
    """A stem, two stages of inverted residual blocks, a classifier."""
    rng = np.random.default_rng(seed)
    inputs = channels[0]
    blocks = [Block("stem", (random_conv(rng, image[0], inputs, 3, stride=2),), residual=False)]
    for stage, outputs in enumerate(channels):
        for index in range(depth):
            stride = 2 if stage and not index else 1
            hidden = 3 * outputs
            convs = (
                random_conv(rng, inputs, hidden),
                random_conv(rng, hidden, hidden, 3 + 2 * stage, stride=stride, groups=hidden),
                random_conv(rng, hidden, outputs, relu=False),
            )
            residual = stride == 1 and inputs == outputs
            blocks.append(Block(f"stage{stage + 1}_block{index + 1}", convs, residual))
            inputs = outputs
    weight = rng.standard_normal((classes, inputs)).astype(np.float32)
    bias = rng.standard_normal(classes).astype(np.float32)
    return SubNet(image, tuple(blocks), Classifier("classifier", weight, bias))


@pytest.fixture(scope="session")
def subnet():
    return random_subnet()


@pytest.fixture(scope="session")
def images(subnet):
    rng = np.random.default_rng(1)
    return torch.from_numpy(rng.random((40, *subnet.input_shape), np.float32))


@pytest.fixture(scope="session")
def make_subnet():
    return random_subnet
