"""Labels at full resolution equal the plain way in every voxel, with little memory, and can be stopped."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from iuinet.errors import Cancelled, IUINetError, UsageError
from iuinet.inference.upsampling import upsample_labels
from iuinet.inference.upsampling_reference import plain_labels, upsample

SHAPE = (6, 5, 7)
SIZES = [
    (21, 33, 19),  # upsampled by no round number
    (24, 20, 28),  # by four
    SHAPE,  # not at all
    (6, 33, 4),  # one axis kept, one longer, one shorter
    (3, 2, 5),  # downsampled
    (1, 1, 1),
    (100, 1, 2),  # far more voxels than one run holds
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """So small volumes gain nothing by threads, and lose much where the processor is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def assert_exact(logits: torch.Tensor, size: tuple[int, int, int]) -> None:
    """The fast way and the plain way give the same labels."""
    labels = upsample_labels(logits, size)
    assert labels.dtype == np.uint8 and labels.shape == tuple(size)
    np.testing.assert_array_equal(labels, plain_labels(logits, size).numpy())


@pytest.mark.parametrize("size", [(21, 33, 19), SHAPE, (100, 9, 20)])
def test_a_part_is_what_the_whole_has_there(size):
    part = slice(2, 5), slice(0, 4), slice(3, size[2])
    for logits in (smooth(), one_ulp_gaps()):
        labels = upsample_labels(logits, size, part=part)
        assert labels.shape == (3, 4, size[2] - 3)
        np.testing.assert_array_equal(labels, plain_labels(logits, size).numpy()[part])


def smooth(classes: int = 5, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> torch.Tensor:
    """Logits with regions that one class wins clearly, and boundaries between them."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, classes, 3, 3, 3, generator=generator) * 6
    return functional.interpolate(coarse, size=shape, mode="trilinear")[0]


def next_up(logits: torch.Tensor, ulps: int = 1) -> torch.Tensor:
    for _ in range(ulps):
        logits = torch.nextafter(logits, torch.tensor(torch.inf))
    return logits


def one_ulp_gaps() -> torch.Tensor:
    """Three classes that are one or two units in the last place apart, in an order that changes."""
    base = smooth(1)[0]
    raised = torch.rand((3, *SHAPE), generator=torch.Generator().manual_seed(5))
    return torch.stack([torch.where(r > 0.5, next_up(base), torch.where(r > 0.2, base, next_up(base, 2)))
                        for r in raised])  # fmt: skip


CASES = {
    "smooth regions": smooth(),
    "noise": torch.randn(14, *SHAPE, generator=torch.Generator().manual_seed(1)),
    "one class": smooth(1),
    "two classes": smooth(2),
    "all zero": torch.zeros(14, *SHAPE),
    "signed zeros": torch.zeros(4, *SHAPE).copysign(smooth(4)),
    "constants": torch.tensor([1.0, 3.0, 3.0, 2.0]).view(4, 1, 1, 1).expand(4, *SHAPE),
    "constants one ulp apart": torch.tensor([0.1, 0.1 + 2.0**-27, 0.1]).view(3, 1, 1, 1).expand(3, *SHAPE),
    "the same class twice": smooth()[[2, 0, 2, 1, 0]],
    "one ulp between two classes": torch.stack([smooth(1)[0], next_up(smooth(1)[0])]),
    "one ulp in changing order": one_ulp_gaps(),
    "small integers": torch.randint(-1, 2, (4, *SHAPE), generator=torch.Generator().manual_seed(2)).float(),
    "mirrored classes": torch.stack([smooth(1)[0], -smooth(1)[0]]),
    "huge": smooth() * 1e30,
    "near the end of the range": smooth().clamp(-1, 1) * torch.finfo(torch.float32).max,
    "tiny": smooth() * 1e-30,
    "denormal": smooth() * 1e-40,
    "every magnitude": smooth() * 10.0 ** torch.linspace(-38, 37, 7),
    "one outlier": smooth().index_put((torch.tensor(1), *[torch.tensor(2)] * 3), torch.tensor(1e35)),
    "bfloat16": smooth().bfloat16(),
    "float16": smooth().half(),
    "float64": smooth().double() + 1e-9,
    "not contiguous": smooth(shape=(7, 5, 6)).permute(0, 3, 2, 1),
    "with a graph": smooth().requires_grad_(),
    "256 classes": torch.randn(256, 2, 3, 2, generator=torch.Generator().manual_seed(3)),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_labels_equal_the_plain_way(case, size):
    assert_exact(CASES[case], size)


def test_labels_equal_the_plain_way_for_random_shapes():
    random = np.random.default_rng(20)
    for seed in range(200):
        shape = tuple(int(n) for n in random.integers(1, 6, 3))
        size = tuple(int(n) for n in random.integers(1, 24, 3))
        logits = smooth(int(random.integers(2, 15)), shape, seed)
        if seed % 4 == 1:
            logits = logits.round()  # many ties
        if seed % 4 == 2:
            logits = torch.cat([logits, next_up(logits)])
        if seed % 4 == 3:
            logits = logits.bfloat16()
        assert_exact(logits, size)


@pytest.mark.parametrize("classes", [1, 3, 8, 17])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 6), (6, 1, 1), (1, 5, 1), (2, 2, 2)], ids=str)
def test_axes_of_length_one_are_allowed(classes, shape):
    flat = torch.randn(classes, *shape, generator=torch.Generator().manual_seed(4))
    for size in ((1, 1, 1), (9, 20, 13), (2, 1, 40)):
        assert_exact(flat, size)
        assert_exact(torch.cat([flat, next_up(flat), flat]), size)


# The definition ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_plain_way_is_the_argmax_of_torchs_interpolation_but_for_rounding(size):
    logits = smooth()
    ours = torch.stack([upsample(logit, size) for logit in logits])
    assert torch.equal(plain_labels(logits, size), ours.argmax(0).to(torch.uint8))
    torchs = functional.interpolate(logits[None], size=size, mode="trilinear", align_corners=False)[0]
    torch.testing.assert_close(ours, torchs, rtol=0, atol=16 * 2.0**-23 * float(logits.abs().max()))


@pytest.mark.parametrize("case", ["smooth regions", "one ulp in changing order", "every magnitude"])
def test_the_stated_arithmetic_gives_the_same_bits_in_numpy(case):
    for logit in CASES[case]:
        for size in SIZES:
            np.testing.assert_array_equal(upsample(logit, size).numpy(), by_numpy(logit.numpy(), size))


def by_numpy(values: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
    """The upsampling as it is stated, written once more: float32, each operation rounded, last axis first."""
    one, half = np.float32(1), np.float32(0.5)
    for axis in (2, 1, 0):
        n_in, n_out = values.shape[axis], size[axis]
        scale = np.float32(n_in) / np.float32(n_out)
        source = np.maximum(scale * (np.arange(n_out, dtype=np.float32) + half) - half, np.float32(0))
        lower = source.astype(np.int64)
        w1 = (source - lower.astype(np.float32)).reshape([-1 if a == axis else 1 for a in range(3)])
        upper = np.minimum(lower + 1, n_in - 1)
        values = values.take(lower, axis) * (one - w1) + values.take(upper, axis) * w1
    return values


def test_every_processor_gives_the_same_labels():
    """A fresh process can be told to use torch's kernels for older processors, which fuse no operations."""
    code = "from unit.test_upsampling import digest; print(digest())"
    assert child(code, ATEN_CPU_CAPABILITY="default").strip() == digest()


def digest() -> str:
    """One hash of the labels of logits, no processor's own either, in which two classes all but tie."""
    integers = torch.from_numpy(np.random.default_rng(6).integers(-9, 10, (3, *SHAPE)))
    logits = integers.float() / 7
    near = torch.cat([logits, next_up(logits), logits])
    labels = [upsample_labels(some, size) for some in (logits, near, integers.float()) for size in SIZES]
    return hashlib.sha256(b"".join(one.tobytes() for one in labels)).hexdigest()


# Memory, progress, cancelling, refusals ------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from /proc")
def test_memory_stays_far_below_classes_times_voxels():
    code = """
import torch
from unit.test_upsampling import peak_bytes, smooth
from iuinet.inference.upsampling import upsample_labels
logits = smooth(14, (48, 48, 48)) + 0.3 * torch.randn(14, 48, 48, 48)
upsample_labels(logits, (40, 40, 40))  # what torch itself loads at the first use is not meant
before = peak_bytes()
upsample_labels(logits, (256, 256, 200))
print(peak_bytes() - before)
"""
    voxels = 256 * 256 * 200
    assert int(child(code)) < 150e6 < 14 * voxels  # 734 MB in float32, 13 MB of labels


def peak_bytes() -> int:
    """The most memory this process has had."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def child(code: str, **environment: str) -> str:
    """Standard output of Python code in a fresh process."""
    path = os.pathsep.join(p for p in [*sys.path, str(Path(__file__).parents[1])] if p)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_progress_rises_to_one():
    seen: list[float] = []
    upsample_labels(smooth(), (64, 64, 64), seen.append)
    assert seen == sorted(set(seen)) and seen[-1] == 1.0 and len(seen) > 2


def test_a_cancel_stops_the_work():
    asked = []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) == 3

    with pytest.raises(Cancelled):
        upsample_labels(smooth(), (64, 64, 64), cancelled=cancelled)
    assert len(asked) == 3


def test_numbers_that_are_none_are_refused():
    for wrong in (torch.nan, torch.inf, -torch.inf):
        logits = smooth()
        logits[1, 2, 3, 4] = wrong
        with pytest.raises(IUINetError) as caught:
            upsample_labels(logits, (9, 9, 9))
        assert caught.value.code == "not-finite" and caught.value.hint


@pytest.mark.parametrize(
    ("logits", "size"),
    [
        (torch.zeros(3, 4, 4), (8, 8, 8)),
        (torch.zeros(257, 2, 2, 2), (8, 8, 8)),
        (torch.zeros(0, 2, 2, 2), (8, 8, 8)),
        (torch.zeros(2, 2, 2, 2, dtype=torch.int64), (8, 8, 8)),
        (torch.zeros(2, 2, 2, 2), (8, 8)),
        (torch.zeros(2, 2, 2, 2), (8, 0, 8)),
    ],
    ids=["no classes", "too many classes", "empty", "integers", "flat", "no voxel"],
)
def test_shapes_that_make_no_sense_are_refused(logits, size):
    with pytest.raises(UsageError):
        upsample_labels(logits, size)
