"""What geometry costs: the ceiling that the network's grid sets, and the loss when the patient lies askew.

Printed per organ, on a generated CT whose labels are known exactly:
* the DSC of a label map that goes through the geometry alone, the most that any network can reach;
* the default model's DSC on the scan, and on the same patient rotated by 15 degrees about each axis.
"""

from __future__ import annotations

import argparse

import numpy as np
import SimpleITK as sitk
from helpers.measures import through_the_geometry

from iuinet.inference import Segmenter
from iuinet.labels import ORGANS
from iuinet.reading import volume_from_image
from iuinet.weights import resolve
from iuinet.writing import image_on_grid
from pipeline.generated.phantom import make_sample

DEGREES = 15
AXES = {"left-right": (1, 0, 0), "front-back": (0, 1, 0), "head-feet": (0, 0, 1)}


def dice(truth: np.ndarray, found: np.ndarray, label: int) -> float:
    """DSC of one label; NaN where both are empty."""
    a, b = truth == label, found == label
    return 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else float("nan")


def rotated(image: sitk.Image, axis: tuple[int, int, int], outside: float, interpolator: int) -> sitk.Image:
    """The patient turned about the centre of the image, on the same grid."""
    centre = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    turn = sitk.VersorTransform(axis, float(np.radians(DEGREES)), centre)
    return sitk.Resample(image, image, turn, interpolator, outside)


def main() -> int:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="id of a model, or a model file; the default model otherwise")
    parser.add_argument("--seed", type=int, default=0, help="of the generated CT")
    options = parser.parse_args()
    sample = make_sample(options.seed)
    segmenter = Segmenter(resolve(options.weights), "cpu")
    size = segmenter.document["preprocessing"]["size"]
    ct, truth = (image_on_grid(a, sample.volume.grid) for a in (sample.volume.array, sample.labels))
    columns = {f"through {size}^3": (sample.labels, through_the_geometry(sample.labels, size))}
    columns["as it lies"] = (sample.labels, segmenter(sample.volume).labels)
    for name, axis in AXES.items():
        turned = volume_from_image(rotated(ct, axis, -1000, sitk.sitkLinear), "turned")
        expected = sitk.GetArrayFromImage(rotated(truth, axis, 0, sitk.sitkNearestNeighbor))
        columns[f"{DEGREES} deg {name}"] = (expected, segmenter(turned).labels)
    print(f"{'DSC':<28}" + "".join(f"{name:>20}" for name in columns))
    for organ in ORGANS:
        values = [dice(*pair, organ.label) for pair in columns.values()]
        print(f"{organ.name:<28}" + "".join(f"{value:>20.3f}" for value in values))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
