"""CIFAR-10 in two more forms than ``reproduce`` reads: pictures of tiles, and torchvision's unpacked folder.

Tiles, for machines to which little can be copied: ``b0.webp`` to ``b5.webp``, lossless pictures of 100 x 100 images each, row
by row, training images first, and ``labels.npy``, the 60,000 labels in the same order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bacon.runtime.errors import BaconError

_PICTURES = tuple(f"b{number}.webp" for number in range(6))
_TILES, _SIDE, _TRAIN = 100, 32, 50_000
_UNPACKED = "cifar-10-batches-py"

Pixels = npt.NDArray[np.uint8]


def with_cifar10(data: Path, folder: Path) -> Path:
    """The folder that holds CIFAR-10 in a form that ``reproduce`` reads: ``data``, or ``folder`` with a ``cifar10.npz``.

    Raises:
        BaconError: pictures or labels are not of their size, or torchvision finds its files damaged.
    """
    if any((data / f"cifar10.{ending}").is_file() for ending in ("h5", "npz")):
        return data
    for place in (data, data / "cifar10-webp"):
        if all((place / name).is_file() for name in (*_PICTURES, "labels.npy")):
            return _written(folder, *_of_tiles(place))
    for place in (data, data / "cifar10", data / "cifar10-raw"):
        if (place / _UNPACKED).is_dir() and not (place / "cifar-10-python.tar.gz").is_file():
            return _written(folder, *_of_torchvision(place))
    return data


def _of_tiles(folder: Path) -> tuple[Pixels, npt.NDArray[np.int64]]:
    images = np.concatenate([_tiles(folder / name) for name in _PICTURES])
    labels = np.load(folder / "labels.npy").astype(np.int64)
    if labels.shape != (len(images),):
        raise BaconError(f"{folder / 'labels.npy'}: holds labels of shape {labels.shape}, not ({len(images)},)")
    return images, labels


def _tiles(path: Path) -> Pixels:
    """(10000, 32, 32, 3) of a picture."""
    with Image.open(path) as picture:
        pixels = np.array(picture.convert("RGB"))
    side = _TILES * _SIDE
    if pixels.shape != (side, side, 3):
        raise BaconError(f"{path}: is {pixels.shape[1]} x {pixels.shape[0]} pixels, not {side} x {side}")
    tiles = pixels.reshape(_TILES, _SIDE, _TILES, _SIDE, 3).transpose(0, 2, 1, 3, 4)
    return tiles.reshape(-1, _SIDE, _SIDE, 3)


def _of_torchvision(folder: Path) -> tuple[Pixels, npt.NDArray[np.int64]]:
    from torchvision.datasets import CIFAR10

    try:
        parts = [CIFAR10(str(folder), train=train) for train in (True, False)]
    except RuntimeError as error:
        raise BaconError(f"{folder / _UNPACKED}: {error}") from None
    labels = np.concatenate([np.asarray(part.targets, dtype=np.int64) for part in parts])
    return np.concatenate([part.data for part in parts]), labels


def _written(folder: Path, images: Pixels, labels: npt.NDArray[np.int64]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "cifar10.npz",
        x_train=images[:_TRAIN],
        y_train=labels[:_TRAIN],
        x_test=images[_TRAIN:],
        y_test=labels[_TRAIN:],
    )
    return folder
