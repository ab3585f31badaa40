"""Keeps the largest piece of each organ, and counts the pieces.

Pieces are joined from runs (stretches of one label along the last axis) rather than from voxels: a scan of
131 million voxels has some hundred thousand runs, so time and memory hardly depend on how far the stray
voxels of a label lie from the organ, which they do when each label's bounding box is labelled by itself.

Voxels that share a face, an edge or a corner belong together (26 neighbours): thin organs such as the adrenal
glands cross thick slices obliquely and would fall apart under the 6-neighbour rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def keep_largest_components(
    labels: np.ndarray, label_ids: Iterable[int]
) -> tuple[np.ndarray, dict[int, int]]:
    """Turns all but the largest connected piece of each label to background (0).

    labels: (k, j, i) of an integer type; not changed. label_ids: the labels to treat; others stay.

    Returns the cleaned copy, and the number of pieces each of these labels had (0 where it is absent). Of two
    pieces of equal size the one whose first voxel comes first in memory order is kept; but for such ties the
    result does not depend on the order or direction of the axes.

    >>> keep_largest_components(np.array([[[1, 1, 0, 1]]]), [1])
    (array([[[1, 1, 0, 0]]]), {1: 2})
    """
    wanted = [int(label) for label in label_ids]
    cleaned = np.array(labels, order="C")
    runs = _find_runs(cleaned, np.array([label for label in wanted if label], dtype=np.int64))
    piece = _join(runs)
    sizes = np.bincount(piece, weights=runs.length)
    # Every run of a piece has the piece's label, so it does not matter which of them writes it.
    label_of_piece = np.zeros(len(sizes), dtype=np.int64)
    label_of_piece[piece] = runs.label

    kept = np.zeros(len(sizes), dtype=bool)
    counts = {}
    for label in wanted:
        pieces = np.flatnonzero(label_of_piece == label)
        counts[label] = len(pieces)
        if len(pieces):
            kept[pieces[np.argmax(sizes[pieces])]] = True  # pieces are numbered in memory order
    stray = ~kept[piece]
    cleaned.reshape(-1)[_ranges(runs.first[stray], runs.length[stray])] = 0
    return cleaned, counts


@dataclass(frozen=True)
class _Runs:
    """Runs in memory order, each within one row (a line along the last axis).

    first: flat index of the first voxel. length: voxels. label: their label. shape: of the label map.
    """

    first: np.ndarray
    length: np.ndarray
    label: np.ndarray
    shape: tuple[int, ...]


def _find_runs(labels: np.ndarray, wanted: np.ndarray) -> _Runs:
    firsts, lengths = [], []
    for k, plane in enumerate(labels):  # plane by plane, so that no second volume is needed
        if not plane.any():
            continue
        change = np.ones(plane.shape, dtype=bool)
        np.not_equal(plane[:, 1:], plane[:, :-1], out=change[:, 1:])
        first = np.flatnonzero(change)
        length = np.diff(first, append=plane.size)
        chosen = np.isin(plane.reshape(-1)[first], wanted)
        firsts.append(first[chosen] + k * plane.size)
        lengths.append(length[chosen])
    first = np.concatenate(firsts) if firsts else np.zeros(0, dtype=np.int64)
    length = np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.int64)
    return _Runs(first, length, labels.reshape(-1)[first], labels.shape)


def _join(runs: _Runs) -> np.ndarray:
    """Number of the piece of each run; pieces are numbered in the order of their first voxels."""
    _, rows, columns = runs.shape
    row, column = np.divmod(runs.first, max(columns, 1))
    k, j = np.divmod(row, max(rows, 1))
    # Positions in a volume with two spare voxels after each row and a spare row on either side of each plane,
    # where a run widened by one voxel, or moved to a row that does not exist, meets no other run.
    width, height = columns + 2, rows + 2
    start = (k * height + j + 1) * width + column
    stop = start + runs.length
    pairs = []
    for planes, lines in ((0, 1), (1, -1), (1, 0), (1, 1)):
        shift = (planes * height + lines) * width
        low = np.searchsorted(stop, start + shift - 1, side="right")
        high = np.searchsorted(start, stop + shift + 1, side="left")
        neighbour = _ranges(low, high - low)
        own = np.repeat(np.arange(len(start)), high - low)
        same = runs.label[own] == runs.label[neighbour]
        pairs.append(np.stack([own[same], neighbour[same]]))
    own, neighbour = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(own), dtype=bool), (own, neighbour)), shape=(len(start), len(start)))
    return connected_components(graph, directed=False)[1] if len(start) else np.zeros(0, dtype=np.int64)


def _ranges(first: np.ndarray, length: np.ndarray) -> np.ndarray:
    """All integers of the ranges first[n] .. first[n] + length[n] - 1, one range after the other."""
    ends = np.cumsum(length)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(first - (ends - length), length)
