"""Exports as folders of PNG files, one folder a class: what torchvision's ImageFolder and Hugging Face's imagefolder read.

A PNG holds 256 levels of pixels in [0, 1]: values outside are clamped, the rest rounded. ``bacon.json`` beside the
images holds the metadata, with which :func:`read_folder` gives normalised tensors again. Soft labels and learned rates
lie beside it as numpy's arrays, exact: row i of ``soft_labels.npy`` belongs to the image whose file has the number i.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.interchange.card_seal import FILES, file_checksums, sealed, without_checksums
from bacon.interchange.content import Export, check_metadata, check_sha256, named_tensors, synthetic_of, tensors_sha256
from bacon.runtime.errors import BaconError

METADATA = "bacon.json"
_BESIDE = ("soft_labels", "rates")
_CHANNELS = (1, 3)


def write_folder(export: Export, folder: Path, *, images: str = ".", readme: str = "") -> None:
    """Write ``export`` below an empty ``folder``; not atomic by itself.

    Args:
        export: of 1 or 3 channels.
        folder: gets ``bacon.json``, and ``soft_labels.npy`` and ``rates.npy`` where the set has them.
        images: folder of the class folders, relative to ``folder``: "." for ImageFolder, "train" for Hugging Face.
        readme: text of ``README.md``; empty: none.

    Raises:
        BaconError: the images have another number of channels.
    """
    synthetic = export.synthetic
    channels = synthetic.images.shape[1]
    if channels not in _CHANNELS:
        raise BaconError(
            f"images of {channels} channels cannot be written as PNG; export them as pt, safetensors or npz"
        )
    pixels = pixels_of(export)
    names = class_folders(export.metadata["class_names"])
    for name in names:
        (folder / images / name).mkdir(parents=True)
    digits = len(str(len(pixels) - 1))
    for index, (image, label) in enumerate(zip(pixels.numpy(), synthetic.classes.tolist(), strict=True)):
        array = image[0] if channels == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
        Image.fromarray(array).save(folder / images / names[label] / f"{index:0{digits}d}.png", optimize=True)
    for name, tensor in _beside_images(synthetic).items():
        np.save(folder / f"{name}.npy", tensor.numpy(), allow_pickle=False)
    if readme:
        (folder / "README.md").write_text(readme, encoding="utf-8")
    metadata = {**export.metadata, "folders": names, "images": images, "pixels_sha256": pixels_sha256(export)}
    card = sealed({**metadata, FILES: file_checksums(folder)})
    (folder / METADATA).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def pixels_sha256(export: Export) -> str:
    """SHA-256 of what a folder holds: pixels (N, C, H, W) uint8, labels, and soft labels and rates where there are any."""
    return _sha256(pixels_of(export), export.synthetic.classes, _beside_images(export.synthetic))


def _sha256(pixels: Tensor, labels: Tensor, beside: Mapping[str, Tensor]) -> str:
    return tensors_sha256(pixels, labels, *(beside[name] for name in _BESIDE if name in beside))


def _beside_images(synthetic: SyntheticSet) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in named_tensors(synthetic).items() if name in _BESIDE}


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


def is_own_folder(folder: Path) -> bool:
    """Whether :func:`write_folder` wrote it, as far as its metadata are there."""
    return (folder / METADATA).is_file()


def read_folder(folder: Path) -> Export:
    """Read what :func:`write_folder` wrote; images are normalised again (not whitened: a folder holds no whitening).

    Raises:
        BaconError: it is not such a folder, or images are missing, damaged or changed.
    """
    try:
        metadata = check_metadata(folder, json.loads((folder / METADATA).read_text(encoding="utf-8")))
        pixels, labels = _read_images(folder / metadata["images"], metadata["folders"])
        beside = _read_beside(folder, metadata)
    except FileNotFoundError as error:
        raise BaconError(f"{folder}: not a folder that `bacon export` wrote; {error.filename} is missing") from None
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise BaconError(f"{folder}: not a readable folder of a distilled set ({error})") from None
    found, expected = _sha256(pixels, labels, beside), metadata.pop("pixels_sha256")
    check_sha256(folder, "images and labels", found=found, expected=expected)
    del metadata["images"], metadata["folders"]
    metadata = without_checksums(metadata)
    mean, std = (torch.tensor(metadata[key], dtype=torch.float32)[:, None, None] for key in ("mean", "std"))
    tensors = {"images": (pixels / 255 - mean) / std, "labels": labels, **beside}
    return Export(synthetic=synthetic_of(folder, tensors, metadata), metadata=metadata)


def _read_beside(folder: Path, metadata: Mapping[str, Any]) -> dict[str, Tensor]:
    """Soft labels and learned rates, as the metadata say."""
    present = {
        "soft_labels": metadata.get("soft_labels_kind") is not None,
        "rates": bool(metadata.get("learned_rates")),
    }
    return {
        name: torch.from_numpy(np.load(folder / f"{name}.npy", allow_pickle=False)) for name in _BESIDE if present[name]
    }


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
    """The export as a folder can hold it: normalised with mean and std.

    Raises:
        BaconError: the images are whitened and partitioned; a part is whitened as the whole image that it is decoded to.
    """
    if export.whitening is None:
        return export
    if export.synthetic.partition > 1:
        raise BaconError(
            f"{export.name}: whitened images that hold several cannot be written as pixels in stored form; give --form "
            "decoded, or export them as pt, safetensors or npz"
        )
    mean, std = (torch.tensor(export.metadata[key], dtype=torch.float32)[:, None, None] for key in ("mean", "std"))
    synthetic = replace(export.synthetic, images=(export.raw() - mean) / std)
    return replace(export, synthetic=synthetic, whitening=None)
