"""The shift: the reference's rules, and the fast path against the reference."""

import pytest
import torch

from iuinet.network.shift import Shift, hat_kernel, shift_reference
from iuinet.network.shift_fast import can_shift_fast, shift_fast


def away_from_integers(channels: int, limit: float = 2.5) -> torch.Tensor:
    whole = torch.randint(-int(limit), int(limit), (channels, 3), dtype=torch.double)
    return whole + 0.05 + 0.9 * torch.rand(channels, 3, dtype=torch.double)


def by_definition(x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """y[c, p] = x[c, p + offset_c], trilinear, zero outside: written out voxel by voxel."""
    result = torch.zeros_like(x)
    for channel, *p in torch.cartesian_prod(*[torch.arange(n) for n in x.shape[1:]]).tolist():
        position = torch.tensor(p) + offsets[channel]
        for corner in torch.cartesian_prod(*[torch.tensor([0, 1])] * 3):
            q = position.floor() + corner
            inside = all(0 <= q[axis] < x.shape[2 + axis] for axis in range(3))
            if inside:
                weight = (1 - (position - q).abs()).prod()
                result[:, (channel, *p)[0], p[0], p[1], p[2]] += weight * x[:, channel, *q.long().tolist()]
    return result


@pytest.mark.parametrize("shift", [shift_reference, shift_fast])
def test_the_shift_follows_its_definition(shift):
    torch.manual_seed(0)
    x, offsets = torch.randn(2, 3, 3, 4, 5, dtype=torch.double), away_from_integers(3)
    torch.testing.assert_close(shift(x, offsets), by_definition(x, offsets), rtol=0, atol=1e-14)


@pytest.mark.parametrize("shift", [shift_reference, shift_fast])
def test_gradients_agree_with_finite_differences_away_from_integers(shift):
    torch.manual_seed(1)
    x = torch.randn(1, 2, 3, 4, 3, dtype=torch.double, requires_grad=True)
    offsets = away_from_integers(2).requires_grad_()
    assert torch.autograd.gradcheck(shift, (x, offsets))


def test_the_fast_path_gives_the_outputs_and_gradients_of_the_reference():
    torch.manual_seed(2)
    for size in [(4, 4, 4), (5, 7, 6), (1, 3, 2), (16, 8, 2)]:
        x = torch.randn(2, 6, *size, dtype=torch.double, requires_grad=True)
        offsets = (away_from_integers(6) * torch.tensor([1.0, 3.0, 0.3])).requires_grad_()
        gradient = torch.randn(2, 6, *size, dtype=torch.double)
        results = []
        for shift in (shift_reference, shift_fast):
            y = shift(x, offsets)
            results.append((y.detach(), *torch.autograd.grad((y * gradient).sum(), (x, offsets))))
        for reference, fast in zip(*results, strict=True):
            torch.testing.assert_close(fast, reference, rtol=1e-12, atol=1e-12)


def test_whole_offsets_move_voxels_unchanged_and_bring_in_zeros():
    x = torch.randn(1, 2, 4, 4, 4)
    offsets = torch.tensor([[1.0, 0.0, 0.0], [0.0, -2.0, 0.0]])
    y = shift_reference(x, offsets)
    torch.testing.assert_close(y[:, 0, :3], x[:, 0, 1:], rtol=0, atol=0)
    torch.testing.assert_close(y[:, 1, :, 2:], x[:, 1, :, :2], rtol=0, atol=0)
    assert not y[:, 0, 3].any() and not y[:, 1, :, :2].any()


def test_at_a_whole_offset_the_gradient_is_the_difference_of_both_neighbours():
    x = torch.randn(1, 1, 8, 1, 1, dtype=torch.double)
    offsets = torch.zeros(1, 3, dtype=torch.double, requires_grad=True)
    gradient = torch.zeros_like(x)
    gradient[0, 0, 4] = 1
    shift_reference(x, offsets).backward(gradient)
    torch.testing.assert_close(offsets.grad[0, 0], x[0, 0, 5, 0, 0] - x[0, 0, 3, 0, 0])
    assert not can_shift_fast(x, offsets), "the fast path has another rule there and must step aside"


@pytest.mark.parametrize("shift", [shift_reference, shift_fast])
@pytest.mark.parametrize("offset", [9.3, -9.3, 5.5, 1e6])
def test_offsets_beyond_the_volume_give_zeros_and_finite_gradients(shift, offset):
    x = torch.randn(1, 1, 4, 4, 4, requires_grad=True)
    offsets = torch.tensor([[offset, 0.25, 0.25]], requires_grad=True)
    y = shift(x, offsets)
    y.sum().backward()
    assert not y.any() and torch.isfinite(x.grad).all() and torch.isfinite(offsets.grad).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_any_floating_dtype_is_kept(dtype):
    torch.manual_seed(3)
    x, offsets = torch.randn(1, 4, 5, 6, 7), torch.rand(4, 3) * 1.8 - 0.9
    exact = shift_reference(x.double(), offsets.double())
    tolerance = 40 * torch.finfo(dtype).eps
    for shift in (shift_reference, shift_fast):
        y = shift(x.to(dtype), offsets)
        assert y.dtype == dtype
        torch.testing.assert_close(y.double(), exact, rtol=0, atol=tolerance)


def test_an_empty_image_stays_finite():
    shift = Shift(3)
    y = shift(torch.zeros(1, 3, 4, 4, 4))
    y.sum().backward()
    assert not y.any() and torch.isfinite(shift.offsets.grad).all()


def test_a_bypassed_shift_changes_nothing_and_lists_its_offsets():
    shift, x = Shift(3, enabled=False), torch.randn(1, 3, 4, 4, 4)
    assert shift(x) is x and sum(p.numel() for p in shift.parameters()) == 9


def test_the_hat_kernel_sums_to_one_and_spans_two_voxels():
    kernel = hat_kernel(torch.tensor([-1.3, 0.0, 0.75]), radius=3)
    torch.testing.assert_close(kernel.sum(1), torch.ones(3))
    assert (kernel > 0).sum(1).tolist() == [2, 1, 2]
