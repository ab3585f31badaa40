"""DyFC against the paper's equations written out, and its numerics."""

import pytest
import torch

from iuinet.network.dyfc import STATISTICS_EPS, DyFC


def written_out(layer: DyFC, inputs: list[torch.Tensor]) -> torch.Tensor:
    """Equations 2 to 6 for one sample after another, without broadcasting tricks."""
    results = []
    for sample in range(inputs[0].shape[0]):
        x = [part[sample : sample + 1] for part in inputs]
        raw = torch.cat(x, 1).flatten(2)[0]  # (N, voxels)
        mean = raw.mean(1)
        std = (raw.var(1, unbiased=False) + STATISTICS_EPS).sqrt()
        x_lr = torch.cat([mean - std, mean + std])  # (6)
        atten = torch.softmax(layer.attention(x_lr[None])[0], 0)  # (5)
        weight = sum(a * w for a, w in zip(atten, layer.weights, strict=True))  # (3)
        bias = sum(a * b for a, b in zip(atten, layer.biases, strict=True))  # (4)
        normed = torch.cat([norm(part) for norm, part in zip(layer.norms, x, strict=True)], 1)
        y = normed.flatten(2)[0].t() @ weight + bias  # (2)
        results.append(y.t().unflatten(1, inputs[0].shape[2:]))
    return torch.stack(results)


def test_the_layer_computes_the_papers_equations():
    torch.manual_seed(0)
    layer = DyFC([3, 4], 5).double()
    inputs = [torch.randn(2, 3, 4, 5, 6).double() * 7 + 2, torch.randn(2, 4, 4, 5, 6).double()]
    torch.testing.assert_close(layer(*inputs), written_out(layer, inputs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dim", [2, 3, 4])
def test_another_dimension_can_be_mapped(dim):
    torch.manual_seed(1)
    x = torch.randn(2, 3, 4, 5, 6).double()
    layer = DyFC([x.shape[dim]], 7, dim=dim).double()
    y = layer(x)
    moved = DyFC([x.shape[dim]], 7).double()
    moved.load_state_dict(layer.state_dict())
    assert y.shape[dim] == 7 and y.movedim(dim, 0).shape[1:] == x.movedim(dim, 0).shape[1:]
    expected = written_out(moved, [x.movedim(dim, 1)]).movedim(1, dim)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)


def test_the_coefficients_are_a_mixture():
    coefficients = DyFC([4], 2).coefficients([torch.randn(3, 4, 5, 5, 5)])
    assert coefficients.shape == (3, 4) and (coefficients > 0).all()
    torch.testing.assert_close(coefficients.sum(1), torch.ones(3))


def test_the_choice_of_weights_sees_what_the_norm_removes():
    layer, x = DyFC([4], 2), torch.randn(1, 4, 5, 5, 5)
    assert not torch.allclose(layer.coefficients([x]), layer.coefficients([3 * x + 10]))


def test_statistics_stay_in_float32_under_autocast():
    layer, x = DyFC([4], 2), 1000 + torch.randn(1, 4, 8, 8, 8)
    expected = layer.coefficients([x])
    with torch.autocast("cpu", torch.bfloat16):
        found = layer.coefficients([x])
        assert layer(x).dtype == torch.bfloat16 or layer(x).dtype == torch.float32
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_a_constant_volume_has_finite_gradients(value):
    layer, x = DyFC([3], 2), torch.full((1, 3, 4, 4, 4), value, requires_grad=True)
    layer(x).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


def test_a_raw_input_enters_without_normalization():
    layer = DyFC([2, 1], 3, raw=[1])
    assert [len(list(norm.parameters())) for norm in layer.norms] == [2, 0]
