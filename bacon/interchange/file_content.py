"""What a file of a distilled set holds, and its images in the space of a data set.

Other people's files do not say how their pixels are normalised, whether images are partitioned nor what soft labels are, and a
wrong guess costs accuracy silently. So nothing is guessed: the user's ``FileFormat`` says it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.datasets.store import ImageDataset
from bacon.datasets.whitening import Whitening
from bacon.evaluation.evaluate_cell import training_images
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger
from bacon.training.batches import ImageSet
from bacon.transforms.partition import decode

log = get_logger(__name__)

_NAMED = 10
Pixels = Literal["raw", "uint8", "normalised", "whitened"]
LabelKind = Literal["classes", "probabilities", "logits"]


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """How the tensors of a file are to be read.

    Attributes:
        pixels: "raw": floats in the space of [0, 1]; "uint8": 0 to 255; "normalised": (x - mean) / std of raw ones;
            "whitened": by the content's ``whitening``.
        partition: a stored image holds partition^2 images; 1: it is one.
        labels: "classes": integers (N,); "probabilities" or "logits": soft labels (N, K).
        mean: per channel, only of normalised pixels.
        std: per channel, only of normalised pixels.
    """

    pixels: Pixels
    partition: int
    labels: LabelKind = "classes"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FileContent:
    """The tensors of a file as they are in it, and how they are to be read.

    Attributes:
        images: (N, C, H, W) uint8 or floating point.
        classes: (N,) int64; of others' soft labels the largest one's, as their files name no class.
        soft: (N, K) float32 soft labels of the kind that ``format.labels`` says; ``None``: there are none.
        rates: (T,) float32 learned learning rates; ``None``: none are known.
        format: what the tensors mean.
        whitening: ZCA of whitened pixels; ``None`` for all others.
    """

    images: Tensor
    classes: Tensor
    format: FileFormat
    soft: Tensor | None = None
    rates: Tensor | None = None
    whitening: Whitening | None = None


def training_set(path: Path, content: FileContent, dataset: ImageDataset, device: torch.device) -> ImageSet:
    """The decoded training images of a file, normalised (or whitened) as ``dataset`` is, with classes and soft labels.

    Raises:
        BaconError: the format contradicts the values, or shape, channels or labels are not the data set's.
    """
    content = replace(content, images=_in_form(path, content, dataset))
    _check_pixels(path, content.images, content.format)
    _check_fit(path, content, dataset)
    _warn_of_missing(path, content, dataset)
    synthetic = SyntheticSet(
        images=_training_images(content, dataset),
        classes=content.classes.repeat_interleave(content.format.partition**2),
        soft=None if content.soft is None else content.soft.repeat_interleave(content.format.partition**2, dim=0),
        soft_kind=None if content.format.labels == "classes" else content.format.labels,
        rates=content.rates,
    )
    return training_images(synthetic, dataset, device)


def _in_form(path: Path, content: FileContent, dataset: ImageDataset) -> Tensor:
    """The images with channels first, and uint8 where levels 0 to 255 are stored as whole floating-point numbers.

    Channels are moved only where that is the one way in which the images are of the data set's shape.
    """
    images, (channels, height, width) = content.images, dataset.test_images.shape[1:]
    found = tuple(images.shape[1:])
    if found == (height, width, channels) != (channels, height, width):
        log.info("%s: its images are (N, H, W, C); channels are moved to (N, C, H, W)", path)
        images = images.permute(0, 3, 1, 2).contiguous()
    if content.format.pixels == "uint8" and images.is_floating_point() and _are_levels(images):
        log.info("%s: its pixels are whole floating-point numbers from 0 to 255; read as uint8", path)
        images = images.to(torch.uint8)
    return images


def _are_levels(images: Tensor) -> bool:
    """Whether all pixels are whole numbers of 0 to 255, and more than a black and white image of [0, 1] has."""
    whole = images == images.round()
    return bool((whole & (images >= 0) & (images <= 255)).all()) and float(images.max()) > 1


def _check_fit(path: Path, content: FileContent, dataset: ImageDataset) -> None:
    """What of the file cannot belong to the data set."""
    wanted, classes = dataset.test_images.shape[1:], len(dataset.class_names)
    if content.images.shape[1:] != wanted:
        raise BaconError(
            f"{path}: images are {tuple(content.images.shape[1:])}, those of {dataset.name} are {wanted} (C, H, W)"
        )
    if content.soft is not None and content.soft.shape[1] != classes:
        raise BaconError(f"{path}: soft labels over {content.soft.shape[1]} classes; {dataset.name} has {classes}")
    low, high = int(content.classes.min()), int(content.classes.max())
    if not 0 <= low <= high < classes:
        raise BaconError(f"{path}: labels go from {low} to {high}; {dataset.name} has the classes 0 to {classes - 1}")


def _warn_of_missing(path: Path, content: FileContent, dataset: ImageDataset) -> None:
    """Classes without images in the file: networks never learn them, and count them as wrong."""
    found = set(content.classes.tolist())
    missing = [repr(name) for label, name in enumerate(dataset.class_names) if label not in found]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        log.warning(
            "%s: no image of %d of %d classes of %s: %s%s; they count as wrong in its accuracy",
            path,
            len(missing),
            len(dataset.class_names),
            dataset.name,
            ", ".join(missing[:_NAMED]),
            more,
        )


def _check_pixels(path: Path, images: Tensor, file_format: FileFormat) -> None:
    """What can be seen to be wrong about what is said of pixels; what is right cannot be seen."""
    if (images.dtype == torch.uint8) != (file_format.pixels == "uint8"):
        raise BaconError(f"{path}: images are {images.dtype}, which is not what --pixels {file_format.pixels} says")
    if not images.is_floating_point():
        return
    if not bool(images.isfinite().all()):
        raise BaconError(f"{path}: some pixels are not finite")
    low, high = float(images.min()), float(images.max())
    if file_format.pixels == "raw" and (high > 2 or low < -1):
        raise BaconError(
            f"{path}: pixels go from {low:.3g} to {high:.3g}, which are not raw pixels in [0, 1]: they are "
            "normalised (--pixels normalised), or go up to 255 (--pixels uint8)"
        )
    if len(file_format.mean) not in (0, images.shape[1]) or len(file_format.std) != len(file_format.mean):
        raise BaconError(
            f"{path}: images have {images.shape[1]} channels; --mean {file_format.mean} and --std {file_format.std} need as "
            "many numbers"
        )


def _training_images(content: FileContent, dataset: ImageDataset) -> Tensor:
    """The decoded images (N, C, H, W) float32, normalised with the data set's mean and std, or whitened."""
    said, images = content.format, content.images
    own = (said.pixels, said.mean, said.std) == ("normalised", dataset.mean, dataset.std)
    if same_whitening(content.whitening, dataset.whitening) and (content.whitening is not None or own):
        return decode(images.to(torch.float32), said.partition).contiguous()  # bit for bit what the workflow evaluates
    # In the space that images were stored in: a part is whitened as the whole image that it is decoded to.
    values = decode(images.to(torch.float64), said.partition)
    if content.whitening is not None:
        values = torch.from_numpy(content.whitening.invert(values.to(torch.float32).numpy())).to(torch.float64)
    elif said.pixels == "uint8":
        values = values / 255
    elif said.pixels == "normalised":
        values = values * _per_channel(said.std) + _per_channel(said.mean)
    if dataset.whitening is not None:
        return torch.from_numpy(dataset.whitening.apply(values.to(torch.float32).numpy()))
    return ((values - _per_channel(dataset.mean)) / _per_channel(dataset.std)).to(torch.float32).contiguous()


def same_whitening(one: Whitening | None, other: Whitening | None) -> bool:
    """Whether both are the same map, or none."""
    if one is None or other is None:
        return one is other
    return np.array_equal(one.mean, other.mean) and np.array_equal(one.matrix, other.matrix)


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None, None]
