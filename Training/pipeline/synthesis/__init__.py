"""Label-driven synthesis of CT for training: real anatomy from label maps, everything else invented.

anatomy = load("s0327", data_folder(), cache)
sample = generate(anatomy, seed=1, size=96)    # sample.image in HU, sample.labels
"""

from .anatomy import Anatomy, load, prepare, save
from .generator import Sample, as_volume, generate
from .sources import HELD_OUT, TRAINING, data_folder
from .tissues import IGNORE, ORGANS

__all__ = [
    "HELD_OUT",
    "IGNORE",
    "ORGANS",
    "TRAINING",
    "Anatomy",
    "Sample",
    "as_volume",
    "data_folder",
    "generate",
    "load",
    "prepare",
    "save",
]
