"""Writes generated CT volumes as DICOM folders: every codec, pixel layout and defect the tests need."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

UNENCAPSULATED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
PATIENT_NAME = "Secret^Name"


def body_volume(shape: tuple[int, int, int] = (12, 24, 28), seed: int = 0) -> np.ndarray:
    """int16 (k, j, i) in HU: air, an ellipse of fat and soft tissue, and noise; no two slices alike."""
    rng = np.random.default_rng(seed)
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    radius = np.hypot((j - shape[1] / 2) / (0.42 * shape[1]), (i - shape[2] / 2) / (0.42 * shape[2])) + 0 * k
    volume = np.select([radius < 0.8, radius < 1.0], [60.0 + 3 * k, -100.0], -1000.0)
    return np.round(volume + rng.normal(0, 10, shape)).clip(-1024, 3000).astype(np.int16)


def write_series(
    folder: Path,
    volume: np.ndarray,
    *,
    spacing: Sequence[float] = (0.8, 0.7, 2.5),
    origin: Sequence[float] = (-120.0, -90.0, 40.0),
    direction: np.ndarray | None = None,
    positions: Sequence[Sequence[float]] | None = None,
    transfer_syntax: str = ExplicitVRLittleEndian,
    bits: tuple[int, int] = (16, 16),
    signed: bool = True,
    slope: float | Sequence[float] = 1.0,
    intercept: float | Sequence[float] = 0.0,
    modality: str = "CT",
    series_uid: str | None = None,
    name: Callable[[int], str] = "IM{:04d}.dcm".format,
    edit: Callable[[Dataset, int], None] | None = None,
) -> list[Path]:
    """One file per slice of ``volume`` (k, j, i), k along the third column of ``direction``.

    bits: allocated and stored. slope, intercept: one value, or one per slice; ``volume`` is in HU.
    positions: overrides the positions that spacing, origin and direction give. edit: changes the data
    set of a slice just before it is written. Returns the files in the order of k.
    """
    folder.mkdir(parents=True, exist_ok=True)
    direction = np.eye(3) if direction is None else np.asarray(direction, dtype=float)
    if positions is None:
        positions = [np.asarray(origin) + direction[:, 2] * spacing[2] * k for k in range(len(volume))]
    slopes, intercepts = (np.broadcast_to(value, len(volume)) for value in (slope, intercept))
    common = {"study": generate_uid(), "series": series_uid or generate_uid(), "frame": generate_uid()}
    files = []
    for k, hounsfield in enumerate(volume):
        ds = _header(common, modality, k)
        _geometry(ds, spacing, direction, positions[k])
        stored = np.round((hounsfield.astype(float) - intercepts[k]) / slopes[k])
        ds.RescaleSlope, ds.RescaleIntercept = float(slopes[k]), float(intercepts[k])
        _pixels(ds, stored, bits, signed, transfer_syntax)
        if edit is not None:
            edit(ds, k)
        files.append(folder / name(k))
        _save(ds, files[-1])
    return files


def write_enhanced(
    path: Path,
    volume: np.ndarray,
    *,
    spacing: Sequence[float] = (0.8, 0.7, 2.5),
    origin: Sequence[float] = (-120.0, -90.0, 40.0),
    slope: float | Sequence[float] = 1.0,
    intercept: float | Sequence[float] = -1024.0,
    order: Sequence[int] | None = None,
    transfer_syntax: str = ExplicitVRLittleEndian,
    edit: Callable[[Dataset], None] | None = None,
) -> Path:
    """The volume as one Enhanced CT multi-frame file; ``order`` shuffles the frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = range(len(volume)) if order is None else order
    slopes, intercepts = (np.broadcast_to(value, len(volume)) for value in (slope, intercept))
    ds = _header({"study": generate_uid(), "series": generate_uid(), "frame": generate_uid()}, "CT", 0)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    ds.NumberOfFrames = len(volume)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [spacing[1], spacing[0]], spacing[2]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence, stored = [], []
    for k in order:
        frame, position, rescale = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [origin[0], origin[1], origin[2] + k * spacing[2]]
        rescale.RescaleSlope, rescale.RescaleIntercept = float(slopes[k]), float(intercepts[k])
        rescale.RescaleType = "HU"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [rescale]
        ds.PerFrameFunctionalGroupsSequence.append(frame)
        stored.append(np.round((volume[k].astype(float) - intercepts[k]) / slopes[k]))
    _pixels(ds, np.stack(stored), (16, 16), False, transfer_syntax)
    if edit is not None:
        edit(ds)
    _save(ds, path)
    return path


def feet_first() -> np.ndarray:
    """Direction of a feet-first supine scan stored from the feet: k runs down the body."""
    return np.diag([-1.0, 1.0, -1.0])


def prone() -> np.ndarray:
    """Direction of a head-first prone scan: i and j are turned by 180 degrees."""
    return np.diag([-1.0, -1.0, 1.0])


def oblique(degrees: float = 12.0) -> np.ndarray:
    """A proper rotation about the x and then the z axis (not a tilted gantry: k stays the normal)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _header(common: dict[str, str], modality: str, k: int) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.Modality, ds.PatientName, ds.PatientID = modality, PATIENT_NAME, "4711"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.StudyInstanceUID, ds.SeriesInstanceUID = common["study"], common["series"]
    ds.FrameOfReferenceUID, ds.SeriesNumber, ds.InstanceNumber = common["frame"], 2, k + 1
    return ds


def _geometry(
    ds: Dataset, spacing: Sequence[float], direction: np.ndarray, position: Sequence[float]
) -> None:
    ds.ImageOrientationPatient = [f"{value:.9f}" for value in (*direction[:, 0], *direction[:, 1])]
    ds.ImagePositionPatient = [f"{value:.6f}" for value in position]
    ds.PixelSpacing = [f"{spacing[1]:.6f}", f"{spacing[0]:.6f}"]
    ds.SliceThickness = f"{spacing[2]:.6f}"


def _pixels(ds: Dataset, stored: np.ndarray, bits: tuple[int, int], signed: bool, syntax: str) -> None:
    """Puts stored values (rows, columns) or (frames, rows, columns) into the data set with a codec."""
    allocated, used = bits
    low, high = (-(2 ** (used - 1)), 2 ** (used - 1) - 1) if signed else (0, 2**used - 1)
    if stored.min() < low or stored.max() > high:
        raise ValueError(f"values {stored.min()}..{stored.max()} do not fit {used} bits")
    values = np.ascontiguousarray(stored).astype(f"{'i' if signed else 'u'}{allocated // 8}")
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape[-2:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = (
        allocated,
        used,
        used - 1,
        int(signed),
    )
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = values.astype(values.dtype.newbyteorder(">")).tobytes()
    elif syntax == JPEGBaseline8Bit:
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "JPEG", quality=100)
        ds.PixelData = encapsulate([buffer.getvalue()])
    elif syntax in (JPEGLosslessSV1, JPEG2000Lossless):
        ds.PixelData = _gdcm_compressed(values, "JPEG" if syntax == JPEGLosslessSV1 else "JPEG2000")
    else:
        ds.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
        if syntax in (RLELossless, JPEGLSLossless):
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.compress(syntax, generate_instance_uid=False)
    ds["PixelData"].VR = "OB" if syntax not in UNENCAPSULATED or allocated == 8 else "OW"


def _gdcm_compressed(values: np.ndarray, compressor: str) -> bytes:
    """The encapsulated pixel data that SimpleITK's own DICOM writer makes of one slice."""
    with tempfile.TemporaryDirectory() as folder:
        writer = sitk.ImageFileWriter()
        writer.SetFileName(f"{folder}/slice.dcm")
        writer.SetImageIO("GDCMImageIO")
        writer.SetUseCompression(True)
        writer.SetCompressor(compressor)
        writer.Execute(sitk.GetImageFromArray(values[None]))
        return pydicom.dcmread(f"{folder}/slice.dcm").PixelData


def _save(ds: Dataset, path: Path) -> None:
    syntax = ds.file_meta.TransferSyntaxUID
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that a test writes wrongly on purpose
        pydicom.dcmwrite(
            path,
            ds,
            enforce_file_format=True,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
        )
