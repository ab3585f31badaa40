"""DyFC, the dynamic fully connected layer (paper, section 3.1, equations 1 to 6).

A DyFC owns K basis weights and biases. Attention coefficients computed from the input's own statistics
mix them into one weight and one bias per sample:

    x_lr   = [mean - std, mean + std]           (6)   per channel, over all voxels
    a      = softmax(attention(x_lr))           (5)
    Weight = sum_k a_k Weights_k                (3)
    bias   = sum_k a_k biases_k                 (4)
    Y      = X @ Weight + bias                  (2)

The statistics are those of the inputs before normalisation: instance normalisation removes exactly the
mean and the deviation, and DyFC turns what is removed into the choice of weights. Several inputs are never
concatenated: each has its own normalisation and its own rows of the weight.

Behind normalised layers mean and std are nearly the same for every scan, so that a trained attention tends to
give one answer to all. "Standardised" reads them as deviations from what the training's scans have:
(x_lr - centre) / spread; both are numbers that the training keeps beside the weights, not parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

# By name, not as an attribute: complexity counters patch the attributes, and a softmax of K is not counted.
from torch.nn.functional import softmax

STATISTICS_EPS = 1e-5
# A norm multiplies the gradient of a blank channel by 1 / sqrt(eps). With PyTorch's 1e-5 the gradients of a
# blank volume (an all-air crop) overflow float32 on their way through the network's depth for about a third
# of the seeds; with 1e-3 they stay finite, and features of ordinary variance are normalised as before.
NORM_EPS = 1e-3
NEGATIVE_SLOPE = 0.01
# A scan unlike all others is answered as one at the edge of them.
MOST_SPREADS = 4.0


class NormActivation(nn.Sequential):
    """Instance normalisation with affine parameters, then LeakyReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.InstanceNorm3d(channels, eps=NORM_EPS, affine=True), nn.LeakyReLU(NEGATIVE_SLOPE))


def full_precision(x: torch.Tensor) -> AbstractContextManager:
    """No autocast on x's device; meta tensors, which only have a shape, know no autocast at all.

    >>> with torch.autocast("cpu", torch.bfloat16), full_precision(torch.zeros(1)):
    ...     (torch.ones(1, 1) @ torch.ones(1, 1)).dtype
    torch.float32
    """
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def _interval_statistics(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation over the voxels of x (B, C, ...), both (B, C), in at least float32.

    sqrt(var + eps): a plain deviation has a NaN gradient on a constant volume.
    """
    x = x.flatten(2)
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    mean = x.mean(2, keepdim=True)
    variance = (x - mean).square().mean(2)
    return mean.squeeze(2), (variance + STATISTICS_EPS).sqrt()


class DyFC(nn.Module):
    """Dynamic fully connected layer over one or more inputs of the same shape but for their channels.

    in_channels: channels of each input.
    out_channels: channels of the output.
    basis: K, the number of basis weights.
    raw: indices of inputs that enter without normalisation (the image).
    dim: the dimension that is mapped, 1 = channels. Another one, as the paper allows, ties the layer to
        that axis's length, which then stands in the place of in_channels and out_channels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        basis: int = 4,
        raw: Sequence[int] = (),
        dim: int = 1,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.dim = tuple(in_channels), out_channels, dim
        total = sum(in_channels)
        self.norms = nn.ModuleList(
            nn.Identity() if index in raw else NormActivation(channels)
            for index, channels in enumerate(in_channels)
        )
        hidden = max(total // 2, 1)
        self.attention = nn.Sequential(
            nn.Linear(2 * total, hidden, bias=False), nn.LeakyReLU(NEGATIVE_SLOPE), nn.Linear(hidden, basis)
        )
        bound = total**-0.5
        self.weights = nn.Parameter(torch.empty(basis, total, out_channels).uniform_(-bound, bound))
        self.biases = nn.Parameter(torch.empty(basis, out_channels).uniform_(-bound, bound))
        self.standardised = False

    def standardise(self) -> None:
        """Let the attention read deviations; until a training sets centre and spread, what it read before."""
        self.standardised = True
        self.register_buffer("centre", self.weights.new_zeros(2 * sum(self.in_channels)))
        self.register_buffer("spread", self.weights.new_ones(2 * sum(self.in_channels)))

    def coefficients(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Attention coefficients (B, K), equations 5 and 6, in float32 whatever the autocast dtype."""
        with full_precision(inputs[0]):
            statistics = [_interval_statistics(x) for x in inputs]
            return self.attend(*(torch.cat(parts, 1) for parts in zip(*statistics, strict=True)))

    def attend(self, mean: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
        """Attention coefficients (B, K) of inputs with this mean and deviation, (B, N) each."""
        interval = torch.cat([mean - deviation, mean + deviation], 1)
        if self.standardised:
            interval = ((interval - self.centre) / self.spread).clamp(-MOST_SPREADS, MOST_SPREADS)
        return softmax(self.attention(interval.to(self.weights.dtype)), dim=1)

    def mixed(self, coefficients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight (B, N, M) and bias (B, M) of each sample, equations 3 and 4."""
        weight = (coefficients @ self.weights.flatten(1)).unflatten(1, self.weights.shape[1:])
        return weight, coefficients @ self.biases

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Inputs (B, N_i, ...) -> (B, M, ...); with another dim, that axis is mapped instead."""
        inputs = [x.movedim(self.dim, 1) for x in inputs] if self.dim != 1 else inputs
        weight, bias = self.mixed(self.coefficients(inputs))
        result = bias.unsqueeze(2)
        parts = weight.transpose(1, 2).split(self.in_channels, dim=2)
        for x, norm, part in zip(inputs, self.norms, parts, strict=True):
            result = result + part @ norm(x).flatten(2)
        result = result.unflatten(2, inputs[0].shape[2:])
        return result.movedim(1, self.dim) if self.dim != 1 else result
