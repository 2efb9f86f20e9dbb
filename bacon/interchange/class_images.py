"""A distilled set that someone published as a folder of image files, one folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bacon.datasets.decoding import UnreadableImageError, read_image
from bacon.interchange.folders import class_folders
from bacon.interchange.raw_files import listed
from bacon.runtime.errors import BaconError

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
# What systems leave in folders; nobody put it there as an image.
_SYSTEM = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


def read_class_images(folder: Path, *, class_names: Sequence[str], channels: int) -> tuple[Tensor, Tensor]:
    """The images below the class folders of ``folder``, and their classes.

    Args:
        folder: holds one folder for each class: called as the class, as `bacon export` calls it, or by its number from 0.
        class_names: of the data set, in label order.
        channels: of the data set: 1 for grey, 3 for colour.

    Returns:
        (N, C, H, W) uint8 and (N,) int64, class by class, files in the order of their names.

    Raises:
        BaconError: folders are no classes, a file is no image, or images differ in size.
    """
    if channels not in (1, 3):
        raise BaconError(
            f"{folder}: image files have 1 or 3 channels, the data set has {channels}; give a file of tensors"
        )
    labels_of = _labels(folder, _visible(folder), class_names)
    files = [(path, label) for name, label in labels_of for path in _images(folder / name)]
    pixels = [_read(path, channels) for path, _ in files]
    if len({image.shape for image in pixels}) > 1:
        sizes = listed(sorted({" x ".join(map(str, image.shape[1:])) for image in pixels}))
        raise BaconError(f"{folder}: images differ in size ({sizes} pixels); a distilled set has one size")
    return torch.from_numpy(np.stack(pixels)), torch.tensor([label for _, label in files])


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name not in _SYSTEM)


def _labels(folder: Path, found: Sequence[Path], class_names: Sequence[str]) -> list[tuple[str, int]]:
    """Name of each class folder -> its label."""
    names = [path.name for path in found if path.is_dir()]
    if not names:
        kinds = listed(sorted({path.suffix.lower() or "no suffix" for path in found}))
        raise BaconError(
            f"{folder}: holds no class folders (files: {kinds}); put the images of each class into a folder that is called as "
            "the class, or give a file of tensors"
        )
    numbers = [str(label) for label in range(len(class_names))]
    for known in (list(class_names), class_folders(class_names), numbers):
        labels = {name.casefold(): label for label, name in enumerate(known)}
        if all(name.casefold() in labels for name in names):
            return [(name, labels[name.casefold()]) for name in names]
    unknown = [name for name in names if name.casefold() not in {one.casefold() for one in class_names}]
    raise BaconError(
        f"{folder}: folders {listed(unknown)} are no classes of the data set, which are {listed(list(class_names))}; call each "
        "folder as its class, or by its number from 0"
    )


def _images(folder: Path) -> list[Path]:
    found = _visible(folder)
    if others := [path.name for path in found if path.suffix.lower() not in _SUFFIXES]:
        raise BaconError(f"{folder}: {listed(others)} are no images; a class folder holds image files alone")
    if not found:
        raise BaconError(f"{folder}: holds no images; remove the folder if the class has none")
    return found


def _read(path: Path, channels: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(channels, H, W); refused where the conversion to the data set's channels would lose colour."""
    try:
        pixels = read_image(path, channels=3, size=None)
    except (UnreadableImageError, OSError) as error:
        raise BaconError(f"{path}: not a readable image ({error})") from None
    if channels == 3:
        return pixels
    if not (pixels == pixels[:1]).all():
        raise BaconError(f"{path}: the image is coloured, the data set is grey; save it as grey")
    return pixels[:1]
