import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evonas.errors import DataError
from evonas.problems.split_cnn.architecture import Architecture, SupernetConfig, largest, smallest
from evonas.problems.split_cnn.supernet import CALIBRATION_IMAGES, Supernet

CONFIG = SupernetConfig()
MIDDLE = Architecture((2, 2, 2), (3, 5, 3), (4, 3, 6), 0.6)
# Small enough for many examples.
SMALL = SupernetConfig(image=(2, 8, 8), classes=3, channels=(16, 24), depths=(1, 2), stem=4)


def random_net(config):
    return Supernet(config, torch.Generator().manual_seed(0))


def random_images(config, count):
    return torch.rand(count, *config.image, generator=torch.Generator().manual_seed(1))


@st.composite
def architectures(draw, config=SMALL):
    n = config.stages
    return Architecture(
        tuple(draw(st.lists(st.integers(*config.depths), min_size=n, max_size=n))),
        tuple(draw(st.lists(st.sampled_from(config.kernels), min_size=n, max_size=n))),
        tuple(draw(st.lists(st.sampled_from(config.expansions), min_size=n, max_size=n))),
        draw(st.floats(config.narrowest, 1.0)),
    )


def closed_form(architecture, config):
    """Multiply-accumulates and parameters by the formulas of the layers."""
    outer = config.outer(architecture.width)
    side = config.image[1]
    macs = params = 0

    def add(outputs, per_output, stride=1):
        nonlocal side, macs, params
        side = math.ceil(side / stride)
        macs += outputs * per_output * side**2
        params += outputs * (per_output + 1)

    add(config.stem, 9 * config.image[0], config.strides[0])
    add(outer[0], 9 * config.stem, config.strides[1])
    inputs = outer[0]
    for stage, outputs in enumerate(outer):
        hidden = architecture.expansions[stage] * config.channels[stage] // 4
        for block in range(architecture.depths[stage]):
            add(hidden, inputs)
            add(hidden, architecture.kernels[stage] ** 2, config.strides[2 + stage] ** (block == 0))
            add(outputs, hidden)
            inputs = outputs
    macs += inputs * config.classes
    params += (inputs + 1) * config.classes
    return macs, params


def r_squared(x, y):
    return np.corrcoef(x, y)[0, 1] ** 2


@pytest.mark.parametrize("base", [smallest(CONFIG), MIDDLE, largest(CONFIG)])
def test_cost_is_linear_in_the_knob(base):
    net, images = random_net(CONFIG), random_images(CONFIG, 2)
    knob = np.linspace(CONFIG.narrowest, 1.0, 16)
    macs, params, payload = [], [], []
    for width in knob:
        architecture = Architecture(base.depths, base.kernels, base.expansions, float(width))
        subnet = net.subnet(architecture, images)
        assert (sum(subnet.macs), sum(subnet.params)) == closed_form(architecture, CONFIG)
        macs.append(sum(subnet.macs))
        params.append(sum(subnet.params))
        payload.append(math.prod(subnet.shapes[-2]))
    assert r_squared(knob, macs) >= 0.99
    assert r_squared(knob, params) >= 0.99
    assert r_squared(knob, payload) >= 0.99
    # Linear is not enough: the knob must also move the cost.
    assert macs[-1] > 2.5 * macs[0]


@given(architectures(), architectures())
def test_of_two_slices_one_is_a_corner_of_the_other(a, b):
    net = random_net(SMALL)
    mine = {block.name: block.layers for block in net.slices(a)}
    others = {block.name: block.layers for block in net.slices(b)}
    # Blocks are shared from the first on.
    for stage, depths in enumerate(zip(a.depths, b.depths, strict=True)):
        shared = {name for name in mine if name in others and name.startswith(f"stage{stage + 1}")}
        assert len(shared) == min(depths)
    for name in mine.keys() & others.keys():
        for layer, other in zip(mine[name], others[name], strict=True):
            outputs = min(layer.outputs, other.outputs)
            inputs = min(layer.weight.shape[1], other.weight.shape[1])
            kernel = min(layer.kernel, other.kernel)
            corners = []
            for weight in (layer.weight, other.weight):
                margin = (weight.shape[2] - kernel) // 2
                window = slice(margin, margin + kernel)
                corners.append(weight[:outputs, :inputs, window, window])
            assert torch.equal(*corners)
            # The same memory, not equal copies.
            assert layer.weight.untyped_storage().data_ptr() == (
                other.weight.untyped_storage().data_ptr()
            )


@given(architectures())
def test_training_a_slice_leaves_the_rest_alone(architecture):
    net = random_net(SMALL)
    net(random_images(SMALL, 8), architecture).square().sum().backward()
    used = {id(layer.conv): layer for block in net.slices(architecture) for layer in block.layers}
    for module in net.modules():
        layer = used.get(id(module))
        if layer is not None:
            gradient = layer.conv.weight.grad
            assert gradient[: layer.outputs, : layer.inputs].abs().sum() > 0
            assert gradient[layer.outputs :].abs().sum() == 0
            assert gradient[:, layer.weight.shape[1] :].abs().sum() == 0
        elif hasattr(module, "scale"):
            assert module.weight.grad is None


@settings(max_examples=25)
@given(architectures(), st.integers(8, 40))
def test_the_folded_network_computes_what_the_supernet_does(architecture, count):
    net, images = random_net(SMALL), random_images(SMALL, count)
    with torch.no_grad():
        scores = net(images, architecture)
    folded = net.subnet(architecture, images).run(images)
    torch.testing.assert_close(folded, scores, atol=1e-4, rtol=1e-3)


def test_the_statistics_are_those_of_the_calibration_images():
    net, images = random_net(CONFIG), random_images(CONFIG, CALIBRATION_IMAGES + 8)
    subnet = net.subnet(MIDDLE, images)
    first = subnet.blocks[0].convs[0]
    y = torch.nn.functional.conv2d(
        images[:CALIBRATION_IMAGES],
        torch.from_numpy(first.weight),
        torch.from_numpy(first.bias),
        stride=first.stride,
        padding=1,
    )
    # Normalised with weight 1 and bias 0: mean 0 and variance 1 over the images that are used.
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(16), atol=1e-4, rtol=0)
    torch.testing.assert_close(y.var((0, 2, 3)), torch.ones(16), atol=1e-3, rtol=0)


def test_blocks_add_their_input_exactly_when_the_shapes_agree():
    subnet = random_net(CONFIG).subnet(largest(CONFIG), random_images(CONFIG, 4))
    for index, block in enumerate(subnet.blocks[1:], start=1):
        assert block.residual == (subnet.shapes[index] == subnet.shapes[index + 1])


def test_weights_go_out_and_come_back():
    net = random_net(SMALL)
    arrays = net.arrays()
    loaded = Supernet.load(SMALL, arrays)
    assert all(np.array_equal(values, arrays[name]) for name, values in loaded.arrays().items())
    images = random_images(SMALL, 4)
    assert torch.equal(loaded(images, largest(SMALL)), net(images, largest(SMALL)))


def test_a_copy_has_weights_of_its_own():
    net, images = random_net(SMALL), random_images(SMALL, 4)
    before = net(images, largest(SMALL))
    copied = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.mul_(2)
    assert torch.equal(net(images, largest(SMALL)), before)
    assert not torch.allclose(copied(images, largest(SMALL)), before)
    other = Supernet.load(SMALL, copied.arrays())
    assert torch.equal(copied(images, largest(SMALL)), other(images, largest(SMALL)))


def test_weights_of_another_size_are_refused():
    arrays = random_net(SMALL).arrays()
    name = "stem.0.weight"
    with pytest.raises(DataError, match=f"lack array '{name}'"):
        Supernet.load(SMALL, {k: v for k, v in arrays.items() if k != name})
    with pytest.raises(DataError, match="unknown array 'x'"):
        Supernet.load(SMALL, {**arrays, "x": arrays[name]})
    with pytest.raises(DataError, match=r"shape \(1,\).*must have \(4, 2, 3, 3\)"):
        Supernet.load(SMALL, {**arrays, name: np.zeros(1, np.float32)})


@given(architectures())
def test_an_outline_has_the_sizes_of_the_sub_network(architecture):
    net = random_net(SMALL)
    whole, outline = net.subnet(architecture, random_images(SMALL, 4)), net.outline(architecture)
    assert outline.macs == whole.macs
    assert outline.params == whole.params
    assert outline.shapes == whole.shapes
    assert [block.residual for block in outline.blocks] == [b.residual for b in whole.blocks]
