"""From real uint8 images to what networks see: per channel by mean and standard deviation, or ZCA-whitened.

Distillation, evaluation and distilled sets use this one definition, so that synthetic and real images are in one space.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from bacon.datasets.whitening import Whitening


class Normaliser:
    """The map of a data set, on one device.

    Args:
        mean: per channel, of images in [0, 1].
        std: per channel, positive.
        whitening: ZCA in place of ``mean`` and ``std``; ``None``: not asked for.
        device: where images are.
        dtype: floating dtype of normalised images.
    """

    def __init__(
        self,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        whitening: Whitening | None = None,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dtype = dtype
        channel_mean = torch.tensor(mean, dtype=torch.float64)[:, None, None]
        channel_std = torch.tensor(std, dtype=torch.float64)[:, None, None]
        self._scale = (1 / (255 * channel_std)).to(device, dtype)
        self._shift = (-channel_mean / channel_std).to(device, dtype)
        self._centre: Tensor | None = None
        if whitening is not None:
            self._centre = (255 * torch.from_numpy(whitening.mean).double()).to(device, dtype)
            self._matrix = (torch.from_numpy(whitening.matrix).double() / 255).to(device, dtype)

    def __call__(self, images: Tensor) -> Tensor:
        """Images (..., C, H, W) uint8 -> (..., C, H, W) in ``dtype``, a new tensor.

        ``(x / 255 - mean) / std``, or with ZCA ``matrix @ (x / 255 - mean)`` of the flattened image.
        """
        if self._centre is None:
            return images.to(self.dtype).mul_(self._scale).add_(self._shift)
        # Centred first: the products are then small numbers, which keeps float32 exact enough.
        flat = images.flatten(-3).to(self.dtype).sub_(self._centre)
        return (flat @ self._matrix).reshape(images.shape)
