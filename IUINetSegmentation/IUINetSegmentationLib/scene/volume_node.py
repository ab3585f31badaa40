"""Carries volumes between MRML and the library, voxel for voxel.

MRML has a volume's place as one matrix from voxel index (i, j, k) to RAS millimeters; the library wants
spacing, origin and direction in LPS. RAS and LPS differ by the sign of the first two axes. A parent
transform of the node is not applied to the voxels: a result belongs under the same transform.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import get_vtk_array_type, numpy_to_vtk, vtk_to_numpy

import iuinet
from iuinet.boxes import Box
from iuinet.errors import InputRefused, IUINetError, UsageError
from iuinet.volume import Grid, Volume
from IUINetSegmentationLib.scene.place import modality_of

SAMPLE_CT = Path(iuinet.__file__).resolve().parents[1] / "Resources" / "Sample" / "sample-ct.nrrd"
SAMPLE = "IUINet.Sample"  # attribute of a node that holds a sample: which one
GENERATED_SAMPLE = "1"
# A portal venous CT of the abdomen in Slicer's Sample Data module: liver_100 of the Medical Segmentation
# Decathlon's liver task.
REAL_SAMPLE = "CTLiver"
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def volume_from_node(node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """The node's voxels and their place, without its parent transform.

    The array is a view of the node's own memory, in the order (k, j, i); it is not to be written to. The
    name is neutral, since a node is often named after the patient.

    Raises: UsageError for what is not a volume node; InputRefused for a node that holds no scalar
    image, has an impossible geometry, or lies under a non-linear transform.
    """
    image = _checked_image(node)
    _check_transform(node)
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    return Volume(array, _grid_of(node, image), modality=modality_of(node))


def add_volume_node(volume: Volume, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """A new volume node in the scene with a copy of the volume's voxels, at the same place."""
    array = volume.array
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        array = array.astype(np.float64)  # Slicer cannot show 64-bit integers
    image = vtk.vtkImageData()
    image.SetDimensions(volume.grid.size)
    scalars = numpy_to_vtk(
        np.ascontiguousarray(array).ravel(), deep=True, array_type=get_vtk_array_type(array.dtype)
    )
    image.GetPointData().SetScalars(scalars)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(to_vtk_matrix(RAS_TO_LPS @ volume.grid.index_to_lps()))
    node.SetAndObserveImageData(image)
    node.CreateDefaultDisplayNodes()
    return node


def add_sample_node(name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """A new volume node with the generated CT that the module ships; it shows no patient.

    Raises: InputRefused for a file that is missing or damaged.
    """
    from iuinet.reading import read_volume  # ITK is not loaded when Slicer starts

    try:
        volume = read_volume(SAMPLE_CT)
    except InputRefused as error:
        hint = "Install IUINet again, or load a CT of your own."
        raise InputRefused(error.message, hint=hint, code=error.code) from error
    node = add_volume_node(volume, name)
    node.SetAttribute(SAMPLE, GENERATED_SAMPLE)
    return node


def add_real_sample_node() -> slicer.vtkMRMLScalarVolumeNode:
    """A CT of a person, from Slicer's Sample Data module, which downloads it once; returns when it is there.

    Raises: IUINetError "sample-download" where it cannot.
    """
    try:
        import SampleData  # a module of Slicer

        loaded = SampleData.SampleDataLogic().downloadSamples(REAL_SAMPLE)
    except (ImportError, OSError, ValueError):
        loaded = []
    for node in loaded:
        if isinstance(node, slicer.vtkMRMLScalarVolumeNode):
            node.SetAttribute(SAMPLE, REAL_SAMPLE)
            return node
    raise IUINetError(
        f"Slicer's Sample Data module could not bring the sample {REAL_SAMPLE}",
        hint="Check the network, or press Try a sample, which needs none.",
        code="sample-download",
    )


def sample_node(which: str = GENERATED_SAMPLE) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The sample that is in the scene already, or None."""
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next((node for node in nodes if node.GetAttribute(SAMPLE) == which), None)


def ijk_to_ras(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """4 x 4 matrix from voxel index (i, j, k, 1) to RAS millimeters."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def to_vtk_matrix(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    """A numpy 4 x 4 matrix as VTK has it."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(matrix.ravel())
    return result


def _checked_image(node: slicer.vtkMRMLScalarVolumeNode) -> vtk.vtkImageData:
    """The node's image data, or the refusal that names what is wrong with it."""
    if node is None or not node.IsA("vtkMRMLScalarVolumeNode"):
        found = "nothing" if node is None else node.GetClassName()
        raise UsageError(f"a scalar volume is needed, not {found}", hint="Choose a CT volume.")
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputRefused(
            "the volume is a label map, not an image", hint="Choose the CT volume.", code="label-map"
        )
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise InputRefused(
            "the volume has no image data", hint="Load the volume again.", code="no-image-data"
        )
    components = image.GetNumberOfScalarComponents()
    if components != 1:
        raise InputRefused(
            f"each voxel of the volume holds {components} values instead of one",
            hint="Choose a CT volume; a color picture cannot be segmented.",
            code="vector-pixels",
        )
    if image.GetScalarType() == vtk.VTK_BIT:
        raise InputRefused("the volume holds one bit per voxel", hint="Choose a CT volume.", code="not-ct")
    return image


def _check_transform(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Refuse a volume that is bent in space: its voxels lie on no grid there."""
    parent = node.GetParentTransformNode()
    # The transform itself may be linear and hang under a non-linear one.
    if parent is not None and not parent.IsTransformToWorldLinear():
        raise InputRefused(
            f"the volume is under the non-linear transform {parent.GetName()!r}",
            hint="Harden the transform on a copy of the volume first.",
            code="non-linear-transform",
        )


def _grid_of(node: slicer.vtkMRMLScalarVolumeNode, image: vtk.vtkImageData) -> Grid:
    """Where the voxels lie in LPS. The axes may be oblique, mirrored, in any order, or sheared."""
    matrix = RAS_TO_LPS @ ijk_to_ras(node)
    axes = matrix[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    if not np.isfinite(matrix).all() or spacing.min() <= 0 or np.linalg.matrix_rank(axes / spacing) < 3:
        raise InputRefused(
            "the volume's axes do not span a space; its spacing is "
            + " x ".join(f"{value:g}" for value in spacing)
            + " mm",
            hint="Correct the volume's spacing and directions, or load it again.",
            code="bad-spacing",
        )
    # The first voxel's index is not always (0, 0, 0): a cropped image may keep its old numbering.
    first = np.array([*image.GetExtent()[::2], 1.0])
    return Grid(
        size=image.GetDimensions(),
        spacing=tuple(float(value) for value in spacing),
        origin=tuple(float(value) for value in (matrix @ first)[:3]),
        direction=axes / spacing,
    )


# Only inside a box: the voxels that a markups ROI covers ----------------------------------------------

ROUNDING = 1e-6  # voxels: a centre on the very edge of the box is inside


def box_of(region: slicer.vtkMRMLMarkupsROINode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> Box:
    """The voxels (k, j, i) of the smallest box along the volume's axes that holds the ROI.

    Both nodes may lie under linear transforms.
    Raises: InputRefused for a ROI that is not placed, or that misses the volume.
    """
    size = np.array(region.GetSize())
    if not (size > 0).all() or region.GetNumberOfDefinedControlPoints() == 0:
        raise InputRefused(
            f"the region {region.GetName()!r} has no extent", hint="Place the box first.", code="region-empty"
        )
    to_voxels = np.linalg.inv(world_from_local(volume_node) @ ijk_to_ras(volume_node))
    to_world = slicer.util.arrayFromVTKMatrix(region.GetObjectToWorldMatrix())
    corners = np.array([[*signs, 2] for signs in itertools.product((-1, 1), repeat=3)]) / 2
    corners[:, :3] *= size
    voxels = (to_voxels @ to_world @ corners.T)[:3]
    extent = volume_node.GetImageData().GetExtent()
    low, high = np.array(extent[::2]), np.array(extent[1::2]) + 1
    # A voxel belongs to the box if its centre lies inside; the first voxel has the index ``low``.
    first = np.clip(np.ceil(voxels.min(1) - ROUNDING), low, high).astype(int) - low
    last = np.clip(np.floor(voxels.max(1) + ROUNDING) + 1, low, high).astype(int) - low
    if (first >= last).any():
        raise InputRefused(
            f"the region {region.GetName()!r} does not touch the volume",
            hint="Move the box to the volume, or choose the whole volume.",
            code="region-outside",
        )
    return tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))[::-1]


def world_from_local(node: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """4 x 4 matrix of the node's parent transform, which is linear; the identity without one."""
    matrix = vtk.vtkMatrix4x4()
    parent = node.GetParentTransformNode()
    if parent is not None:
        parent.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
