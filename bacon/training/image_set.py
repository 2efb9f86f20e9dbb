"""Labelled images on one device, which stay in the form that takes least memory until they are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy.typing as npt
import torch
from torch import Tensor

from bacon.runtime.errors import BaconError
from bacon.transforms.whitener import Whitener

if TYPE_CHECKING:
    from bacon.datasets.whitening import Whitening

SoftKind = Literal["probabilities", "logits"]


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Labelled images on one device: uint8 and normalised when used, or float32 and normalised already.

    Attributes:
        images: (N, C, H, W) uint8 or float32.
        labels: (N,) int64, the class of each image, whatever it is trained with.
        soft: (N, K) float32 soft labels, for recipes that train with them; ``None``: there are none.
        soft_kind: whether ``soft`` holds probabilities or logits (or other learned values, which only the loss mse takes).
        rates: learning rates learned with the images: one, or one for each step; empty: none.
        scale: (C, 1, 1) float32, factor of uint8 images; ``None`` for float32 images.
        shift: (C, 1, 1) float32, added after ``scale``.
        whitener: whitens uint8 images in place of ``scale`` and ``shift``; ``None``: not asked for.
        mean: (C, 1, 1) float32 that pixels in [0, 1] are normalised with; ``None``: unknown, or whitened.
        std: (C, 1, 1) float32 likewise.
    """

    images: Tensor
    labels: Tensor
    scale: Tensor | None = None
    shift: Tensor | None = None
    whitener: Whitener | None = None
    mean: Tensor | None = None
    std: Tensor | None = None
    soft: Tensor | None = None
    soft_kind: SoftKind = "probabilities"
    rates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raise :class:`BaconError` for labels that are no classes, or soft labels that do not belong to the images."""
        count = len(self.images)
        if self.labels.shape != (count,) or self.labels.dtype != torch.int64:
            raise BaconError(
                f"labels {self.labels.dtype} {tuple(self.labels.shape)} of {count} images: labels are the classes, "
                "(N,) int64; soft labels are given as `soft`"
            )
        if self.soft is not None and (self.soft.ndim != 2 or len(self.soft) != count):
            raise BaconError(f"soft labels {tuple(self.soft.shape)} of {count} images: they are (N, classes)")

    @classmethod
    def of_uint8(
        cls,
        images: npt.NDArray[Any],
        labels: npt.NDArray[Any],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
        whitening: Whitening | None = None,
    ) -> ImageSet:
        """Images (N, C, H, W) uint8 that become ``(x / 255 - mean) / std`` when used, or are whitened; they stay uint8."""
        channel_mean = torch.tensor(mean, dtype=torch.float64)[:, None, None]
        channel_std = torch.tensor(std, dtype=torch.float64)[:, None, None]
        return cls(
            images=torch.from_numpy(images).to(device),
            labels=torch.from_numpy(labels).to(device),
            scale=(1 / (255 * channel_std)).to(device, torch.float32),
            shift=(-channel_mean / channel_std).to(device, torch.float32),
            whitener=Whitener(whitening, device=device) if whitening is not None else None,
            mean=channel_mean.to(device, torch.float32) if whitening is None else None,
            std=channel_std.to(device, torch.float32) if whitening is None else None,
        )

    @classmethod
    def of_normalised(
        cls,
        images: Tensor,
        labels: Tensor,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        whitened: bool = False,
        soft: Tensor | None = None,
        soft_kind: SoftKind | None = None,
        rates: Sequence[float] = (),
    ) -> ImageSet:
        """Images (N, C, H, W) float32 that are normalised with ``mean`` and ``std`` already, or ``whitened``."""
        mean_std = (
            torch.tensor(values, dtype=torch.float32, device=images.device)[:, None, None] for values in (mean, std)
        )
        channel_mean, channel_std = (None, None) if whitened else mean_std
        return cls(
            images=images,
            labels=labels,
            mean=channel_mean,
            std=channel_std,
            soft=soft,
            soft_kind=soft_kind or "probabilities",
            rates=tuple(rates),
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    def first(self, count: int) -> ImageSet:
        """The first ``count`` images, without a copy."""
        soft = None if self.soft is None else self.soft[:count]
        return replace(self, images=self.images[:count], labels=self.labels[:count], soft=soft)

    def normalised(self, images: Tensor) -> Tensor:
        """Some of the set's ``images`` as float32, normalised; same shape."""
        if self.whitener is not None:
            return self.whitener(images)
        if self.scale is None or self.shift is None:
            return images
        return images.to(torch.float32).mul_(self.scale).add_(self.shift)
