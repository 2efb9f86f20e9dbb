"""Exports as folders of PNG files, one folder a class: what torchvision's ImageFolder and Hugging Face's imagefolder read.

A PNG holds 256 levels of pixels in [0, 1]: what lies outside is clamped, the rest rounded. ``bacon.json`` beside the images
holds the metadata, with which :func:`read_folder` gives normalised tensors again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from bacon.interchange.content import Export, check_content, check_metadata, images_sha256
from bacon.runtime.errors import BaconError

METADATA = "bacon.json"
_CHANNELS = (1, 3)


def write_folder(export: Export, folder: Path, *, images: str = ".") -> None:
    """Write ``export`` below an empty ``folder``; not atomic by itself.

    Args:
        export: of 1 or 3 channels.
        folder: gets ``bacon.json``.
        images: folder of the class folders, relative to ``folder``: "." for ImageFolder, "train" for Hugging Face.

    Raises:
        BaconError: the images have another number of channels.
    """
    channels = export.images.shape[1]
    if channels not in _CHANNELS:
        raise BaconError(f"images of {channels} channels are no PNG files; export them as pt, safetensors or npz")
    pixels = pixels_of(export)
    names = class_folders(export.metadata["class_names"])
    for name in names:
        (folder / images / name).mkdir(parents=True)
    digits = len(str(len(pixels) - 1))
    for index, (image, label) in enumerate(zip(pixels.numpy(), export.labels.tolist(), strict=True)):
        array = image[0] if channels == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
        Image.fromarray(array).save(folder / images / names[label] / f"{index:0{digits}d}.png", optimize=True)
    metadata = {
        **export.metadata,
        "folders": names,
        "images": images,
        "pixels_sha256": images_sha256(pixels, export.labels),
    }
    (folder / METADATA).write_text(json.dumps(metadata, indent=1) + "\n", encoding="utf-8")


def pixels_of(export: Export) -> Tensor:
    """(N, C, H, W) uint8: pixels clamped to [0, 1] and rounded to 256 levels."""
    return export.raw().clamp(0, 1).mul(255).round().to(torch.uint8)


def class_folders(class_names: Sequence[str]) -> list[str]:
    """A folder name for each class; they sort in label order, which is how both readers number classes."""
    plain = [re.sub(r"[^\w.+-]+", "_", name).strip("._") for name in class_names]
    if sorted(plain) == plain and len(set(map(str.lower, plain))) == len(plain) and all(plain):
        return plain
    digits = len(str(len(plain) - 1))
    return [f"{label:0{digits}d}_{name}" if name else f"{label:0{digits}d}" for label, name in enumerate(plain)]


def read_folder(folder: Path) -> Export:
    """Read what :func:`write_folder` wrote; images are normalised again (not whitened: a folder holds no whitening).

    Raises:
        BaconError: it is no such folder, or images are missing, damaged or changed.
    """
    try:
        metadata = check_metadata(folder, json.loads((folder / METADATA).read_text(encoding="utf-8")))
        pixels, labels = _read_images(folder / metadata["images"], metadata["folders"])
    except FileNotFoundError as error:
        raise BaconError(f"{folder}: not a folder that `bacon export` wrote; {error.filename} is missing") from None
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise BaconError(f"{folder}: not a readable folder of a distilled set ({error})") from None
    check_content(folder, pixels, labels, metadata.pop("pixels_sha256"))
    del metadata["images"], metadata["folders"]
    mean, std = (torch.tensor(metadata[key], dtype=torch.float32)[:, None, None] for key in ("mean", "std"))
    return Export(images=(pixels / 255 - mean) / std, labels=labels, metadata=metadata)


def _read_images(folder: Path, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Pixels (N, C, H, W) uint8 and labels (N,) int64, in the order of their numbers."""
    found = sorted((path.name, label, path) for label, name in enumerate(names) for path in (folder / name).iterdir())
    if not found:
        raise ValueError("it holds no images")
    arrays = []
    for _, _, path in found:
        with Image.open(path) as image:
            array = np.asarray(image)
        arrays.append(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))
    return torch.from_numpy(np.stack(arrays)), torch.tensor([label for _, label, _ in found])


def without_whitening(export: Export) -> Export:
    """The export as a folder can hold it: normalised with mean and std."""
    if export.whitening is None:
        return export
    mean, std = (torch.tensor(export.metadata[key], dtype=torch.float32)[:, None, None] for key in ("mean", "std"))
    return replace(export, images=(export.raw() - mean) / std, whitening=None)
