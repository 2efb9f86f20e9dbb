"""Images and labels of other people's files, brought to one form: the place for every dtype, container and shape.

Only what is certain is converted: half precision to single, integers 0..255 to uint8, labels in a list, as whole floats or
one-hot to class numbers. All else is refused with what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bacon.runtime.errors import BaconError

_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64)
_SHAPE = "they must be a tensor (N, C, H, W)"


def as_images(path: Path, value: Any) -> Tensor:
    """(N, C, H, W) uint8, float32 or float64 of whatever holds images.

    Raises:
        BaconError: there are none, or they have no such shape, or numbers that no pixels have.
    """
    images = _tensor(path, "images", value)
    if images.numel() == 0:
        raise BaconError(f"{path}: holds no images (a tensor of shape {tuple(images.shape)})")
    if images.ndim != 4:
        raise BaconError(f"{path}: images are {tuple(images.shape)}; {_SHAPE}{_shape_advice(images)}")
    if images.dtype in _INTEGERS:
        low, high = int(images.to(torch.int64).min()), int(images.to(torch.int64).max())
        if low < 0 or high > 255:
            raise BaconError(
                f"{path}: images are {images.dtype} from {low} to {high}; save pixels as uint8, 0 to 255, or as floating-point "
                "numbers"
            )
        return images.to(torch.uint8)
    if images.dtype == torch.bool:
        raise BaconError(f"{path}: images are torch.bool; save them as floating-point numbers 0 and 1 (--pixels raw)")
    return images if images.dtype in (torch.uint8, torch.float64) else images.to(torch.float32)


def _shape_advice(images: Tensor) -> str:
    if images.ndim == 5:
        return "; if they are (classes, images per class, C, H, W), save images.flatten(0, 1)"
    return "; reshape flattened images before you save them" if images.ndim == 2 else ""


def with_channels(images: Any, labels: Any) -> Any:
    """Grey images without a channel, (N, H, W) of N labels, with one; anything else as it is."""
    shape: tuple[int, ...] = tuple(getattr(images, "shape", ()))
    if len(shape) == 3 and hasattr(labels, "__len__") and len(labels) == shape[0] and shape[0] > 0:
        return images[:, None]
    return images


def as_labels(path: Path, value: Any, count: int) -> Tensor:
    """Class numbers (N,) int64, or (N, K) float32 of soft or one-hot labels, of whatever holds the labels of ``count`` images.

    Raises:
        BaconError: they are not labels of so many images.
    """
    labels = _tensor(path, "labels", value)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if len(labels.shape) not in (1, 2) or len(labels) != count:
        raise _no_labels(path, labels, count)
    if labels.ndim == 1:
        whole = labels.to(torch.float64) if labels.is_floating_point() else labels
        if labels.is_floating_point() and not bool((whole.isfinite() & (whole == whole.round())).all()):
            raise _no_labels(path, labels, count)
        return labels.to(torch.int64)
    if labels.is_floating_point():
        return labels.to(torch.float32)
    if not is_one_hot(labels):
        raise _no_labels(path, labels, count)
    return labels.to(torch.float32)


def is_one_hot(labels: Tensor) -> bool:
    """Whether every row of (N, K) labels has one 1 and else 0."""
    ones, zeros = (labels == 1).sum(dim=1), (labels == 0).sum(dim=1)
    return bool(((ones == 1) & (zeros == labels.shape[1] - 1)).all())


def _no_labels(path: Path, labels: Tensor, count: int) -> BaconError:
    return BaconError(
        f"{path}: labels are {labels.dtype} {tuple(labels.shape)} for {count} images; they must be integers (N,), or soft "
        "labels: floating-point numbers (N, classes)"
    )


def _tensor(path: Path, what: str, value: Any) -> Tensor:
    """A dense tensor of real numbers on the CPU, of a tensor, an array, or a list of them or of numbers."""
    try:
        tensor = value if isinstance(value, Tensor) else _of_others(value)
    except (TypeError, ValueError, RuntimeError) as error:
        found = f"{type(value).__name__} of {_kinds(value)}" if isinstance(value, Sequence) else type(value).__name__
        advice = f"; {_SHAPE}" if what == "images" else "; they must be numbers"
        text = str(error).split("\n")[0]
        raise BaconError(f"{path}: {what} are {found}, which make no tensor ({text}){advice}") from None
    if tensor.is_complex() or tensor.is_quantized:
        raise BaconError(f"{path}: {what} are {tensor.dtype}; save them as ordinary floating-point numbers")
    return tensor.detach().to("cpu").to_dense() if tensor.layout != torch.strided else tensor.detach().cpu()


def _of_others(value: Any) -> Tensor:
    if isinstance(value, list | tuple) and any(isinstance(one, Tensor) for one in value):
        return torch.stack([torch.as_tensor(one).detach() for one in value])
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or value is None:
        raise TypeError(f"they are {array.dtype}" if array.dtype.kind in "USO" else f"of type {array.dtype}")
    return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)))


def _kinds(value: Sequence[Any]) -> str:
    return ", ".join(sorted({type(one).__name__ for one in value})) or "nothing"
