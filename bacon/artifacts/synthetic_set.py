"""A synthetic set: images, the class of each, and what a method learns besides, in the form in which it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor

from bacon.runtime.errors import BaconError
from bacon.transforms.partition import decode

SoftKind = Literal["probabilities", "logits"]
SOFT_KINDS: tuple[SoftKind, ...] = ("probabilities", "logits")
# Rows of float32 probabilities over a thousand classes sum to 1 within this.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Bytes that a synthetic set takes uncompressed, as tables count it.

    Attributes:
        images: of the stored images.
        labels: of soft labels, learned learning rates, and the class index where it does not follow from the order.
        decoder: of what training images are decoded with (a generator's weights; 0 for partition).
    """

    images: int
    labels: int
    decoder: int

    @property
    def total(self) -> int:
        """All bytes."""
        return self.images + self.labels + self.decoder

    def attributes(self) -> dict[str, int]:
        """``image_bytes``, ``label_bytes`` and ``decoder_bytes``: the names that files and tables use."""
        return {"image_bytes": self.images, "label_bytes": self.labels, "decoder_bytes": self.decoder}


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticSet:
    """A synthetic set in its stored form.

    Attributes:
        images: (M, C, H, W) float32, normalised (or whitened) as the data set is; partitioned as ``partition`` says.
        classes: (M,) int64, the class of each stored image, always there; accuracy is measured against it.
        soft: (M, K) float32 soft labels over the K classes, or ``None``: the class is the label. All parts of a partitioned
            image share its row.
        soft_kind: what ``soft`` holds: probabilities (rows sum to 1) or logits; ``None`` where there are none.
        rates: (T,) float32 learned learning rates, one, or one for each training step; ``None``: the evaluation's own.
        partition: codec: a stored image holds partition^2 training images (IDM; docs/algorithms.md).

    Raises:
        BaconError: parts have other shapes, types or values, or do not belong together.
    """

    images: Tensor
    classes: Tensor
    soft: Tensor | None = None
    soft_kind: SoftKind | None = None
    rates: Tensor | None = None
    partition: int = 1

    def __post_init__(self) -> None:
        _check_images(self.images, self.classes, self.partition)
        if (self.soft is None) != (self.soft_kind is None):
            raise BaconError("soft labels and their kind (probabilities or logits) go together: give both or neither")
        if self.soft is not None:
            check_soft_labels(self.soft, self.classes, str(self.soft_kind))
        if self.rates is not None:
            _check_rates(self.rates)

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def unchecked(cls, **parts: Any) -> Self:
        """A set of parts that are known to belong together, in any precision: unlike a checked one, the host does not wait."""
        made = object.__new__(cls)
        for each in fields(cls):
            object.__setattr__(made, each.name, parts.get(each.name, each.default))
        return made

    @property
    def codec(self) -> str:
        """What training images are decoded with: ``partition``, or ``none`` where each stored image is one."""
        return "none" if self.partition == 1 else "partition"

    def storage(self) -> Storage:
        """Bytes of images, labels and decoder; as many images of each class, in class order, need no class index."""
        parts = [self.soft, self.rates]
        if not torch.equal(self.classes, _class_order(self.classes)):
            parts.append(self.classes)
        return Storage(
            images=self.images.nbytes, labels=sum(part.nbytes for part in parts if part is not None), decoder=0
        )

    def equals(self, other: SyntheticSet) -> bool:
        """Whether both have the same parts with the same bits."""
        ours, theirs = self.tensors(), other.tensors()
        alike = (self.soft_kind, self.partition, *ours) == (other.soft_kind, other.partition, *theirs)
        return alike and all(torch.equal(part, theirs[name]) for name, part in ours.items())

    def to(self, device: torch.device) -> SyntheticSet:
        """The set with its tensors on ``device``."""
        moved: dict[str, Any] = {name: part.to(device) for name, part in self.tensors().items()}
        return replace(self, **moved)

    def tensors(self) -> dict[str, Tensor]:
        """Name -> tensor, those that the set has."""
        return {name: part for name, part in vars(self).items() if isinstance(part, Tensor)}

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

    def state_dict(self) -> dict[str, Any]:
        """All fields by name: tensors, ``None``, text and a number, which files of tensors can hold."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> Self:
        """The set that :meth:`state_dict` was taken from."""
        return cls(**state)


def check_soft_labels(soft: Tensor, classes: Tensor, kind: str) -> None:
    """Raise :class:`BaconError` unless ``soft`` are soft labels of images of ``classes``.

    Args:
        soft: (M, K) float32; finite; probabilities in [0, 1] with rows that sum to 1, or any logits.
        classes: (M,) int64, each below K.
        kind: ``probabilities`` or ``logits``.
    """
    if kind not in SOFT_KINDS:
        raise BaconError(f"soft labels of the kind {kind!r} (allowed: {', '.join(SOFT_KINDS)})")
    if soft.ndim != 2 or len(soft) != len(classes) or soft.dtype != torch.float32:
        raise BaconError(
            f"soft labels {soft.dtype} {tuple(soft.shape)} for {len(classes)} images: they are (images, classes) float32"
        )
    if len(classes) and int(classes.max()) >= soft.shape[1]:
        raise BaconError(f"soft labels over {soft.shape[1]} classes, but an image of class {int(classes.max())}")
    if not bool(soft.isfinite().all()):
        raise BaconError("some soft labels are not finite")
    if kind == "logits" or not len(soft):
        return
    error = float((soft.sum(dim=1) - 1).abs().max())
    if float(soft.min()) < 0 or error > _SUM_TOLERANCE:
        raise BaconError(
            f"soft labels that go from {float(soft.min()):.3g} to {float(soft.max()):.3g} and whose rows sum to 1 "
            f"within {error:.3g} are not probabilities (0 to 1, rows sum to 1); are they logits?"
        )


def _check_images(images: Tensor, classes: Tensor, partition: int) -> None:
    if images.ndim != 4 or images.dtype != torch.float32:
        raise BaconError(
            f"a synthetic set of images {images.dtype} {tuple(images.shape)}: they are (M, C, H, W) float32"
        )
    if classes.shape != images.shape[:1] or classes.dtype != torch.int64:
        raise BaconError(
            f"a synthetic set of {len(images)} images with classes {classes.dtype} {tuple(classes.shape)}: the "
            "class index is (M,) int64; soft labels are given separately"
        )
    if len(classes) and int(classes.min()) < 0:
        raise BaconError(f"a synthetic set with an image of class {int(classes.min())}: classes begin with 0")
    if partition < 1 or images.shape[2] % partition or images.shape[3] % partition:
        raise BaconError(
            f"a synthetic set of images {tuple(images.shape[2:])} with partition {partition}: it is a whole number, 1 or more, "
            "that divides both sides"
        )


def _check_rates(rates: Tensor) -> None:
    if rates.ndim != 1 or not len(rates) or rates.dtype != torch.float32:
        raise BaconError(
            f"learned learning rates {rates.dtype} {tuple(rates.shape)}: they are (T,) float32, T at least 1"
        )
    if not bool((rates.isfinite() & (rates > 0)).all()):
        raise BaconError(
            f"learned learning rates from {float(rates.min()):.3g} to {float(rates.max()):.3g}; they must be above 0"
        )


def _class_order(classes: Tensor) -> Tensor:
    """The class index that follows from the number of images: as many of each class, class after class."""
    count = int(classes.max()) + 1 if len(classes) else 1
    return torch.arange(count, device=classes.device).repeat_interleave(len(classes) // count)
