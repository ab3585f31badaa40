"""The real worker process: what it gives, and what it refuses."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.worker_tools import make_volume, same

from iuinet import errors
from iuinet.errors import Cancelled, IUINetError
from iuinet.options import Options
from iuinet.volume import Volume
from iuinet.worker import WorkerClient

pytestmark = [
    pytest.mark.needs_torch,
    pytest.mark.skipif(os.name != "posix", reason="looks at processes in the POSIX way"),
]


@pytest.fixture(autouse=True)
def nothing_left(exchange: Path) -> Iterator[None]:
    """However a run ends, the patient's voxels are gone."""
    yield
    assert not list(exchange.glob("iuinet-*"))


# Results ------------------------------------------------------------------------------------------------


def test_the_worker_gives_what_the_library_gives(client: WorkerClient, model: Path) -> None:
    from iuinet.segmentation import segment_volume

    volume = make_volume()
    told: list[tuple[str, float]] = []
    labels, report = client.segment(volume, Options(model, "cpu"), progress=lambda *step: told.append(step))
    assert labels.dtype == np.uint8 and labels.shape == volume.array.shape and labels.any()
    options = Options(model, "cpu")
    assert same(labels, segment_volume(volume, options.find_model(), options).labels)
    assert all(0 <= fraction <= 1 for _, fraction in told)
    assert {"preparing", "segmenting", "finishing"} <= {stage for stage, _ in told}
    # Neither the name nor any path leaves with the report.
    text = json.dumps(report)
    assert report["weights"]["id"] == "small-random"
    assert "Nachname" not in text and "petit" not in text and "/" not in text.replace("n/a", "")


def test_volumes_in_one_warm_worker_give_what_fresh_ones_give(client: WorkerClient, model: Path) -> None:
    volumes = [make_volume(shift) for shift in (0, 5)]
    pid = client.pid
    warm = [client.segment(volume, Options(model, "cpu"))[0] for volume in volumes]
    assert client.pid == pid
    for volume, labels in zip(volumes, warm, strict=True):
        with WorkerClient() as fresh:
            assert same(labels, fresh.segment(volume, Options(model, "cpu"))[0])


def test_a_view_of_a_volume_in_another_order_and_type_gives_the_same(
    client: WorkerClient, model: Path
) -> None:
    volume = make_volume()
    turned = Volume(np.asfortranarray(volume.array.astype(">f8")), volume.grid, modality="CT")
    options = Options(model, "cpu")
    assert same(client.segment(volume, options)[0], client.segment(turned, options)[0])


def test_only_the_wanted_organs_are_given(client: WorkerClient, model: Path) -> None:
    labels, report = client.segment(make_volume(), Options(model, "cpu", organs=["liver", "left kidney"]))
    assert set(np.unique(labels)) <= {0, 3, 6}
    assert {organ["name"] for organ in report["organs"]} == {"liver", "left kidney"}


def test_the_probe_tells_what_there_is(client: WorkerClient) -> None:
    found = client.probe()
    assert found["torch"] and found["cpu"]["cores"] >= found["cpu"]["threads"] >= 1
    assert isinstance(found["gpus"], list)


def test_a_warm_call_costs_little_more_than_its_work(client: WorkerClient, model: Path) -> None:
    volume = make_volume()
    client.segment(volume, Options(model, "cpu"))
    start = time.perf_counter()
    _, report = client.segment(volume, Options(model, "cpu"))
    overhead = time.perf_counter() - start - sum(report["seconds"].values())
    print(f"overhead of a warm call: {1000 * overhead:.0f} ms")
    assert overhead < 1.0


# Refusals -----------------------------------------------------------------------------------------------


def test_every_refusal_arrives_in_its_own_class_and_leaves_the_worker_warm(
    client: WorkerClient, model: Path, tmp_path: Path
) -> None:
    volume = make_volume()
    pickle = tmp_path / "model.pt"
    pickle.write_bytes(b"\x80\x02")
    noise = Volume(np.random.default_rng(0).integers(0, 9, (32, 40, 48)).astype(np.uint8), volume.grid)
    cases = [
        (errors.WeightsError, {"weights": pickle}),
        (errors.WeightsError, {"weights": tmp_path / "none.safetensors"}),
        (errors.WeightsError, {"weights": "no-such-id"}),
        (errors.DeviceError, {"weights": model, "device": "cuda:99"}),
        (errors.UsageError, {"weights": model, "organs": ["livr"]}),
        (errors.InputRefused, {"weights": model}),
    ]
    pid = client.pid
    for family, options in cases:
        with pytest.raises(family) as caught:
            client.segment(noise if family is errors.InputRefused else volume, Options(**options))
        assert caught.value.message and caught.value.hint and caught.value.code, options
    assert client.pid == pid
    assert client.segment(noise, Options(model, "cpu", accept_warnings=True))[0].shape == noise.array.shape


def test_a_volume_that_makes_no_sense_is_refused_in_plain_words(client: WorkerClient, model: Path) -> None:
    volume = make_volume()
    for array in (
        volume.array[:0],
        volume.array.astype(bool),
        np.full_like(volume.array, 7),
        volume.array[:9],
    ):
        with pytest.raises(errors.InputRefused):
            client.segment(Volume(array, volume.grid), Options(model, "cpu"))


def test_one_run_at_a_time(client: WorkerClient, model: Path) -> None:
    run = client.start(make_volume(), Options(model, "cpu"))
    with pytest.raises(IUINetError) as caught:
        client.start(make_volume(), Options(model, "cpu"))
    assert caught.value.code == "busy"
    with pytest.raises(IUINetError):
        run.result()
    run.cancel()
    assert run.done
    with pytest.raises(Cancelled):
        run.result()


def test_a_full_disk_is_refused_and_leaves_nothing(client: WorkerClient, model: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # the disk, seen from here
    try:
        with pytest.raises(errors.OutputError) as caught:
            client.segment(make_volume(), Options(model, "cpu"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.code == "temporary-folder"
