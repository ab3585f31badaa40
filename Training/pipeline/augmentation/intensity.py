"""Random changes of the HU: what other scanners, doses, kernels and contrast would have given."""

from __future__ import annotations

import torch

from iuinet.preprocessing import HIGHEST_HU, LOWEST_HU, resize_weights

from .settings import Augmentation, between, factor, happens

_MIDDLE_HU = 40.0  # soft tissue stays in place when contrast changes
_GAMMA_HU = (-160.0, 240.0)


def change_intensities(image: torch.Tensor, settings: Augmentation, chance: torch.Generator) -> torch.Tensor:
    """The image (S, S, S), float32 HU, changed by the settings; the image itself where nothing happens."""
    if happens(settings.low_resolution_probability, chance):
        image = coarsen(image, *_draw_coarsening(settings, chance))
    if happens(settings.blur_probability, chance):
        image = blur(image, between(*settings.blur_voxels, chance))
    if happens(settings.contrast_probability, chance):
        image = (image - _MIDDLE_HU) * factor(*settings.contrast, chance) + _MIDDLE_HU
    if happens(settings.brightness_probability, chance):
        image = image + between(-settings.brightness_hu, settings.brightness_hu, chance)
    if happens(settings.gamma_probability, chance):
        image = bend(image, factor(*settings.gamma, chance))
    if happens(settings.noise_probability, chance):
        noise = torch.randn(image.shape, generator=chance).to(image.device)
        image = image + between(*settings.noise_hu, chance) * noise
    return image.clamp(LOWEST_HU, HIGHEST_HU)


def _draw_coarsening(settings: Augmentation, chance: torch.Generator) -> tuple[int, float]:
    # Mostly along the body's axis, as with thick slices.
    axis = int(torch.multinomial(torch.tensor([0.7, 0.15, 0.15]), 1, generator=chance))
    return axis, between(*settings.low_resolution, chance)


def coarsen(image: torch.Tensor, axis: int, times: float) -> torch.Tensor:
    """Make one axis so many times coarser, and as fine as it was again."""
    size = image.shape[axis]
    coarse = max(2, round(size / times))
    weights = resize_weights(coarse, size) @ resize_weights(size, coarse)
    return _along(image, axis, weights)


def blur(image: torch.Tensor, deviation: float) -> torch.Tensor:
    """A Gaussian of this standard deviation in voxels; at the faces what is there is weighed again."""
    for axis, size in enumerate(image.shape):
        place = torch.arange(size, dtype=torch.float32)
        weights = torch.exp(-(((place[:, None] - place) / deviation) ** 2) / 2)
        image = _along(image, axis, weights / weights.sum(1, keepdim=True))
    return image


def bend(image: torch.Tensor, gamma: float) -> torch.Tensor:
    """Apply an exponent within -160 to 240 HU; both ends, and what lies beyond, stay."""
    low, high = _GAMMA_HU
    inside = (image > low) & (image < high)
    share = ((image - low) / (high - low)).clamp(1e-6, 1)
    return torch.where(inside, low + (high - low) * share**gamma, image)


def _along(image: torch.Tensor, axis: int, weights: torch.Tensor) -> torch.Tensor:
    return torch.movedim(torch.tensordot(weights.to(image), image, dims=([1], [axis])), 0, axis)
