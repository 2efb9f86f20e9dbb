"""Own data in one `.npz` file: x_train, y_train, if wanted x_test, y_test and class_names."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.deep_pixels import ValueRange
from bacon.datasets.file_kinds import advice_for, file_kind
from bacon.datasets.image_files import plain_name
from bacon.datasets.layout import image_layout, to_labels, to_uint8
from bacon.datasets.raw import RawDataset, ReadRequest
from bacon.datasets.splits import held_out, without
from bacon.datasets.value_ranges import check_same_range, value_range
from bacon.runtime.errors import BaconError

_TRAIN, _TEST = ("x_train", "y_train"), ("x_test", "y_test")
# Names that other programs give them.
_ALIASES = {
    "x_train": ("train_images", "train_x", "X_train", "train_data", "images_train"),
    "y_train": ("train_labels", "train_y", "Y_train", "labels_train"),
    "x_test": ("test_images", "test_x", "X_test", "test_data", "images_test", "val_images"),
    "y_test": ("test_labels", "test_y", "Y_test", "labels_test", "val_labels"),
}


def read(request: ReadRequest) -> RawDataset:
    """Read the arrays of an `.npz`.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3; whole numbers in 0..255 of any type, fractions in
    [0, 1], booleans, or numbers in ``request.value_range``. Labels are (N,) or (N, 1) integers. Without x_test and y_test,
    ``request.test_fraction`` of each class is held out for testing. Objects are not unpickled.

    Raises:
        BaconError: the file cannot be read, or a key, shape, type or value is not allowed.
    """
    path = request.path
    arrays = _load(request)
    names = _class_names(arrays.get("class_names"), path)
    _check_layouts(arrays, path)
    scale, warnings = _scale(arrays, request)
    images: dict[str, NDArray[np.uint8]] = {
        key: _images(arrays[key], scale, f"{path}: {key}") for key in ("x_train", "x_test") if key in arrays
    }
    labels: dict[str, NDArray[np.int64]] = {
        key: to_labels(arrays[key], f"{path}: {key}") for key in ("y_train", "y_test") if key in arrays
    }
    if "x_test" not in images:
        _split(images, labels, names, request)
    return RawDataset(
        train_images=images["x_train"],
        train_labels=labels["y_train"],
        test_images=images["x_test"],
        test_labels=labels["y_test"],
        class_names=names,
        warnings=warnings,
    )


def _scale(arrays: dict[str, NDArray[Any]], request: ReadRequest) -> tuple[ValueRange, tuple[str, ...]]:
    if request.value_range is not None:
        return request.value_range, ()
    scale, warnings = value_range(arrays["x_train"], f"{request.path}: x_train", request.key)
    if "x_test" in arrays:
        check_same_range(arrays["x_test"], scale, f"{request.path}: x_test")
    return scale, warnings


def _images(array: NDArray[Any], scale: ValueRange, what: str) -> NDArray[np.uint8]:
    return to_uint8(array, image_layout(array, what), scale, what)


def _check_layouts(arrays: dict[str, NDArray[Any]], path: Path) -> None:
    """Channels last in one array and first in the other is more likely a mistake than meant."""
    layouts = [image_layout(arrays[key], f"{path}: {key}") for key in ("x_train", "x_test") if key in arrays]
    train, test = layouts[0], layouts[-1]
    if train != test and "NHW" not in (train, test):
        axes = "(0, 2, 3, 1)" if train == "NHWC" else "(0, 3, 1, 2)"
        raise BaconError(
            f"{path}: x_train is {train}, x_test is not: shapes {arrays['x_train'].shape} and {arrays['x_test'].shape}; save "
            f"numpy.transpose(x_test, {axes})"
        )


def _split(
    images: dict[str, NDArray[np.uint8]],
    labels: dict[str, NDArray[np.int64]],
    names: tuple[str, ...],
    request: ReadRequest,
) -> None:
    """Hold a test set out of the training images."""
    all_labels = labels["y_train"]
    if len(all_labels) != len(images["x_train"]):
        raise BaconError(
            f"{request.path}: x_train has {len(images['x_train'])} images and y_train {len(all_labels)} labels; there "
            f"must be one "
            "label per image"
        )
    held = held_out(
        all_labels,
        request.test_fraction,
        seed=request.split_seed,
        purpose="test split",
        name=request.name,
        class_names=names if len(names) > int(all_labels.max(initial=0)) else (),
    )
    images["x_test"], labels["y_test"] = images["x_train"][held], all_labels[held]
    images["x_train"], labels["y_train"] = without(images["x_train"], held), all_labels[~held]


def _load(request: ReadRequest) -> dict[str, NDArray[Any]]:
    path = request.path
    try:
        kind, words = file_kind(path)
        if kind != "npz":
            raise BaconError(f"{path}: not an .npz file, but {words}: {_advice(kind, request)}")
        with zipfile.ZipFile(path) as archive:
            held = [name.removesuffix(".npy") for name in archive.namelist()]
        wanted = _wanted(held, path)
        with np.load(path, allow_pickle=False) as file:
            return {key: _array(file, key, path) for key in wanted}
    except OSError as error:
        raise BaconError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise BaconError(
            f"{path}: not an .npz file, or a damaged one ({error}). Save it again, or copy it again from where it is whole"
        ) from None
    except MemoryError:
        raise BaconError(
            f"{path}: its arrays do not fit into memory. Save them as uint8, or the images at a smaller size"
        ) from None


def _advice(kind: Any, request: ReadRequest) -> str:
    if kind == "npy":
        return f"it holds a single array; save {', '.join(_TRAIN + _TEST)} with numpy.savez"
    if kind == "empty":
        return "copy it again from where it is whole"
    return advice_for(kind, request.key)


def _wanted(held: Iterable[str], path: Path) -> list[str]:
    """The keys to read."""
    held = list(held)
    needed = _TRAIN + (_TEST if any(key in held for key in _TEST) else ())
    missing = [key for key in needed if key not in held]
    if missing:
        found = f"{', '.join(missing)} missing; it holds {', '.join(held) or 'nothing'}"
        raise BaconError(f"{path}: {found}. {_naming_advice(missing, held, path)}")
    return [*needed, *(["class_names"] if "class_names" in held else [])]


def _naming_advice(missing: list[str], held: list[str], path: Path) -> str:
    """How the arrays get their names, where they have those of other programs."""
    renamed = {key: next((name for name in (key, *_ALIASES[key]) if name in held), None) for key in _ALIASES}
    like = ", ".join(f"{key}=f[{name!r}]" for key, name in renamed.items() if name)
    if all(renamed[key] for key in missing):
        return f"Save them under those names: numpy.savez('new.npz', {like}) of f = numpy.load({path.name!r})"
    return (
        "Images and labels are saved with numpy.savez as x_train, y_train and, where there is a test set, x_test and y_test; "
        "without both, a share of each class is held out for testing"
    )


def _array(file: Any, key: str, path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = file[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        stacked = (
            "numpy.stack([...]) of images of one size" if key.startswith("x") else "numpy.array([...]) of one type"
        )
        raise BaconError(
            f"{path}: {key} holds Python objects, which are not opened, so this is not an .npz file of plain arrays; save "
            f"{stacked}"
        ) from None
    return array


def _class_names(names: NDArray[Any] | None, path: Path) -> tuple[str, ...]:
    if names is None:
        return ()
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise BaconError(
            f"{path}: class_names is {names.dtype} {names.shape}; it must be a list of strings: numpy.array(['cat', 'dog'])"
        )
    texts = (name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names.tolist())
    return tuple(plain_name(text) for text in texts)
