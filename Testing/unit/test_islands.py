"""Of each organ the largest piece stays, whatever the orientation; everything else is untouched."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from iuinet.islands import keep_largest_components

TOUCHING = np.ones((3, 3, 3))


def by_voxels(labels: np.ndarray, label_ids: list[int]) -> tuple[np.ndarray, dict[int, int]]:
    """The same by labelling voxels, label by label."""
    cleaned, counts = labels.copy(), {}
    for label in label_ids:
        pieces, counts[label] = ndimage.label(labels == label, TOUCHING)
        if counts[label]:
            sizes = np.bincount(pieces.ravel())[1:]
            cleaned[(pieces > 0) & (pieces != 1 + sizes.argmax())] = 0
    return cleaned, counts


def test_pieces_equal_those_found_voxel_by_voxel():
    random = np.random.default_rng(0)
    for _ in range(300):
        shape = random.integers(1, 10, 3)
        labels = random.integers(0, 5, shape) * (random.random(shape) < random.uniform(0.1, 1))
        labels = labels.astype(np.uint8)
        cleaned, counts = keep_largest_components(labels, [1, 2, 4])
        expected, expected_counts = by_voxels(labels, [1, 2, 4])
        np.testing.assert_array_equal(cleaned, expected)
        assert counts == expected_counts


def test_the_input_stays_as_it_was_and_other_labels_are_kept():
    labels = np.zeros((4, 4, 8), np.uint8)
    labels[1, 1, 1:4] = labels[3, 3, 7] = 1
    labels[0, 0, 0] = labels[0, 0, 7] = 2
    before = labels.copy()
    cleaned, counts = keep_largest_components(labels, [1])
    np.testing.assert_array_equal(labels, before)
    assert counts == {1: 2} and cleaned[3, 3, 7] == 0 and cleaned[1, 1, 1:4].all()
    np.testing.assert_array_equal(cleaned == 2, before == 2)
    assert cleaned.dtype == np.uint8 and cleaned.flags.writeable


@pytest.mark.parametrize("step", [s for s in itertools.product((-1, 0, 1), repeat=3) if any(s)], ids=str)
def test_voxels_that_share_a_face_an_edge_or_a_corner_are_one_piece(step):
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[1, 1, 1] = labels[tuple(1 + np.array(step))] = 5
    cleaned, counts = keep_largest_components(labels, [5])
    assert counts == {5: 1}
    np.testing.assert_array_equal(cleaned, labels)


def test_the_end_of_a_line_does_not_touch_the_start_of_the_next():
    labels = np.zeros((2, 3, 3), np.uint8)
    labels[0, 0, 2] = labels[0, 1, 0] = 1
    labels[0, 2, 2] = labels[1, 0, 0] = 2  # last of a plane, first of the next
    assert keep_largest_components(labels, [1, 2])[1] == {1: 2, 2: 2}


def test_of_equal_pieces_the_first_stays():
    labels = np.zeros((2, 3, 9), np.uint8)
    labels[0, 2, 0:2] = labels[0, 0, 5:7] = labels[1, 2, 7:9] = 3
    cleaned, counts = keep_largest_components(labels, [3])
    assert counts == {3: 3}
    assert np.argwhere(cleaned).tolist() == [[0, 0, 5], [0, 0, 6]]


def test_the_result_does_not_depend_on_the_orientation():
    random = np.random.default_rng(3)
    labels = np.zeros((24, 20, 28), np.uint8)
    for size in range(1, 6):  # pieces of different size, so that there is no tie
        for label in (1, 2):
            corner = random.integers(0, 14, 3)
            labels[tuple(slice(c, c + size) for c in corner)] = label
    cleaned, counts = keep_largest_components(labels, [1, 2])
    assert min(counts.values()) > 1
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            view = labels.transpose(order)[tuple(slice(None, None, f) for f in flips)]
            turned, turned_counts = keep_largest_components(view, [1, 2])
            expected = cleaned.transpose(order)[tuple(slice(None, None, f) for f in flips)]
            np.testing.assert_array_equal(turned, expected)
            assert turned_counts == counts


@pytest.mark.parametrize("shape", [(0, 4, 4), (4, 0, 4), (4, 4, 0), (1, 1, 1), (5, 4, 3)], ids=str)
def test_a_map_without_organs_has_no_pieces(shape):
    labels = np.zeros(shape, np.uint8)
    cleaned, counts = keep_largest_components(labels, range(14))
    assert cleaned.shape == shape and not cleaned.any()
    assert counts == dict.fromkeys(range(14), 0)


def test_a_map_of_one_organ_is_one_piece():
    labels = np.full((3, 4, 5), 7, np.uint8)
    cleaned, counts = keep_largest_components(labels, (label for label in (7, 9)))
    assert counts == {7: 1, 9: 0}
    np.testing.assert_array_equal(cleaned, labels)
