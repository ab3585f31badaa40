"""Small files that claim or unpack to very much. Each must be refused with little memory and time."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator

from .images import Files, Kind


def bombs(kinds: dict[str, Kind]) -> Iterator[tuple[str, Files]]:
    """The kind's name and its files, made from the good ones."""
    zeros = bytes(1 << 29)
    nifti = kinds["NIfTI"].files["a.nii"]
    packed = _deflated_zeros(zeros)
    claim = bytearray(nifti)
    struct.pack_into("<4h", claim, 40, 3, 2000, 2000, 600)
    yield "NIfTI", {"a.nii": bytes(claim)}
    yield "NIfTI gz", {"a.nii.gz": gzip.compress(bytes(claim), mtime=0)}
    # What follows the voxels unpacks to half a gigabyte; as the voxels themselves they are claimed, too.
    yield "NIfTI gz", {"a.nii.gz": gzip.compress(nifti, mtime=0) + packed}
    yield "NIfTI gz", {"a.nii.gz": gzip.compress(bytes(claim[:352]), mtime=0) + packed}
    for name, encoding in (("NRRD", "raw"), ("NRRD gz", "gzip")):
        whole = kinds[name].files["a.nrrd"]
        head, _, data = whole.partition(b"\n\n")
        sizes = head.replace(b"sizes: 16 14 12", b"sizes: 2000 2000 600")
        yield name, {"a.nrrd": sizes + b"\n\n" + data}
        if encoding == "gzip":
            yield name, {"a.nrrd": head + b"\n\n" + data + packed}
            yield name, {"a.nrrd": head.replace(b"16 14 12", b"1000 1000 500") + b"\n\n" + packed}
    for name in ("MetaImage", "MetaImage z"):
        head, mark, data = kinds[name].files["a.mha"].partition(b"LOCAL\n")
        yield name, {"a.mha": head.replace(b"16 14 12", b"2000 2000 600") + mark + data}
    stream = zlib.compress(zeros, 9)
    lying = head.replace(b"16 14 12", b"1000 1000 500").replace(
        b"CompressedDataSize = %d" % len(data), b"CompressedDataSize = %d" % len(stream)
    )
    yield "MetaImage z", {"a.mha": lying + mark + stream}
    yield "MetaImage z", {"a.mha": head.replace(b"= %d" % len(data), b"= %d" % len(stream)) + mark + stream}
    yield from _dicom(kinds, zeros)


def _deflated_zeros(zeros: bytes) -> bytes:
    return gzip.compress(zeros, mtime=0)


def _dicom(kinds: dict[str, Kind], zeros: bytes) -> Iterator[tuple[str, Files]]:
    """A slice that unpacks to half a gigabyte, and one file that claims a hundred thousand frames."""
    name = "DICOM deflated"
    files = dict(kinds[name].files)
    first = sorted(files)[0]
    start = (
        132 + 12 + struct.unpack_from("<I", files[first], 140)[0]
    )  # behind the group of the file's meta data
    content = zlib.decompress(files[first][start:], -15)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    private = b"\x09\x00\x10\x00LO\x02\x00x \x09\x00\x10\x10OB\0\0" + struct.pack("<I", len(zeros)) + zeros
    files[first] = files[first][:start] + squeeze.compress(private + content) + squeeze.flush()
    yield name, files
    for kind in ("DICOM explicit", "DICOM Enhanced"):
        files = dict(kinds[kind].files)
        first = sorted(files)[0]
        whole = files[first]
        at = whole.find(b"\x28\x00\x08\x00IS")
        many = b"\x28\x00\x08\x00IS\x08\x00" + b"100000000"[:8]
        if at >= 0:
            length = struct.unpack_from("<H", whole, at + 6)[0]
            files[first] = whole[:at] + many + whole[at + 8 + length :]
        else:
            at = whole.find(b"\x28\x00\x10\x00US")
            files[first] = whole[:at] + many + whole[at:]
        yield kind, files
