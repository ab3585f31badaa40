"""Messages and voxels cross the border to the worker unchanged, and a wrong one is found at the border."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest

from iuinet import errors
from iuinet.errors import InputRefused, IUINetError
from iuinet.options import Options
from iuinet.volume import Grid, Volume
from iuinet.worker import protocol
from iuinet.worker.child import WorkerStopped
from iuinet.worker.protocol import PREFIX, ProtocolError

OBLIQUE = Grid(
    size=(2, 3, 4),
    spacing=(0.1 + 0.2, 1 / 3, 5.0),
    origin=(-1e-9, 123.456789012345678, -7.0),
    direction=np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, -1.0]]),
)


def test_a_message_is_one_ascii_line_and_comes_back_as_it_was() -> None:
    line = protocol.encode("fallback", run=3, text="Lékař 中文\nzweite Zeile \udcff")
    assert line.startswith(PREFIX.encode()) and line.endswith(b"\n") and line.count(b"\n") == 1
    assert line.isascii()
    assert protocol.decode(line) == {"kind": "fallback", "run": 3, "text": "Lékař 中文\nzweite Zeile \udcff"}


def test_all_other_lines_are_log() -> None:
    for line in (b"", b"WARNING: In itkGDCMImageIO.cxx", b" @iuinet {}", b"\xff\xfe\x00"):
        assert protocol.decode(line) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"kind": 1}',
        '{"kind": "sing"}',
        '{"kind": "cancel"}',
        '{"kind": "cancel", "run": "1"}',
        '{"kind": "cancel", "run": true}',
        '{"kind": "cancel", "run": 1, "more": 2}',
    ],
)
def test_a_line_of_ours_that_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        protocol.decode((PREFIX + text).encode())
    assert caught.value.hint


def test_what_is_no_json_is_not_sent() -> None:
    for value in (np.float32(1), Path("a"), b"a"):
        with pytest.raises(ProtocolError):
            protocol.encode("result", run=1, report={"value": value})


def test_all_options_cross_the_border_and_come_back_as_they_were(tmp_path: Path) -> None:
    path, region = tmp_path / "модель.safetensors", [[0, 2], (1, 3), np.int64([4, 9])]
    given = Options(path, "cuda:1", ["liver", "spleen"], False, True, True, region)
    assert given != Options() and all(getattr(given, f.name) != f.default for f in fields(Options))
    for options in (given, Options(), Options(islands="largest")):
        message = protocol.decode(protocol.encode("probe", run=1, options=asdict(options)))
        assert Options(**message["options"]) == options


@pytest.mark.parametrize(
    "change",
    [{"fast": 1}, {"device": None}, {"organs": "liver"}, {"weights": 3}, {"islands": None}, {"new": True}],
)
def test_options_that_are_none_are_refused_on_both_sides(change: dict) -> None:
    wrong = {**asdict(Options()), **change}
    with pytest.raises(ProtocolError):
        protocol.encode("probe", run=1, options=wrong)
    with pytest.raises(ProtocolError):
        protocol.decode((PREFIX + json.dumps({"kind": "probe", "run": 1, "options": wrong})).encode())


def test_the_path_of_a_model_is_whole_wherever_the_worker_runs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Options("./mine.safetensors").weights == str(tmp_path / "mine.safetensors")
    assert Options("starter-tiny").weights == "starter-tiny"


def test_every_kind_has_its_number_of_the_run_except_those_about_the_process() -> None:
    kinds = {**protocol.REQUESTS, **protocol.REPLIES}
    assert {kind for kind, fields in kinds.items() if "run" not in fields} == {"hello", "quit"}


@pytest.mark.parametrize(
    "family",
    [errors.InputRefused, errors.WeightsError, errors.DeviceError, errors.OutputError, errors.UsageError],
)
def test_an_error_keeps_its_class_words_and_code(family: type[IUINetError]) -> None:
    told = family("spacing is 0", hint="Check the header.", code="zero-spacing")
    line = protocol.encode("error", run=1, **protocol.describe_error(told))
    rebuilt = protocol.rebuild_error(protocol.decode(line))
    assert type(rebuilt) is family
    assert (rebuilt.message, rebuilt.hint, rebuilt.code) == (told.message, told.hint, told.code)


def test_an_error_of_a_class_that_the_other_side_does_not_know_becomes_its_nearest_relative() -> None:
    fields = protocol.describe_error(WorkerStopped(-11, ()))
    assert fields["family"] == "IUINetError" and "SIGSEGV" in fields["text"]
    assert type(protocol.rebuild_error({**fields, "family": "Nonsense"})) is IUINetError


def test_a_grid_keeps_every_bit() -> None:
    back = protocol.grid_from_json(json.loads(json.dumps(protocol.grid_to_json(OBLIQUE))))
    assert (back.size, back.spacing, back.origin) == (OBLIQUE.size, OBLIQUE.spacing, OBLIQUE.origin)
    assert np.array_equal(back.direction, OBLIQUE.direction)


@pytest.mark.parametrize(
    "change",
    [
        {"size": [2, 3]},
        {"size": "abc"},
        {"origin": None},
        {"direction": [[1, 0], [0, 1]]},
    ],
)
def test_what_is_no_grid_is_refused(change: dict) -> None:
    with pytest.raises(ProtocolError):
        protocol.grid_from_json({**protocol.grid_to_json(OBLIQUE), **change})


def test_a_senseless_grid_arrives_so_that_the_checks_can_refuse_it_in_plain_words() -> None:
    senseless = {**protocol.grid_to_json(OBLIQUE), "size": [0, 3, 4], "spacing": [math.nan, 0.0, -1.0]}
    document = {"path": "", "dtype": "<i2", "shape": [4, 3, 0], "grid": senseless}
    line = protocol.encode("result", run=1, report=document)
    back = protocol.grid_from_json(protocol.decode(line)["report"]["grid"])
    assert back.size == (0, 3, 4) and math.isnan(back.spacing[0]) and back.spacing[1:] == (0.0, -1.0)


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u1", "i8", "<f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_volume_comes_back_as_it_was(dtype: str, order: str, tmp_path: Path) -> None:
    array = np.arange(24).reshape(4, 3, 2).astype(dtype, order=order)
    path = tmp_path / "Lékař 中文.raw"
    volume = Volume(array, OBLIQUE, name="scan", modality="CT", notes=("Series 2 was taken.",))
    protocol.write_array(path, array)
    back = protocol.read_volume(json.loads(json.dumps(protocol.describe_volume(volume, path))))
    assert np.array_equal(back.array, array) and back.array.dtype == array.dtype.newbyteorder("<")
    assert (back.name, back.modality, back.notes) == (volume.name, volume.modality, volume.notes)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_flipped_view_is_written_in_its_own_order(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)[::-1, :, ::-1]
    protocol.write_array(tmp_path / "a.raw", array)
    assert np.array_equal(protocol.read_array(tmp_path / "a.raw", array.dtype, array.shape), array)


def test_voxels_that_are_no_plain_numbers_are_refused(tmp_path: Path) -> None:
    for dtype in (bool, complex, np.longdouble, object):
        with pytest.raises(InputRefused, match=str(np.dtype(dtype))):
            protocol.write_array(tmp_path / "a.raw", np.zeros((2, 2, 2), dtype=dtype))
    assert not list(tmp_path.iterdir())


def test_a_voxel_file_that_is_cut_or_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    with pytest.raises(ProtocolError, match="0 bytes where 8"):
        protocol.read_array(path, np.dtype(np.int16), (1, 2, 2))
    path.write_bytes(b"1234567")
    with pytest.raises(ProtocolError, match="7 bytes where 8"):
        protocol.read_array(path, np.dtype(np.int16), (1, 2, 2))


def test_writing_that_is_given_up_leaves_no_file(tmp_path: Path) -> None:
    writer = protocol.array_writer(tmp_path / "a.raw", np.zeros((4, 2, 2), dtype=np.int16))
    assert next(writer) == 0.25
    writer.close()
    assert not list(tmp_path.iterdir())


def test_a_description_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    volume = Volume(np.zeros((4, 3, 2), dtype=np.int16), OBLIQUE)
    document = protocol.describe_volume(volume, tmp_path / "a.raw")
    for change in ({"shape": [2, 3, 5]}, {"dtype": "no type"}, {"notes": None}, {"path": 1}):
        with pytest.raises(ProtocolError):
            protocol.read_volume({**document, **change})
