"""Anyone's distilled set: read from the layouts in which people publish them, and brought into a data set's space.

Such files do not say how their pixels are normalised nor whether images are partitioned, and a wrong guess costs accuracy
silently. So nothing is guessed: a ``Statement`` says it. Only tensors and numbers are ever unpickled (weights_only).
"""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bacon.datasets.store import ImageDataset
from bacon.runtime.errors import BaconError
from bacon.training.batches import ImageSet
from bacon.transforms.partition import decode

Pixels = Literal["raw", "uint8", "normalised"]
SUFFIXES = (".pt", ".pth", ".npz")
_PAIRS = (("images", "labels"), ("x", "y"), ("x_train", "y_train"))
_LAYOUTS = (
    "a .pt of (images, labels), of a dict with images and labels, or as DM, IDM and BACON publish them ({'data': [[images, "
    "labels], ...]}); or an .npz with images and labels, x and y, or x_train and y_train"
)
# Accuracies in published files are numpy's numbers. These rebuild numbers and arrays of numbers, and nothing else.
# Older versions of numpy keep the same functions in another module.
_SCALAR, _ARRAY = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
_NUMPY: list[Any] = [
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_ARRAY, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(name)) for name in ("float16", "float32", "float64", "int32", "int64", "bool")),
]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What a file holds.

    Attributes:
        pixels: "raw": floats in the space of [0, 1]; "uint8": 0 to 255; "normalised": (x - mean) / std of raw ones.
        partition: a stored image holds partition^2 images; 1: it is one.
        mean: per channel, of normalised pixels alone.
        std: per channel, likewise.
    """

    pixels: Pixels
    partition: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def read_foreign(path: Path, *, experiment: int | None = None) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) as they are in the file, and labels (N,) int64.

    Args:
        path: a file in one of the layouts that people publish.
        experiment: which of several sets in a file of DM's layout; needed when there are several.

    Raises:
        BaconError: the file is missing, damaged, of another layout, or holds more than tensors and numbers.
    """
    if not path.is_file():
        raise BaconError(f"{path}: there is no such file")
    if path.suffix not in SUFFIXES:
        raise BaconError(f"{path}: unknown kind of file {path.suffix!r}; what is read is {_LAYOUTS}")
    images, labels = _from_npz(path) if path.suffix == ".npz" else _from_pickle(path, experiment)
    return _checked(path, images, labels)


def _from_npz(path: Path) -> tuple[Any, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            found = [pair for pair in _PAIRS if set(pair) <= set(file)]
            if len(found) != 1:
                raise BaconError(f"{path}: holds {', '.join(file)}; what is read is {_LAYOUTS}")
            images, labels = (torch.from_numpy(file[name]) for name in found[0])
            return images, labels
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise BaconError(f"{path}: not a readable .npz file of numbers ({error})") from None


def _from_pickle(path: Path, experiment: int | None) -> tuple[Any, Any]:
    try:
        with torch.serialization.safe_globals(_NUMPY):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).split(". ")[0].splitlines()[0]
        raise BaconError(
            f"{path}: cannot be read with weights_only=True, and is not read otherwise, since it could run code ({reason}). "
            "Save its tensors anew: torch.save((images, labels), path)"
        ) from None
    if isinstance(content, dict) and "data" in content:
        return _experiment(path, content["data"], experiment)
    if experiment is not None:
        raise BaconError(f"{path}: holds one distilled set; leave --experiment out")
    if isinstance(content, dict) and {"images", "labels"} <= content.keys():
        return content["images"], content["labels"]
    if isinstance(content, tuple | list) and len(content) == 2:
        return content[0], content[1]
    found = f"a dict with {', '.join(map(str, content))}" if isinstance(content, dict) else type(content).__name__
    raise BaconError(f"{path}: holds {found}; what is read is {_LAYOUTS}")


def _experiment(path: Path, sets: Any, experiment: int | None) -> tuple[Any, Any]:
    if not isinstance(sets, list | tuple) or not sets or any(len(one) != 2 for one in sets):
        raise BaconError(f"{path}: its 'data' is no list of [images, labels]; what is read is {_LAYOUTS}")
    if experiment is None and len(sets) > 1:
        raise BaconError(f"{path}: holds {len(sets)} distilled sets; choose one with --experiment 0 to {len(sets) - 1}")
    if not 0 <= (experiment or 0) < len(sets):
        raise BaconError(f"{path}: --experiment {experiment}: it holds {len(sets)} distilled sets, from 0 on")
    images, labels = sets[experiment or 0]
    return images, labels


def _checked(path: Path, images: Any, labels: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(images, Tensor) or not isinstance(labels, Tensor) or images.ndim != 4:
        shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise BaconError(f"{path}: images are {shape}; they must be a tensor (N, C, H, W)")
    if labels.ndim != 1 or labels.is_floating_point() or len(labels) != len(images):
        raise BaconError(
            f"{path}: labels are {labels.dtype} {tuple(labels.shape)} for {len(images)} images; they must be integers (N,). "
            "Soft labels are not evaluated here"
        )
    return images.detach(), labels.detach().to(torch.int64)


def image_set(
    path: Path, images: Tensor, labels: Tensor, statement: Statement, dataset: ImageDataset, device: torch.device
) -> ImageSet:
    """The decoded training images of a file, normalised (or whitened) as ``dataset`` is.

    Raises:
        BaconError: the statement contradicts the values, or shape, channels or labels are not the data set's.
    """
    _check_values(path, images, statement)
    wanted = dataset.test_images.shape[1:]
    if images.shape[1:] != wanted:
        raise BaconError(
            f"{path}: images are {tuple(images.shape[1:])}, those of {dataset.name} are {wanted} (C, H, W)"
        )
    if not 0 <= int(labels.min()) <= int(labels.max()) < len(dataset.class_names):
        raise BaconError(
            f"{path}: labels go from {int(labels.min())} to {int(labels.max())}; {dataset.name} has the classes 0 to "
            f"{len(dataset.class_names) - 1}"
        )
    ready = decode(_in_space_of(images, statement, dataset), statement.partition).contiguous()
    return ImageSet.of_normalised(
        ready.to(device),
        labels.repeat_interleave(statement.partition**2).to(device),
        mean=dataset.mean,
        std=dataset.std,
        whitened=dataset.whitening is not None,
    )


def _check_values(path: Path, images: Tensor, statement: Statement) -> None:
    """What can be seen to be wrong about a statement; what is right cannot be seen."""
    if (images.dtype == torch.uint8) != (statement.pixels == "uint8"):
        raise BaconError(f"{path}: images are {images.dtype}, which is not what --pixels {statement.pixels} says")
    if not images.is_floating_point():
        return
    if not bool(images.isfinite().all()):
        raise BaconError(f"{path}: some pixels are not finite")
    low, high = float(images.min()), float(images.max())
    if statement.pixels == "raw" and (high > 2 or low < -1):
        raise BaconError(
            f"{path}: pixels go from {low:.3g} to {high:.3g}, which are no raw pixels in [0, 1]: they are normalised, "
            "or go to 255 (divide them)"
        )
    if len(statement.mean) not in (0, images.shape[1]) or len(statement.std) != len(statement.mean):
        raise BaconError(
            f"{path}: images have {images.shape[1]} channels; --mean {statement.mean} and --std {statement.std} need as many "
            "numbers"
        )


def _in_space_of(images: Tensor, statement: Statement, dataset: ImageDataset) -> Tensor:
    """Images (N, C, H, W) float32, normalised with the data set's mean and std, or whitened."""
    own = (statement.pixels, statement.mean, statement.std)
    if dataset.whitening is None and own == ("normalised", dataset.mean, dataset.std):
        return images.to(torch.float32)  # bit for bit what the workflow evaluates
    values = images.to(torch.float64)
    if statement.pixels == "uint8":
        values = values / 255
    elif statement.pixels == "normalised":
        values = values * _per_channel(statement.std) + _per_channel(statement.mean)
    if dataset.whitening is not None:
        return torch.from_numpy(dataset.whitening.apply(values.to(torch.float32).numpy()))
    return ((values - _per_channel(dataset.mean)) / _per_channel(dataset.std)).to(torch.float32)


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None, None]
