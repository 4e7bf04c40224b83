import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evonas.problems.split_cnn.quantise import SMALLEST_RANGE, Quantiser

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 5))


def features(shape, seed, spread=1.0, batch=7):
    rng = np.random.default_rng(seed)
    centre = spread * rng.standard_normal((shape[0], 1, 1))
    width = np.exp(spread * rng.standard_normal((shape[0], 1, 1)))
    return torch.from_numpy((centre + width * rng.standard_normal((batch, *shape))).astype("f"))


@given(SHAPES, st.integers(0, 1000), st.sampled_from([8, 4]))
def test_rounding_moves_a_value_within_the_range_by_half_a_step_at_most(shape, seed, bits):
    x = features(shape, seed)
    quantiser = Quantiser.calibrate(x, bits)
    back = quantiser.dequantise(quantiser.quantise(x))
    step = quantiser.step.reshape(-1, 1, 1)
    # Zero has a level of its own, so the range may end up to half a step off its extremes.
    assert bool(((back - x).abs() <= step * (1 + 1e-3)).all())
    inner = (x > x.amin(dim=(0, 2, 3), keepdim=True) + step) & (
        x < x.amax(dim=(0, 2, 3), keepdim=True) - step
    )
    assert bool((((back - x).abs() <= step * (0.5 + 1e-3)) | ~inner).all())
    levels = quantiser.unpack(quantiser.quantise(x))
    torch.testing.assert_close(quantiser.levels(back), levels, rtol=0, atol=0)


@given(SHAPES, st.integers(0, 1000), st.sampled_from([32, 16, 8, 4]))
def test_the_payload_is_as_many_bytes_as_it_says(shape, seed, bits):
    x = features(shape, seed)
    quantiser = Quantiser.without_ranges(bits, x.shape[1:])
    if bits < 16:
        quantiser = Quantiser.calibrate(x, bits)
    payload = quantiser.quantise(x).numpy()
    assert payload.shape[1:] == quantiser.payload_shape
    assert payload[0].nbytes == quantiser.payload_bytes == -(-bits * np.prod(shape) // 8)
    assert payload.dtype == quantiser.dtype
    assert payload.flags["C_CONTIGUOUS"]


@given(SHAPES, st.integers(0, 1000))
def test_nibbles_come_back_as_they_went(shape, seed):
    quantiser = Quantiser.calibrate(features(shape, seed), 4)
    x = features(shape, seed + 1)
    levels = quantiser.unpack(quantiser.quantise(x))
    assert levels.shape == x.shape
    torch.testing.assert_close(levels, quantiser.levels(x), rtol=0, atol=0)


def test_the_first_half_is_in_the_high_nibbles():
    quantiser = Quantiser(4, (1, 1, 3), torch.ones(1), torch.zeros(1, dtype=torch.uint8))
    payload = quantiser.quantise(torch.tensor([[[[1.0, 2.0, 15.0]]]]))
    assert payload.tolist() == [[0x1F, 0x20]]


def test_ties_round_to_even_and_what_is_out_of_range_is_clipped():
    quantiser = Quantiser(8, (1, 1, 7), torch.tensor([2.0]), torch.tensor([10], dtype=torch.uint8))
    x = torch.tensor([[[[1.0, 3.0, 5.0, -1.0, 0.0, -1e9, 1e9]]]])
    payload = quantiser.quantise(x)
    assert payload.flatten().tolist() == [10, 12, 12, 10, 10, 0, 255]
    assert quantiser.dequantise(payload).flatten().tolist() == [0, 4, 4, 0, 0, -20, 490]


@pytest.mark.parametrize("bits", [8, 4])
def test_zero_stays_zero(bits):
    x = features((3, 2, 2), 5, spread=3.0)
    quantiser = Quantiser.calibrate(x, bits)
    zero = torch.zeros(1, 3, 2, 2)
    assert not quantiser.dequantise(quantiser.quantise(zero)).any()


@pytest.mark.parametrize("bits", [8, 4])
def test_a_constant_channel_does_not_get_steps_of_rounding_noise(bits):
    x = torch.stack([torch.zeros(4, 2, 2), torch.linspace(-1, 1, 16).reshape(4, 2, 2)], dim=1)
    quantiser = Quantiser.calibrate(x, bits)
    assert quantiser.step.tolist() == pytest.approx(
        [2 * SMALLEST_RANGE / (2**bits - 1), 2 / (2**bits - 1)]
    )
    blank = Quantiser.calibrate(torch.zeros(4, 1, 2, 2), bits)
    assert not blank.dequantise(blank.quantise(torch.zeros(1, 1, 2, 2))).any()


def test_floats_cross_as_they_are():
    x = features((2, 3, 3), 0)
    whole, half = (Quantiser.without_ranges(bits, (2, 3, 3)) for bits in (32, 16))
    torch.testing.assert_close(whole.dequantise(whole.quantise(x)), x, rtol=0, atol=0)
    back = half.dequantise(half.quantise(x))
    torch.testing.assert_close(back, x, rtol=2**-11, atol=1e-7)


@pytest.mark.parametrize("bits", [32, 16, 8, 4])
def test_its_description_is_json(bits):
    quantiser = Quantiser.calibrate(features((2, 3, 3), 0), 8 if bits > 8 else bits)
    described = Quantiser(bits, (2, 3, 3), quantiser.step, quantiser.zero).describe()
    assert json.loads(json.dumps(described)) == described
    assert described["bits"] == bits
