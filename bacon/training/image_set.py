"""Labelled images for one device, which stay in the form, and where they must in the place, that takes least of its memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy.typing as npt
import torch
from torch import Tensor

from bacon.runtime.errors import BaconError
from bacon.runtime.host_rows import HostRows, Placement, stays_on_host
from bacon.transforms.whitener import Whitener

if TYPE_CHECKING:
    from bacon.datasets.whitening import Whitening

SoftKind = Literal["probabilities", "logits"]


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Labelled images for one device: uint8 and normalised when used, or float32 and normalised already.

    Attributes:
        images: (N, C, H, W) uint8 or float32; on the device, or on the host where ``rows`` brings batches of them.
        labels: (N,) int64 on the device, the class of each image, whatever it is trained with.
        rows: brings batches of images that stay on the host; ``None``: they are on the device.
        soft: (N, K) float32 soft labels, for recipes that train with them; ``None``: there are none.
        soft_kind: whether ``soft`` holds probabilities or logits (or other learned values, which only the loss mse takes).
        rates: learning rates learned with the images: one, or one for each step; empty: none.
        scale: (C, 1, 1) float32, factor of uint8 images; ``None`` for float32 images.
        shift: (C, 1, 1) float32, added after ``scale``.
        whitener: whitens uint8 images in place of ``scale`` and ``shift``; ``None``: not asked for.
        mean: (C, 1, 1) float32 that pixels in [0, 1] are normalised with; ``None``: unknown, or whitened.
        std: (C, 1, 1) float32, the standard deviation; ``None`` as for ``mean``.
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
    rows: HostRows | None = None

    def __post_init__(self) -> None:
        """Raise :class:`BaconError` for labels that are not classes, or soft labels of other images."""
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
        placement: Placement = "auto",
    ) -> ImageSet:
        """Images (N, C, H, W) uint8 that become ``(x / 255 - mean) / std`` when used, or are whitened; they stay uint8.

        ``placement`` (``run.real_images``) says where they stay; it changes no draw and no bit of a batch.
        """
        host = torch.from_numpy(images)
        is_streamed = stays_on_host(placement, images.nbytes, device, name=f"{len(images)} images")
        channel_mean = torch.tensor(mean, dtype=torch.float64)[:, None, None]
        channel_std = torch.tensor(std, dtype=torch.float64)[:, None, None]
        return cls(
            images=host if is_streamed else host.to(device),
            rows=HostRows(host, device) if is_streamed else None,
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
        """Where batches are used."""
        return self.labels.device

    def at(self, places: Tensor) -> Tensor:
        """Normalised images at ``places`` (B,) int64, which are where :attr:`images` are: (B, C, H, W) float32."""
        return self.normalised(self.images.index_select(0, places) if self.rows is None else self.rows.at(places))

    def pieces(self, size: int) -> Iterator[Tensor]:
        """All images in their order, normalised, ``size`` at a time."""
        yield from map(self.normalised, self.images.split(size) if self.rows is None else self.rows.pieces(size))

    def first(self, count: int) -> ImageSet:
        """The first ``count`` images, without a copy."""
        soft = None if self.soft is None else self.soft[:count]
        images = self.images[:count]
        rows = None if self.rows is None else HostRows(images, self.device)
        return replace(self, images=images, labels=self.labels[:count], soft=soft, rows=rows)

    def normalised(self, images: Tensor) -> Tensor:
        """Some of the set's ``images`` as float32, normalised; same shape."""
        if self.whitener is not None:
            return self.whitener(images)
        if self.scale is None or self.shift is None:
            return images
        return images.to(torch.float32).mul_(self.scale).add_(self.shift)
