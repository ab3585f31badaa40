"""What the scanner adds: the kernel, noise, the reconstruction circle and whole Hounsfield units."""

from __future__ import annotations

import numpy as np

from iuinet.sample.noise import blurred_noise, stream
from iuinet.sample.options import SampleOptions

LOWEST_HU, HIGHEST_HU = -1024, 3071


def acquire(
    hu: np.ndarray, pixel_mm: float, spacing_mm: float, seed: int, options: SampleOptions
) -> np.ndarray:
    """The picture as it leaves the scanner: int16 HU of the same shape (k, j, i).

    Noise is correlated in the plane by the kernel, and between slices that overlap; it fades towards the
    edge of the picture, as rays there cross less of the body.
    """
    picture = hu
    if options.noise_hu > 0:
        soft = options.noise_correlation_mm / pixel_mm
        overlap = max(0.0, (options.thickness_mm or spacing_mm) / spacing_mm - 1)
        noise = blurred_noise(stream(seed, "noise"), hu.shape, (0.5 * overlap, soft, soft))
        rows = np.linspace(-1, 1, hu.shape[1], dtype=np.float32)[:, None]
        columns = np.linspace(-1, 1, hu.shape[2], dtype=np.float32)[None, :]
        strength = options.noise_hu * (1.05 - 0.35 * np.clip(rows**2 + columns**2, 0, 1))
        noise *= strength.astype(np.float32)
        picture = hu + noise
    picture = np.clip(np.rint(picture), LOWEST_HU, HIGHEST_HU).astype(np.int16)
    if options.circle:
        j, i = np.indices(hu.shape[1:], dtype=np.float32)
        middle_j, middle_i = (hu.shape[1] - 1) / 2, (hu.shape[2] - 1) / 2
        outside = (j - middle_j) ** 2 + (i - middle_i) ** 2 > (max(hu.shape[1:]) / 2) ** 2
        picture[:, outside] = LOWEST_HU
    return picture
