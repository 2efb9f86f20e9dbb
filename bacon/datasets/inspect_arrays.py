"""What a file of arrays is, from its headers, its labels and the values of its first images."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from bacon.datasets.checks import check_raw, check_splits
from bacon.datasets.deep_pixels import likely_range
from bacon.datasets.layout import image_layout, to_labels
from bacon.datasets.raw import RawDataset
from bacon.datasets.source_summary import SourceSummary, with_class_problems
from bacon.datasets.store import check_schema
from bacon.datasets.value_ranges import check_same_range, value_range
from bacon.runtime.errors import BaconError

_SAMPLE_BYTES = 32 * 1024 * 1024


def inspect_npz(path: Path, words: str, key: str) -> SourceSummary:
    """What an `.npz` holds; ``words`` say what it is, ``key`` names its settings. Raises ``OSError``."""
    summary = SourceSummary(path=path, kind=words, format="npz")
    try:
        with zipfile.ZipFile(path) as file:
            names = {name.removesuffix(".npy") for name in file.namelist()}
            missing = [name for name in ("x_train", "y_train") if name not in names]
            if missing:
                held = ", ".join(sorted(names)) or "nothing"
                return replace(summary, problems=(_missing_arrays(path, missing, held),))
            arrays = {name: _stored(file, name) for name in sorted(names) if name in _WANTED}
        return _arrays(summary, arrays, key)
    except (ValueError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        return replace(summary, problems=(f"{path}: a damaged file, or it holds Python objects: {error}",))


_WANTED = ("x_train", "y_train", "x_test", "y_test", "class_names")


def _missing_arrays(path: Path, missing: Sequence[str], held: str) -> str:
    return (
        f"{path}: {', '.join(missing)} missing; it holds {held}. Save images and labels with numpy.savez as x_train, y_train "
        "and, where there are any, x_test and y_test"
    )


@dataclass(frozen=True)
class _Stored:
    """An array in a file: its shape and type, and its first values, all of them for a list of labels or names."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    first: NDArray[Any]


def _stored(file: zipfile.ZipFile, name: str) -> _Stored:
    with file.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(member)
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects")
        if fortran and len(shape) > 1:  # values of all images are interleaved
            with file.open(f"{name}.npy") as whole:
                return _Stored(shape, dtype, np.lib.format.read_array(whole, allow_pickle=False)[:64])
        return _Stored(shape, dtype, _first(member, shape, dtype, whole=len(shape) < 3))


def _first(member: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], *, whole: bool) -> NDArray[Any]:
    count = shape[0] if shape else 1
    each = dtype.itemsize * math.prod(shape[1:])
    count = count if whole else min(count, max(1, _SAMPLE_BYTES // max(1, each)))
    content = member.read(count * each)
    if len(content) < count * each:
        raise EOFError("it ends in the middle of an array")
    return np.frombuffer(content, dtype=dtype).reshape(count, *shape[1:])


def _arrays(summary: SourceSummary, arrays: Mapping[str, _Stored], key: str) -> SourceSummary:
    images = arrays["x_train"]
    size, channels = _array_size(images.shape)
    summary = replace(
        summary,
        layout="train and test" if "x_test" in arrays and "y_test" in arrays else "train alone",
        sizes={size: images.shape[0]} if size else {},
        modes={str(images.dtype): images.shape[0]} if images.shape else {},
        channels=channels,
        values=_extremes(images.first),
        probed=len(images.first),
    )
    try:
        image_layout(_blank(images.shape), f"{summary.path}: x_train")
        return _with_classes(_with_value_range(summary, arrays, key), arrays, key)
    except BaconError as error:
        return replace(summary, problems=(*summary.problems, str(error)))


def _blank(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array of a shape that takes no memory."""
    return np.broadcast_to(np.uint8(0), shape)


def _with_classes(summary: SourceSummary, arrays: Mapping[str, _Stored], key: str) -> SourceSummary:
    """The summary with classes and counts, from all labels; raises :class:`BaconError` for those that cannot be read."""
    names = tuple(arrays["class_names"].first.astype(str).tolist()) if "class_names" in arrays else ()
    keys = ("y_train", "y_test") if summary.layout == "train and test" else ("y_train", "y_train")
    train, test = (to_labels(arrays[name].first, f"{summary.path}: {name}") for name in keys)
    counted = [arrays[name.replace("y", "x", 1)].shape[0] for name in keys]
    raw = RawDataset(
        train_images=_blank((counted[0], 1, 1, 1)),
        train_labels=train,
        test_images=_blank((counted[1], 1, 1, 1)),
        test_labels=test,
        class_names=names,
    )
    check_splits(raw, key.removeprefix("data."))
    check_raw(raw, key.removeprefix("data."))
    classes = len(names) or int(train.max()) + 1
    split = summary.layout == "train and test"
    return with_class_problems(
        replace(
            summary,
            classes=names or tuple(map(str, range(classes))),
            train_counts=tuple(np.bincount(train, minlength=classes).tolist()),
            test_counts=tuple(np.bincount(test, minlength=classes).tolist()) if split else None,
        )
    )


def _with_value_range(summary: SourceSummary, arrays: Mapping[str, _Stored], key: str) -> SourceSummary:
    """The summary with the range that must be stated, where one must; a problem where none helps."""
    try:
        scale, odd = value_range(arrays["x_train"].first, f"{summary.path}: x_train", key)
    except BaconError as error:
        if summary.values is None or not np.isfinite(summary.values).all():
            raise
        return replace(summary, value_range=likely_range(*summary.values), warnings=(*summary.warnings, str(error)))
    if "x_test" in arrays:
        check_same_range(arrays["x_test"].first, scale, f"{summary.path}: x_test")
    return replace(summary, warnings=(*summary.warnings, *odd))


def _array_size(shape: tuple[int, ...]) -> tuple[tuple[int, int] | None, Literal[1, 3] | None]:
    """(height, width) and channels of an array of images, as far as its shape says."""
    if len(shape) == 3:
        return (shape[1], shape[2]), 1
    if len(shape) == 4 and shape[3] in (1, 3):
        return (shape[1], shape[2]), 1 if shape[3] == 1 else 3
    if len(shape) == 4 and shape[1] in (1, 3):
        return (shape[2], shape[3]), 1 if shape[1] == 1 else 3
    return None, None


def _extremes(values: NDArray[Any]) -> tuple[float, float] | None:
    if values.size == 0 or values.dtype.kind not in "biuf":
        return None
    return float(values.min()), float(values.max())


def inspect_hdf5(path: Path, words: str) -> SourceSummary:
    """What an HDF5 file holds; ``words`` say what it is. Raises ``OSError``."""
    summary = SourceSummary(path=path, kind=words, format="hdf5")
    try:
        with h5py.File(path, "r") as file:
            check_schema(file, path, "Prepare it again with the workflow that wrote it")
            names = tuple(json.loads(str(file.attrs["class_names"])))
            images, train = file["train/images"], file["train/labels"][()]
            if "validation" in file:
                train = np.concatenate([train, file["validation/labels"][()]])
            counts = [np.bincount(part, minlength=len(names)) for part in (train, file["test/labels"][()])]
            first = images[:64]
        return with_class_problems(
            replace(
                summary,
                kind="a prepared data set (HDF5)",
                layout="train and test",
                classes=names,
                train_counts=tuple(counts[0].tolist()),
                test_counts=tuple(counts[1].tolist()),
                sizes={(images_shape := first.shape)[2:]: int(counts[0].sum())},
                modes={"uint8": int(counts[0].sum())},
                channels=1 if images_shape[1] == 1 else 3,
                values=_extremes(first),
                probed=len(first),
            )
        )
    except BaconError as error:
        return replace(summary, format=None, problems=(str(error),))
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        return replace(summary, format=None, problems=(f"{path}: truncated or damaged ({error})",))
