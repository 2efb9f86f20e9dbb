"""Anyone's distilled set, read from the layouts in which people publish them.

Only tensors and numbers are ever unpickled (weights_only).
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import check_soft_labels
from bacon.interchange.file_content import FileContent, FileFormat
from bacon.runtime.errors import BaconError

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


def read_published(path: Path, file_format: FileFormat, *, experiment: int | None = None) -> FileContent:
    """The images and labels in a file of one of the layouts that people publish.

    Args:
        path: the file.
        file_format: what its user says of it.
        experiment: which of several sets in a file of DM's layout; needed when there are several.

    Raises:
        BaconError: the file is missing, damaged, of another layout, holds more than tensors and numbers, or its labels are
            not what ``file_format`` says.
    """
    images, labels = read_tensors(path, experiment=experiment)
    if file_format.labels == "classes":
        return FileContent(images=images, classes=labels.to(torch.int64), format=file_format)
    soft = labels.to(torch.float32)
    try:
        check_soft_labels(soft, soft.argmax(dim=1), file_format.labels)
    except BaconError as error:
        raise BaconError(f"{path}: {error}") from None
    return FileContent(images=images, classes=soft.argmax(dim=1), soft=soft, format=file_format)


def read_tensors(path: Path, *, experiment: int | None = None) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W), and labels, integers (N,) or floats (N, K), as they are in a file; errors of its layout."""
    if not path.is_file():
        raise BaconError(f"{path}: the file does not exist")
    if path.suffix not in SUFFIXES:
        raise BaconError(f"{path}: unknown file type {path.suffix!r}; supported are {_LAYOUTS}")
    images, labels = _from_npz(path) if path.suffix == ".npz" else _from_pickle(path, experiment)
    return _checked(path, images, labels)


def has_soft_labels(labels: Tensor) -> bool:
    """Whether labels of :func:`read_tensors` are soft ones."""
    return labels.ndim == 2


def _from_npz(path: Path) -> tuple[Any, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            found = [pair for pair in _PAIRS if set(pair) <= set(file)]
            if len(found) != 1:
                raise BaconError(f"{path}: holds {', '.join(file)}; supported are {_LAYOUTS}")
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
            f"{path}: cannot be read with weights_only=True, and reading it any other way could run code "
            f"({reason}). Save its tensors again: torch.save((images, labels), path)"
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
    raise BaconError(f"{path}: holds {found}; supported are {_LAYOUTS}")


def _experiment(path: Path, sets: Any, experiment: int | None) -> tuple[Any, Any]:
    if not isinstance(sets, list | tuple) or not sets or any(len(one) != 2 for one in sets):
        raise BaconError(f"{path}: its 'data' is not a list of [images, labels]; supported are {_LAYOUTS}")
    if experiment is None and len(sets) > 1:
        raise BaconError(f"{path}: holds {len(sets)} distilled sets; choose one with --experiment 0 to {len(sets) - 1}")
    if not 0 <= (experiment or 0) < len(sets):
        raise BaconError(f"{path}: --experiment {experiment}: it holds {len(sets)} distilled sets, numbered from 0")
    images, labels = sets[experiment or 0]
    return images, labels


def _checked(path: Path, images: Any, labels: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(images, Tensor) or not isinstance(labels, Tensor) or images.ndim != 4:
        shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise BaconError(f"{path}: images are {shape}; they must be a tensor (N, C, H, W)")
    if len(labels) != len(images) or labels.ndim != (2 if labels.is_floating_point() else 1):
        raise BaconError(
            f"{path}: labels are {labels.dtype} {tuple(labels.shape)} for {len(images)} images; they must be integers (N,), "
            "or soft labels: floating-point numbers (N, classes)"
        )
    return images.detach(), labels.detach()
