"""A synthetic set: images, the class of each, and what a method learns besides, in the form in which it is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from bacon.runtime.errors import BaconError
from bacon.transforms.partition import decode

SoftKind = Literal["probabilities", "logits"]


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Bytes that a synthetic set takes uncompressed, as the field's tables should count it.

    Attributes:
        images: of the stored images.
        labels: of what is stored besides the class order: soft labels and learned learning rates.
        decoder: of what training images are decoded with (a generator's weights; 0 for partition).
    """

    images: int
    labels: int
    decoder: int

    @property
    def total(self) -> int:
        """All bytes."""
        return self.images + self.labels + self.decoder


@dataclass(frozen=True, kw_only=True)
class SyntheticSet:
    """A synthetic set in its stored form.

    Attributes:
        images: (M, C, H, W) float32, normalised (or whitened) as the data set is; partitioned as ``partition`` says.
        classes: (M,) int64, the class of each stored image, always there.
        soft: (M, K) float32 soft labels over the K classes, or ``None``: the class is the label. All parts of a partitioned
            image share its row.
        soft_kind: what ``soft`` holds: probabilities (rows sum to 1) or logits; ``None`` where there are none.
        rates: (T,) float32 learned learning rates, one, or one for each training step; ``None``: the evaluation's own.
        partition: codec: a stored image holds partition^2 training images (IDM; docs/algorithms.md).
    """

    images: Tensor
    classes: Tensor
    soft: Tensor | None = None
    soft_kind: SoftKind | None = None
    rates: Tensor | None = None
    partition: int = 1

    def __post_init__(self) -> None:
        """Raise :class:`BaconError` for parts that do not belong together."""
        count = len(self.images)
        if self.images.ndim != 4 or self.classes.shape != (count,) or self.classes.dtype != torch.int64:
            raise BaconError(
                f"a synthetic set of images {tuple(self.images.shape)} with classes {self.classes.dtype} "
                f"{tuple(self.classes.shape)}: images are (M, C, H, W) and classes (M,) int64"
            )
        if (self.soft is None) != (self.soft_kind is None):
            raise BaconError("soft labels and their kind (probabilities or logits) go together: give both or neither")
        if self.soft is not None and (self.soft.ndim != 2 or len(self.soft) != count):
            raise BaconError(f"soft labels {tuple(self.soft.shape)} for {count} images: they are (M, classes)")

    def __len__(self) -> int:
        return len(self.images)

    def storage(self) -> Storage:
        """Bytes of images, labels and decoder; classes in class order cost nothing."""
        labels = sum(part.numel() * part.element_size() for part in (self.soft, self.rates) if part is not None)
        return Storage(images=self.images.numel() * self.images.element_size(), labels=labels, decoder=0)

    def decoded(self) -> SyntheticSet:
        """The training images, each of full size; classes and soft labels follow."""
        parts = self.partition**2
        return replace(
            self,
            images=decode(self.images, self.partition).contiguous(),
            classes=self.classes.repeat_interleave(parts),
            soft=None if self.soft is None else self.soft.repeat_interleave(parts, dim=0),
            partition=1,
        )

    def probabilities(self) -> Tensor | None:
        """(M, K) float32 soft labels as probabilities, or ``None`` where there are none."""
        return self.soft.softmax(dim=1) if self.soft is not None and self.soft_kind == "logits" else self.soft
