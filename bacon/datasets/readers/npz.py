"""Own data in one `.npz` file: x_train, y_train, x_test, y_test and, if wanted, class_names."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.layout import image_layout, image_scale, to_labels, to_uint8
from bacon.datasets.raw import RawDataset, ReadRequest
from bacon.runtime.errors import BaconError

_KEYS = ("x_train", "y_train", "x_test", "y_test")


def read(request: ReadRequest) -> RawDataset:
    """Read the arrays of an `.npz`.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3; uint8, another integer type in 0..255, or floating
    point in [0, 1] or whole numbers in [0, 255]. Labels are (N,) or (N, 1) integers. Objects are not unpickled.

    Raises:
        BaconError: the file cannot be read, or a key, shape, type or value is not allowed.
    """
    path = request.path
    arrays = _load(path)
    train, test = arrays["x_train"], arrays["x_test"]
    layout = image_layout(train, f"{path}: x_train")
    if image_layout(test, f"{path}: x_test") != layout:
        raise BaconError(f"{path}: x_train is {layout}, x_test is not: shapes {train.shape} and {test.shape}")
    scale = image_scale(train, f"{path}: x_train")
    return RawDataset(
        train_images=to_uint8(train, layout, scale, f"{path}: x_train"),
        train_labels=to_labels(arrays["y_train"], f"{path}: y_train"),
        test_images=to_uint8(test, layout, scale, f"{path}: x_test"),
        test_labels=to_labels(arrays["y_test"], f"{path}: y_test"),
        class_names=_class_names(arrays.get("class_names"), path),
    )


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise BaconError(f"{path}: holds a single array; save {', '.join(_KEYS)} with numpy.savez")
        with loaded as file:
            missing = [key for key in _KEYS if key not in file]
            if missing:
                raise BaconError(f"{path}: {', '.join(missing)} missing; it holds {', '.join(file) or 'nothing'}")
            return {key: file[key] for key in (*_KEYS, "class_names") if key in file}
    except OSError as error:
        raise BaconError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise BaconError(f"{path}: not an .npz file of plain arrays, or a damaged one: {error}") from None
    except MemoryError:
        raise BaconError(f"{path}: its arrays do not fit into memory") from None


def _class_names(names: NDArray[Any] | None, path: Path) -> tuple[str, ...]:
    if names is None:
        return ()
    if names.ndim != 1 or names.dtype.kind != "U":
        raise BaconError(f"{path}: class_names is {names.dtype} {names.shape}; it must be a list of strings")
    return tuple(str(name) for name in names)
