import numpy as np
import pytest

from evonas.problems.split_cnn import layers
from evonas.problems.split_cnn.quantise import Quantiser
from evonas.problems.split_cnn.split import Split


def split_at(subnet, cut, bits=32):
    return Split(subnet, cut, Quantiser.without_ranges(bits, subnet.shapes[cut]))


def test_head_and_tail_share_what_the_network_does(subnet):
    whole = np.array(layers.head(split_at(subnet, subnet.last_cut)))
    multiply_adds = whole[[1, 4, 7, 10, 14]].sum()
    assert multiply_adds == pytest.approx(sum(subnet.macs) / 1e6)
    assert whole[[0, 3, 6, 9]].sum() == sum(len(block.convs) for block in subnet.blocks)
    assert whole[15] == pytest.approx(sum(subnet.params) / 1e6)
    for cut in range(subnet.last_cut + 1):
        split = split_at(subnet, cut)
        np.testing.assert_allclose(np.add(layers.head(split), layers.tail(split)), whole)


def test_what_the_payload_costs_is_told_apart(subnet):
    split = split_at(subnet, 2, bits=16)
    thousands = np.prod(subnet.shapes[2]) / 1e3
    assert layers.head(split)[-3:] == layers.tail(split)[-3:] == [thousands, 0, 0]
    assert layers.head(split_at(subnet, subnet.last_cut))[-3:] == [0, 0, 0]
