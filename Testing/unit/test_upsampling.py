"""Labels at full resolution equal the plain way in every voxel, with little memory, and can be stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from iuinet.errors import Cancelled, IUINetError, UsageError
from iuinet.inference import upsampling
from iuinet.inference.upsampling import upsample_labels
from iuinet.inference.upsampling_reference import (
    Arithmetic,
    explicit_upsampling,
    fused_first,
    fused_multiply_add,
    fused_second,
    plain_labels,
    separate,
    torch_arithmetic,
)

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
        if seed % 4 == 2 and shape != (1, 1, 1):  # torch has another kernel there, see upsample_labels
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
        if shape != (1, 1, 1):
            assert_exact(torch.cat([flat, next_up(flat), flat]), size)


# The arithmetic ------------------------------------------------------------------------------------------


def test_the_arithmetic_of_this_torch_is_a_known_one():
    assert torch_arithmetic().verified


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_explicit_formula_gives_the_bits_of_torch(size):
    logits = smooth()
    expected = functional.interpolate(logits[None], size=size, mode="trilinear", align_corners=False)[0]
    assert torch.equal(explicit_upsampling(logits, size, torch_arithmetic()), expected)


@pytest.mark.parametrize("fused_source", [True, False])
@pytest.mark.parametrize("lerp", [fused_first, fused_second, separate])
def test_the_fast_way_follows_whatever_arithmetic_torch_has(monkeypatch, lerp, fused_source):
    arithmetic = Arithmetic(lerp, fused_source)
    monkeypatch.setattr(upsampling, "torch_arithmetic", lambda: arithmetic)
    for logits in (one_ulp_gaps(), smooth(), CASES["small integers"], CASES["every magnitude"]):
        for size in SIZES:
            expected = explicit_upsampling(logits, size, arithmetic).argmax(0)
            np.testing.assert_array_equal(upsample_labels(logits, size), expected.numpy())


def test_a_wrong_arithmetic_would_change_labels_only_where_two_classes_all_but_tie():
    logits, size = one_ulp_gaps(), SIZES[0]
    values = functional.interpolate(logits[None], size=size, mode="trilinear", align_corners=False)[0]
    other = next(a for a in (separate, fused_second) if a is not torch_arithmetic().lerp)
    labels = explicit_upsampling(logits, size, Arithmetic(other, False)).argmax(0)
    differs = labels != values.argmax(0)
    assert differs.any(), "the case does not tell the arithmetics apart"
    best, second = values.topk(2, dim=0).values
    assert (best - second)[differs].max() <= 16 * 2.0**-23 * logits.abs().max()


def test_labels_equal_the_plain_way_on_other_processors():
    """torch's kernels for older processors round differently; a fresh process can be told to use them."""
    code = """
import torch
from unit.test_upsampling import CASES, SIZES, assert_exact
for case in ("smooth regions", "one ulp in changing order", "small integers", "every magnitude"):
    for size in SIZES:
        assert_exact(CASES[case], size)
"""
    child(code, ATEN_CPU_CAPABILITY="default")


def test_fused_multiply_add_rounds_once():
    random = np.random.default_rng(7)
    count = 3000
    exponents = random.integers(-20, 20, (2, count))
    a, c = random.standard_normal((2, count)) * 2.0**exponents
    b = random.random(count)
    # Sums just beside the middle between two float32: rounding to float64 first would lose on which side.
    c[:1000] = random.integers(2**23, 2**24, 1000)
    a[:1000] = 1 + 2.0 ** -random.integers(1, 23, 1000)
    b[:1000] = 0.5 * (1 + random.choice([-1, 1], 1000) * 2.0 ** -random.integers(1, 24, 1000))
    # Denormal results.
    a[1000:1500] *= 2.0**-120
    c[1000:1500] *= 2.0**-120
    a, b, c = (torch.from_numpy(x).float() for x in (a, b, c))
    computed = fused_multiply_add(a, b, c).tolist()
    twice = (a.double() * b.double() + c.double()).float().tolist()
    wrong_twice = 0
    for x, y, z, result, naive in zip(a.tolist(), b.tolist(), c.tolist(), computed, twice, strict=True):
        exact = Fraction(x) * Fraction(y) + Fraction(z)
        assert result == nearest_float32(exact)
        wrong_twice += naive != result
    assert wrong_twice, "the case does not tell one rounding from two"


def nearest_float32(exact: Fraction) -> float:
    """The float32 nearest to an exact number below overflow, the even one of two equally near."""
    guess = np.float32(float(exact))
    near = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    return float(min(near, key=lambda x: (abs(Fraction(float(x)) - exact), int(x.view(np.int32)) & 1)))


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
