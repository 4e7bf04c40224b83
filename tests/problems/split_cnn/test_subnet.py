import itertools
import pickle

import numpy as np
import torch

from evonas.problems.split_cnn.subnet import Block, Classifier, Conv, SubNet


def ones(outputs, inputs, kernel=1, *, stride=1, groups=1, relu=False):
    shape = (outputs, inputs // groups, kernel, kernel)
    return Conv(np.ones(shape, np.float32), np.zeros(outputs, np.float32), stride, groups, relu)


def test_every_cut_composes_to_the_whole_network(subnet, images):
    whole = subnet.run(images)
    for cut in range(subnet.last_cut + 1):
        features = subnet.run(images, 0, cut)
        assert tuple(features.shape[1:]) == subnet.shapes[cut]
        torch.testing.assert_close(subnet.run(features, cut), whole)


def test_a_network_of_ones_counts_what_it_sees():
    stem = Block("stem", (ones(2, 1, kernel=3, stride=2),), residual=False)
    block = Block("block", (ones(3, 2), ones(3, 3, kernel=3, groups=3), ones(2, 3)), residual=True)
    classifier = Classifier("classifier", np.ones((2, 2), np.float32), np.array([0, 1], np.float32))
    net = SubNet((1, 4, 4), (stem, block), classifier)

    # The stem sees 2x2, 2x3, 3x2 and 3x3 pixels at its four places.
    seen = torch.tensor([[4.0, 6.0], [6.0, 9.0]])
    found = net.run(torch.ones(1, 1, 4, 4), 0, 1)
    torch.testing.assert_close(found, seen.expand(1, 2, 2, 2))
    # The depthwise layer sums all four places, of each the two channels; then three channels sum.
    found = net.run(found, 1, 2)
    torch.testing.assert_close(found, (seen + 2 * 25 * 3).expand(1, 2, 2, 2))
    mean = float(seen.mean()) + 150
    torch.testing.assert_close(net.run(found, 2), torch.tensor([[2 * mean, 2 * mean + 1]]))

    assert net.shapes == ((1, 4, 4), (2, 2, 2), (2, 2, 2), (2,))
    assert net.macs == (2 * 9 * 4, (2 * 3 + 9 * 3 + 3 * 2) * 4, 4)
    assert net.params == (2 * 9 + 2, 2 * 3 + 3 + 9 * 3 + 3 + 3 * 2 + 2, 6)
    # The image; weights, image and stem's output; the block's depthwise layer with the kept input.
    assert net.head_memory_bytes(0) == 4 * 16
    assert net.head_memory_bytes(1) == 4 * (20 + 16 + 8)
    assert net.head_memory_bytes(2) == 4 * (20 + 47 + 8 + 12 + 12)
    assert net.head_memory_bytes(3) == 4 * (20 + 47 + 6 + 8 + 12 + 12)


def test_relu_cuts_what_is_negative():
    conv = Conv(-np.ones((1, 1, 1, 1), np.float32), np.ones(1, np.float32), 1, 1, relu=True)
    net = SubNet((1, 1, 2), (Block("b", (conv,), False),), Classifier("", *2 * (np.ones((1, 1)),)))
    assert net.run(torch.tensor([[[[0.25, 3.0]]]]), 0, 1).tolist() == [[[[0.75, 0.0]]]]


def test_a_longer_head_needs_more_memory(subnet):
    memory = [subnet.head_memory_bytes(cut) for cut in range(subnet.last_cut + 1)]
    assert all(a < b for a, b in itertools.pairwise(memory))


def test_it_travels_to_another_process(subnet, images):
    copy = pickle.loads(pickle.dumps(subnet))
    torch.testing.assert_close(copy.run(images), subnet.run(images), rtol=0, atol=0)
