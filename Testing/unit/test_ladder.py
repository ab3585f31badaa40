"""A device that runs out of memory or fails costs a sentence, never the result.

The GPU is a fake that counts and limits its memory (``fake_gpu.py``); the network, its memory and the ladder
are real. Sizes of the limits come from measuring each step on it first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.fake_gpu import NAME, FakeGpu
from helpers.sample_ct import sample_ct

from iuinet.devices import choose_device, probe, unusable_gpus
from iuinet.errors import Cancelled, DeviceError
from iuinet.inference import Segmenter
from iuinet.inference.fallback import STEPS, conditions, is_out_of_memory
from iuinet.options import Options
from iuinet.segmentation import segment_volume
from iuinet.weights import resolve
from iuinet.weights.load import load_model
from iuinet.worker.calibration import calibrate

GPU = torch.device("cuda", 0)


@pytest.fixture(scope="module")
def scan():
    return sample_ct((40, 36, 28))


@pytest.fixture(scope="module")
def expected(shallow_model, scan) -> np.ndarray:
    return Segmenter(resolve(shallow_model), "cpu")(scan).labels


@pytest.fixture(scope="module")
def peaks(shallow_model) -> list[int]:
    """Bytes that each step on the device needs, the model included."""
    found = []
    for step in STEPS[:-1]:
        with FakeGpu() as gpu:
            net, _ = load_model(shallow_model, GPU)
            gpu.peak = 0
            with torch.inference_mode(), conditions(step, net, GPU):
                net(torch.rand(1, 1, 32, 32, 32).to(GPU))[0][0].float().cpu()
            found.append(gpu.peak)
    return found


def segment(scan, model):
    """The whole job, as the command does it."""
    options = Options(model, accept_warnings=True)
    return segment_volume(scan, options.find_model(), options)


def told(segmenter: Segmenter, scan) -> tuple[np.ndarray, list[str], str]:
    """Labels, fallbacks and device of a run; what was told on the way is what the result says."""
    heard: list[str] = []
    prediction = segmenter(scan, notice=heard.append)
    assert heard == prediction.fallbacks
    return prediction.labels, prediction.fallbacks, prediction.device


def test_a_gpu_with_room_gives_the_cpus_labels_and_says_nothing(shallow_model, scan, expected):
    with FakeGpu() as gpu:
        labels, fallbacks, device = told(Segmenter(resolve(shallow_model)), scan)
        assert gpu.operations > 500, "the fake GPU was not used"
    assert np.array_equal(labels, expected)
    assert (fallbacks, device) == ([], NAME)


def test_each_step_needs_less_memory_than_the_one_before(peaks):
    whole, again, half, parked = peaks
    print(f"peaks on the device: {whole:,}, in half precision {half:,}, features parked {parked:,} bytes")
    assert whole == again > half > parked


@pytest.mark.parametrize("step", [2, 3])
def test_with_too_little_memory_the_first_step_that_fits_gives_the_result(
    shallow_model, scan, expected, peaks, step
):
    with FakeGpu(limit=(peaks[step] + peaks[step - 1]) // 2) as gpu:
        labels, fallbacks, device = told(Segmenter(resolve(shallow_model)), scan)
        assert gpu.half and gpu.emptied == step
    assert fallbacks == [line.text.format(device=NAME) for line in STEPS[1 : step + 1]]
    assert device == NAME
    assert (labels != expected).mean() < 0.1, "random weights leave many voxels undecided, but not so many"


def test_a_shortage_that_passes_is_over_after_freeing(shallow_model, scan, expected):
    first: list[str] = []

    def once(name: str, number: int) -> None:
        if number > 500 and not first:
            first.append(name)
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with FakeGpu(fault=once) as gpu:
        labels, fallbacks, device = told(Segmenter(resolve(shallow_model)), scan)
        assert gpu.emptied == 1 and not gpu.half
    assert np.array_equal(labels, expected)
    assert len(fallbacks) == 1 and "freed" in fallbacks[0] and device == NAME


def test_without_any_memory_the_cpu_gives_its_own_result_and_the_next_run_tries_the_gpu_again(
    shallow_model, scan, expected, peaks
):
    with FakeGpu() as gpu:
        segmenter = Segmenter(resolve(shallow_model))
        gpu.limit = gpu.used + 1000
        labels, fallbacks, device = told(segmenter, scan)
        assert np.array_equal(labels, expected)
        assert fallbacks == [line.text.format(device=NAME) for line in STEPS[1:]]
        assert device == "cpu"
        gpu.limit = peaks[0] * 2
        labels, fallbacks, device = told(segmenter, scan)
        assert np.array_equal(labels, expected)
        assert (fallbacks, device) == ([], NAME)


def test_a_model_that_does_not_even_fit_runs_on_the_cpu(shallow_model, scan, expected):
    with FakeGpu(limit=100_000):
        segmenter = Segmenter(resolve(shallow_model))
        for _ in range(2):  # every run says so
            labels, fallbacks, device = told(segmenter, scan)
            assert np.array_equal(labels, expected)
            assert device == "cpu" and len(fallbacks) == 1
            assert NAME in fallbacks[0] and "memory" in fallbacks[0] and "CPU" in fallbacks[0]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", 4),
        ("MPS backend out of memory (MPS allocated: 1 GB)", 4),
        ("CUDA error: unspecified launch failure", 1),
    ],
)
def test_errors_of_the_device_lead_to_the_cpu(shallow_model, scan, expected, text, steps):
    def fault(name: str, number: int) -> None:
        if "conv" in name and armed:
            raise RuntimeError(text)

    armed = False
    with FakeGpu(fault=fault):
        segmenter = Segmenter(resolve(shallow_model))
        armed = True
        labels, fallbacks, device = told(segmenter, scan)
    assert np.array_equal(labels, expected)
    assert device == "cpu" and len(fallbacks) == steps and "CPU" in fallbacks[-1]
    assert steps > 1 or text in fallbacks[0]


def test_numbers_that_are_none_lead_to_the_cpu(shallow_model, scan, expected, monkeypatch):
    from iuinet.inference import Segmenter as Real

    forward = Real.forward

    def broken(self, net, x, stages):
        logits = forward(self, net, x, stages)
        return logits if calls.append(1) or len(calls) > 1 else logits * torch.nan

    calls: list[int] = []
    monkeypatch.setattr(Real, "forward", broken)
    with FakeGpu():
        labels, fallbacks, device = told(Segmenter(resolve(shallow_model)), scan)
    assert np.array_equal(labels, expected)
    assert device == "cpu" and len(fallbacks) == 1 and "not numbers" in fallbacks[0]


def test_a_cancel_on_the_way_down_is_a_cancel(shallow_model, scan, peaks):
    asked: list[str] = []
    with FakeGpu(limit=peaks[-1] - 1000), pytest.raises(Cancelled):
        Segmenter(resolve(shallow_model))(scan, cancelled=lambda: bool(asked), notice=asked.append)
    assert len(asked) == 1


def test_a_computer_without_memory_is_refused_not_retried(shallow_model, scan, monkeypatch):
    segmenter = Segmenter(resolve(shallow_model), "cpu")

    def full(*_: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    segmenter.net.mapping[0].register_forward_pre_hook(full)
    with pytest.raises(DeviceError) as caught:
        segmenter(scan)
    assert caught.value.code == "memory" and "the computer" in caught.value.message


# Devices that are refused at the start -----------------------------------------------------------------


def fail(text: str) -> Callable[[str, int], None]:
    def fault(name: str, number: int) -> None:
        if "conv" in name:
            raise RuntimeError(text)

    return fault


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"fault": fail("CUDA error: no kernel image is available")}, "no kernel image"),
        ({"wrong": True}, "wrong result"),
        ({"old_driver": True}, "driver is too old: it has CUDA 11.4, PyTorch needs 12.8"),
    ],
)
def test_a_gpu_that_cannot_convolve_is_told_and_the_cpu_is_used(
    shallow_model, scan, expected, options, reason, monkeypatch
):
    monkeypatch.setattr("iuinet.segmentation._kept", {})
    with FakeGpu(**options):
        gpu = probe()["gpus"][0]
        assert not gpu["usable"] and reason in gpu["reason"]
        assert choose_device("auto").type == "cpu"
        with pytest.raises(DeviceError, match=reason):
            choose_device("cuda:0")
        result = segment(scan, shallow_model)
    assert np.array_equal(result.labels, expected)
    assert result.report["device"] == "cpu"
    assert len(result.report["fallbacks"]) == 1
    assert ("cuda:0" if "old_driver" in options else NAME) in result.report["fallbacks"][0]
    assert reason in result.report["fallbacks"][0]


def test_a_gpu_that_had_no_room_for_the_model_is_tried_again(shallow_model, scan, expected):
    with FakeGpu(limit=3e5) as gpu:  # the test calculation fits, the model's 350 kB do not
        short = segment(scan, shallow_model).report
        gpu.limit = 1e12
        recovered = segment(scan, shallow_model)
    assert short["device"] == "cpu" and len(short["fallbacks"]) == 1
    assert recovered.report["device"] == NAME and recovered.report["fallbacks"] == []
    assert np.array_equal(recovered.labels, expected)


def test_apples_gpu_must_give_the_cpus_numbers(shallow_model, scan, expected):
    with FakeGpu(kind="mps"):
        assert choose_device("auto") == choose_device("mps") == torch.device("mps")
        labels, fallbacks, device = told(Segmenter(resolve(shallow_model)), scan)
        assert np.array_equal(labels, expected)
        assert (fallbacks, device) == ([], "Apple GPU")
    with FakeGpu(kind="mps", wrong=True):
        assert choose_device("auto") == torch.device("cpu")
        assert len(unusable_gpus()) == 1
        with pytest.raises(DeviceError, match="wrong result"):
            choose_device("mps")
    with pytest.raises(DeviceError, match="no GPU was found"):
        choose_device("mps")


# Calibration -------------------------------------------------------------------------------------------


def test_the_calibration_gives_seconds_of_the_chosen_model_on_the_device_that_a_run_would_take(shallow_model):
    default, other = resolve(None).sha256, resolve(shallow_model).sha256
    with FakeGpu():
        on_gpu = calibrate(probe(), Options())
        on_cpu = calibrate(probe(), Options(shallow_model, "cpu"))
    assert set(on_gpu) == {"cuda:0"} and 0 < on_gpu["cuda:0"][default] < 600
    assert set(on_cpu) == {"cpu"} and 0 < on_cpu["cpu"][other] < 600
    assert set(calibrate(probe(), Options(shallow_model))) == {"cpu"}, "without a GPU that is automatic"


def test_the_calibration_leaves_out_what_cannot_be_measured(tmp_path):
    with FakeGpu(limit=1_000_000):  # enough for the test calculation, not for a model
        assert calibrate(probe(), Options()) == {"cuda:0": {}}
    assert calibrate(probe(), Options(tmp_path / "none.safetensors", "cpu")) == {"cpu": {}}


def test_other_errors_are_no_lack_of_memory():
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
