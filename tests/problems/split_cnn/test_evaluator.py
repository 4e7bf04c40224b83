"""Images that score designs."""

import numpy as np

from evonas.problems.split_cnn.evaluator import shifted_copies


def test_images_are_filled_up_with_shifted_copies():
    images = np.arange(2 * 16, dtype=np.float32).reshape(2, 1, 4, 4) + 1
    labels = np.array([3, 5])
    for most, count in ((1, 1), (2, 2), (5, 5), (100, 10)):
        found, found_labels = shifted_copies(images, labels, most, shift=1)
        assert len(found) == len(found_labels) == count
        np.testing.assert_array_equal(found[:2], images[:count])
        np.testing.assert_array_equal(found_labels, ([3, 5] * 5)[:count])
    np.testing.assert_array_equal(found[2, 0, 1:, 1:], images[0, 0, :-1, :-1])
    np.testing.assert_array_equal(found[9, 0, :-1, :-1], images[1, 0, 1:, 1:])
    assert not found[2, 0, 0].any()
    assert len(shifted_copies(images, labels, 100, shift=0)[0]) == 2
