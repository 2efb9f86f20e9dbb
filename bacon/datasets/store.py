"""The preprocessed data set: one HDF5 file with one versioned schema.

Schema 1::

    /train/images (N, C, H, W) uint8    /train/labels (N,) int64
    /test/images, /test/labels          as above
    /validation/images, labels          only when a validation split was asked for
    /whitening/mean, matrix             float32, attribute epsilon; only when ZCA was asked for
    attributes: format, schema_version, name, fingerprint, content_sha256, class_names (JSON), mean, std,
                warnings (JSON list of texts, only when there are any), and what the writer adds (source, title, ...)

Images are chunked for sequential reads, about half a MiB per chunk, and compressed with lzf, which reads much faster than
gzip for a slightly larger file (docs/speed.md). Each chunk has a checksum.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bacon.datasets.whitening import Whitening
from bacon.runtime.atomic import atomic_path
from bacon.runtime.errors import BaconError

FORMAT = "bacon-dataset"
SCHEMA_VERSION = 1
_CHUNK_BYTES = 512 * 1024
_REMAKE = "Delete it and run the workflow again, which rebuilds it from the source files"
_RESERVED = frozenset(
    {"format", "schema_version", "name", "fingerprint", "content_sha256", "class_names", "mean", "std", "warnings"}
)

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class ImageDataset:
    """A preprocessed data set in memory.

    Attributes:
        name: key of the data set.
        train_images: (N, C, H, W) uint8.
        train_labels: (N,) int64 in [0, classes).
        test_images: (M, C, H, W) uint8.
        test_labels: (M,) int64.
        class_names: one name per class, in label order.
        mean: per channel, of images in [0, 1].
        std: per channel, positive.
        fingerprint: the cumulative fingerprint that the workflow gave it.
        validation_images: (V, C, H, W) uint8, held out of the training images; ``None``: no such split.
        validation_labels: (V,) int64; ``None`` with the images.
        whitening: ZCA fitted on the training images, in place of mean and std; ``None``: not asked for.
        warnings: what is odd about the data, in words; changes no result.
    """

    name: str
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    validation_images: NDArray[np.uint8] | None = None
    validation_labels: NDArray[np.int64] | None = None
    whitening: Whitening | None = None
    warnings: tuple[str, ...] = ()

    def splits(self) -> Iterator[tuple[str, Split]]:
        """The splits that exist, as (name, (images, labels))."""
        yield "train", (self.train_images, self.train_labels)
        yield "test", (self.test_images, self.test_labels)
        if self.validation_images is not None and self.validation_labels is not None:
            yield "validation", (self.validation_images, self.validation_labels)


def content_sha256(dataset: ImageDataset) -> str:
    """SHA-256 of everything that can change a result: images, labels, names, normalisation, whitening."""
    digest = hashlib.sha256()

    def add(name: str, array: NDArray[Any]) -> None:
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)

    header = {"class_names": dataset.class_names, "mean": dataset.mean, "std": dataset.std}
    digest.update(json.dumps(header, sort_keys=True).encode())
    for name, (images, labels) in dataset.splits():
        add(f"{name}/images", images)
        add(f"{name}/labels", labels)
    if dataset.whitening is not None:
        add("whitening/mean", dataset.whitening.mean)
        add("whitening/matrix", dataset.whitening.matrix)
    return digest.hexdigest()


def write_dataset(
    path: Path | str, dataset: ImageDataset, *, attributes: Mapping[str, str | int | float] | None = None
) -> None:
    """Write a data set atomically.

    Args:
        path: the file to write; replaced when it exists.
        dataset: what to write.
        attributes: more attributes of the file, such as its source; names of the schema are not allowed.

    Raises:
        BaconError: an attribute has a name of the schema, or the disk is full or not writable.
    """
    extra = dict(attributes or {})
    if taken := sorted(_RESERVED & extra.keys()):
        raise BaconError(f"{path}: attributes {', '.join(taken)} belong to the schema; choose other names")
    try:
        # Without a chunk cache nothing is left to flush when the disk is full, which crashes the library as it closes.
        with atomic_path(path) as temporary, h5py.File(temporary, "w", rdcc_nbytes=0) as file:
            _write(file, dataset)
            file.attrs.update(extra)
    except (OSError, RuntimeError) as error:  # closing a file that cannot grow is a RuntimeError
        raise BaconError(f"{path}: cannot be written: {_reason(error)}") from None


def _reason(error: OSError | RuntimeError) -> str:
    """What the system said; HDF5 wraps it into a report of several lines."""
    found = re.search(r"error message = '([^']+)'", str(error))
    return found[1] if found else getattr(error, "strerror", None) or str(error)


def _write(file: h5py.File, dataset: ImageDataset) -> None:
    for name, (images, labels) in dataset.splits():
        per_chunk = max(1, min(len(images), _CHUNK_BYTES // max(1, images[0].nbytes)))
        chunks = (per_chunk, *images.shape[1:])
        group = file.create_group(name)
        group.create_dataset("images", data=images, chunks=chunks, compression="lzf", fletcher32=True)
        group.create_dataset("labels", data=labels, chunks=(min(len(labels), 65536),), fletcher32=True)
    if dataset.whitening is not None:
        write_whitening(file, dataset.whitening)
    file.attrs["format"] = FORMAT
    file.attrs["schema_version"] = SCHEMA_VERSION
    file.attrs["name"] = dataset.name
    file.attrs["fingerprint"] = dataset.fingerprint
    file.attrs["content_sha256"] = content_sha256(dataset)
    file.attrs["class_names"] = json.dumps(dataset.class_names)
    if dataset.warnings:
        file.attrs["warnings"] = json.dumps(dataset.warnings)
    file.attrs["mean"] = np.asarray(dataset.mean, dtype=np.float64)
    file.attrs["std"] = np.asarray(dataset.std, dtype=np.float64)


def read_dataset(path: Path | str, *, expected_fingerprint: str | None = None, train: bool = True) -> ImageDataset:
    """Read a data set whole, or without its training images.

    Args:
        path: a file that :func:`write_dataset` wrote.
        expected_fingerprint: refuse a file that has another one; ``None``: any.
        train: ``False``: the training split is left empty, for callers that need only the other splits.

    Raises:
        BaconError: the file does not exist, is truncated or damaged, is not ours, is of another version of the schema, or
            has another fingerprint.
    """
    with open_store(path) as file:
        check_fingerprint(file, path, expected_fingerprint)
        return _read(file, path, train)


def verify_dataset(path: Path | str) -> ImageDataset:
    """Read a data set whole and compare its contents with the checksum stored in it; as :func:`read_dataset`."""
    dataset = read_dataset(path)
    with open_store(path) as file:
        expected = str(file.attrs["content_sha256"])
    found = content_sha256(dataset)
    if found != expected:
        raise BaconError(f"{path}: its contents have the sha256 {found}, the file says {expected}. {_REMAKE}")
    return dataset


def check_fingerprint(file: h5py.File, path: Path | str, expected: str | None) -> None:
    """Raise :class:`BaconError` when the open file has another fingerprint than the one expected, if any is."""
    found = str(file.attrs["fingerprint"])
    if expected is not None and found != expected:
        raise BaconError(
            f"{path}: made for fingerprint {found}, but {expected} is needed: the settings, the source or the code "
            "that prepares it has changed. Run snakemake again"
        )


class open_store:  # noqa: N801 - a context manager that reads like the function it is
    """Context manager: the open HDF5 file of a data set, its format and version checked; errors become readable.

    Args:
        path: the file.
        advice: what to do about a damaged file, or one of another version.
    """

    def __init__(self, path: Path | str, *, advice: str = _REMAKE) -> None:
        self._path, self._advice = Path(path), advice
        self._file: h5py.File | None = None

    def __enter__(self) -> h5py.File:
        if not self._path.is_file():
            kind = "is not a file, which a prepared data set is" if self._path.exists() else "does not exist"
            raise BaconError(f"{self._path}: {kind}")
        try:
            self._file = h5py.File(self._path, "r")
            check_schema(self._file, self._path, self._advice)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self._file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._file is not None:
            self._file.close()
        # h5py reports damage as OSError, RuntimeError, KeyError or ValueError, depending on the structure it meets.
        if isinstance(error, OSError | RuntimeError | KeyError | ValueError):
            raise BaconError(_damage(self._path, error, self._advice)) from error


def check_schema(file: h5py.File, path: Path, advice: str) -> None:
    """Raise :class:`BaconError` unless the file is a data set of this version."""
    if file.attrs.get("format") != FORMAT:
        raise BaconError(
            f"{path}: an HDF5 file, but not a preprocessed data set of this project (no format {FORMAT!r})"
        )
    version = int(file.attrs["schema_version"])
    if version != SCHEMA_VERSION:
        age = "an older" if version < SCHEMA_VERSION else "a newer"
        raise BaconError(
            f"{path}: written by {age} version of this project (schema {version}, this one reads {SCHEMA_VERSION}). {advice}"
        )


def _damage(path: Path, error: BaseException, advice: str) -> str:
    with path.open("rb") as file:
        ours = file.read(8) == b"\x89HDF\r\n\x1a\n"
    if not ours:
        return f"{path}: not an HDF5 file (or its beginning is damaged)"
    return f"{path}: truncated or damaged ({error}). {advice}"


def _read(file: h5py.File, path: Path | str, train: bool) -> ImageDataset:
    arrays: dict[str, Any] = {}
    for name in ("test", "validation", *(["train"] if train else [])):
        if name in file or name != "validation":
            arrays[f"{name}_images"] = read_array(file, f"{name}/images", np.uint8)
            arrays[f"{name}_labels"] = read_array(file, f"{name}/labels", np.int64)
    if not train:
        arrays |= {"train_images": arrays["test_images"][:0], "train_labels": arrays["test_labels"][:0]}
    return assembled(file, path, arrays)


def assembled(file: h5py.File, path: Path | str, arrays: Mapping[str, Any]) -> ImageDataset:
    """The data set of an open file with the ``arrays`` that were read of it; their shapes are checked."""
    dataset = ImageDataset(
        name=str(file.attrs["name"]),
        class_names=tuple(json.loads(str(file.attrs["class_names"]))),
        mean=tuple(file.attrs["mean"].tolist()),
        std=tuple(file.attrs["std"].tolist()),
        fingerprint=str(file.attrs["fingerprint"]),
        whitening=read_whitening(file),
        warnings=stored_warnings(file),
        **arrays,
    )
    _check_shapes(dataset, path)
    return dataset


def stored_warnings(file: h5py.File) -> tuple[str, ...]:
    """What was odd about the data of an open file when it was prepared, in words."""
    return tuple(json.loads(str(file.attrs.get("warnings", "[]"))))


def write_whitening(file: h5py.File, whitening: Whitening) -> None:
    """Add the group ``whitening`` to an open file."""
    group = file.create_group("whitening")
    for name in ("mean", "matrix"):
        group.create_dataset(name, data=getattr(whitening, name), chunks=True, fletcher32=True)
    group.attrs["epsilon"] = whitening.epsilon


def read_whitening(file: h5py.File) -> Whitening | None:
    """The whitening of an open file; ``None`` when it has none."""
    if "whitening" not in file:
        return None
    parts = {name: read_array(file, f"whitening/{name}", np.float32) for name in ("mean", "matrix")}
    if parts["matrix"].shape != parts["mean"].shape * 2:
        raise ValueError(f"whitening/matrix is {parts['matrix'].shape} for a mean of {parts['mean'].shape}")
    return Whitening(**parts, epsilon=float(file["whitening"].attrs["epsilon"]))


def read_array(file: h5py.File, name: str, dtype: Any) -> NDArray[Any]:
    """One array whole, straight into its final memory; raises ``KeyError`` or ``ValueError`` when it is not as expected."""
    stored = file[name]
    if stored.dtype != dtype:
        raise ValueError(f"{name} is {stored.dtype}, not {np.dtype(dtype)}")
    array = np.empty(stored.shape, dtype=dtype)
    if array.size:
        stored.read_direct(array)
    return array


def _check_shapes(dataset: ImageDataset, path: Path | str) -> None:
    channels = len(dataset.mean)
    for name, (images, labels) in dataset.splits():
        if images.ndim != 4 or images.shape[1] != channels or labels.shape != images.shape[:1]:
            raise BaconError(
                f"{path}: {name} has images {images.shape}, labels {labels.shape} and {channels} channel means; images must be "
                f"(N, {channels}, H, W) with one label each. {_REMAKE}"
            )
