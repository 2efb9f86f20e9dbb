"""ZCA whitening: decorrelate the pixels, staying as close to the image as possible.

Bell and Sejnowski, The "independent components" of natural scenes are edge filters, Vision Research 1997; with the
regularised eigenvalues that the field uses (Krizhevsky 2009; epsilon .1 on images in [0, 1], as in MTT's experiments).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bacon.runtime.errors import BaconError

_BLOCK = 1024
# A covariance of 64x64 colour images is 12288^2 doubles = 1.2 GB, and its eigenvectors as much again.
MAX_DIMENSION = 12288


@dataclass(frozen=True, kw_only=True)
class Whitening:
    """An affine map of images x in [0, 1], flattened to D = C * H * W values: ``matrix @ (x - mean)``.

    It replaces normalisation by mean and standard deviation.

    Attributes:
        mean: (D,) float32, the mean training image.
        matrix: (D, D) float32, symmetric: U diag(1 / sqrt(eigenvalue + epsilon)) U^T.
        epsilon: what was added to the eigenvalues.
    """

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]
    epsilon: float

    @cached_property
    def inverse(self) -> NDArray[np.float32]:
        """(D, D) float32, symmetric: U diag(sqrt(eigenvalue + epsilon)) U^T."""
        # From the matrix, so that files hold one of the two; epsilon bounds its condition.
        return np.linalg.inv(self.matrix.astype(np.float64)).astype(np.float32)

    def apply(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, C, H, W) float32 in [0, 1] -> (N, C, H, W) float32 whitened."""
        flat = images.reshape(len(images), -1)
        return np.asarray((flat - self.mean) @ self.matrix, dtype=np.float32).reshape(images.shape)

    def invert(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, C, H, W) float32 whitened -> (N, C, H, W) float32, in [0, 1] where it came from there."""
        flat = images.reshape(len(images), -1)
        return np.asarray(flat @ self.inverse + self.mean, dtype=np.float32).reshape(images.shape)


def fit_whitening(images: NDArray[np.uint8], epsilon: float, name: str) -> Whitening:
    """Fit ZCA whitening.

    Args:
        images: (N, C, H, W) uint8, the training split.
        epsilon: positive; added to the eigenvalues of the covariance of images in [0, 1].
        name: the data set, for the message.

    Raises:
        BaconError: the images are too large for a full covariance.
    """
    dimension = int(np.prod(images.shape[1:]))
    if dimension > MAX_DIMENSION:
        raise BaconError(
            f"{name}: ZCA whitening of images with {dimension} values needs a {dimension} x {dimension} matrix; at most "
            f"{MAX_DIMENSION} values are supported. Set a smaller data.{name}.size, or zca: false where it is asked for"
        )
    mean, covariance = _moments(images, dimension)
    values, vectors = np.linalg.eigh(covariance)
    scale = np.sqrt(np.maximum(values, 0) + epsilon)
    return Whitening(
        mean=mean.astype(np.float32),
        matrix=((vectors / scale) @ vectors.T).astype(np.float32),
        epsilon=epsilon,
    )


def _moments(images: NDArray[np.uint8], dimension: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (D,) and population covariance (D, D) of flattened images in [0, 1], in float64, block by block."""
    count = len(images)
    mean = images.reshape(count, dimension).mean(axis=0, dtype=np.float64) / 255
    covariance = np.zeros((dimension, dimension))
    for start in range(0, count, _BLOCK):
        block = images[start : start + _BLOCK].reshape(-1, dimension) / 255 - mean
        covariance += block.T @ block
    return mean, covariance / count
