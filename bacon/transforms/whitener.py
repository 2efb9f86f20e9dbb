"""ZCA whitening of batches on the device, the same for distillation and evaluation."""

from __future__ import annotations

import torch
from torch import Tensor

from bacon.datasets.whitening import Whitening


class Whitener:
    """``matrix @ (x / 255 - mean)`` of flattened images, in place of normalisation by mean and standard deviation.

    Args:
        whitening: fitted on the training images.
        device: where batches are.
        dtype: floating dtype of whitened batches.
    """

    def __init__(self, whitening: Whitening, *, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self._mean = torch.from_numpy(whitening.mean).to(device, dtype)
        self._matrix = torch.from_numpy(whitening.matrix).to(device, dtype)
        self._dtype = dtype

    def __call__(self, images: Tensor) -> Tensor:
        """(..., C, H, W) uint8 -> (..., C, H, W) whitened."""
        flat = images.to(self._dtype).div_(255).flatten(-3)  # (..., D)
        return torch.matmul(flat - self._mean, self._matrix).view(images.shape)
