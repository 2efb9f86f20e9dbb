"""What other people's files hold, as containers, tensors, arrays and numbers; nothing in them is ever executed.

The kind of a file is told by its first bytes: suffixes are often wrong, and what is no file of tensors at all (a web page that
was saved in its place, a pointer of Git LFS, a download that was cut off) is named for what it is.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bacon.runtime.errors import BaconError

SUFFIXES = (".pt", ".pth", ".npz", ".npy", ".h5", ".hdf5", ".safetensors")
_HEAD_BYTES = 512
_ZIP, _ZIP_END = b"PK\x03\x04", b"PK\x05\x06"
_ZIP_END_BYTES = 65_557  # a comment of at most 65535 bytes may follow the last record
_AGAIN = "download it again"
# What is often found under the name of a file of tensors: how it begins -> what it is, and what to do.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (rb"\s*(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|head|body)", f"a web page: {_AGAIN}, with the link to the file itself"),
    (rb"version https://git-lfs", "a pointer of Git LFS, not the file itself: run `git lfs pull`"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd", "a compressed archive: unpack it, and give the file in it"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP", "an image: give the folder of class folders that it belongs to"),
    (rb"%PDF", f"a PDF document, not tensors: {_AGAIN}"),
)  # fmt: skip
# Accuracies in published files are numpy's numbers. These rebuild numbers and arrays of numbers, and nothing else.
# Older versions of numpy keep the same functions in another module.
_SCALAR, _ARRAY = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
_DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
_NUMPY: list[Any] = [
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_ARRAY, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(name)) for name in _DTYPES.split()),
]


def read_content(path: Path) -> Any:
    """What a file holds: for NumPy's, HDF5 and safetensors files a dict of arrays or tensors by name.

    Raises:
        BaconError: it is missing, damaged, of an unknown kind, or holds more than tensors, arrays, numbers and text.
    """
    if not path.exists():
        raise BaconError(f"{path}: the file does not exist")
    if path.suffix.lower() not in SUFFIXES:
        raise BaconError(
            f"{path}: unknown file type {path.suffix!r}; those of tensors are {', '.join(SUFFIXES)}; rename it if it is one"
        )
    try:
        reader = _reader(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch and numpy about old formats; what is read is checked
            return reader(path)
    except BaconError:
        raise
    except Exception as error:  # damaged bytes fail in any part of a reader
        raise BaconError(f"{path}: cannot be read ({reason(error)}); if it was downloaded, {_AGAIN}") from None


def reason(error: Exception) -> str:
    """One line of an error's text."""
    text = str(error).strip()
    return re.split(r"\n|\. ", text)[0] if text else type(error).__name__


def _reader(path: Path) -> Callable[[Path], Any]:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise BaconError(f"{path}: is empty (0 bytes); {_AGAIN}")
    for start, what in _OTHERS:
        if re.match(start, head, re.IGNORECASE | re.DOTALL):
            raise BaconError(f"{path}: is {what}")
    if head.startswith(_ZIP):
        return _zip_reader(path)
    if head.startswith(b"\x93NUMPY"):
        return _read_npy
    if head.startswith(b"\x89HDF"):
        return _read_hdf5
    if head[8:9] == b"{":
        return _read_safetensors
    if path.suffix.lower() in (".pt", ".pth"):
        return _read_torch
    raise BaconError(
        f"{path}: is not a {path.suffix} file, nor any other file of tensors; if it was downloaded, {_AGAIN}"
    )


def _zip_reader(path: Path) -> Callable[[Path], Any]:
    """NumPy's and PyTorch's files are both zip archives, whose table of contents is at the end."""
    import zipfile

    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _ZIP_END_BYTES))
        if _ZIP_END not in file.read():
            raise BaconError(
                f"{path}: is cut off (its end is missing, {path.stat().st_size} bytes are there); {_AGAIN}"
            )
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if names and all(name.endswith(".npy") for name in names):
        return _read_npz
    if any(name.endswith("data.pkl") for name in names):
        return _read_torch
    raise BaconError(f"{path}: is a zip archive of {listed(names)}: unpack it, and give the file or folder in it")


def _read_torch(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_NUMPY):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BaconError(
            f"{path}: cannot be read with weights_only=True ({_refused(error)}), and reading it any other way could run code. "
            "Save its tensors again where it was made: torch.save((images, labels), path)"
        ) from None


def _refused(error: Exception) -> str:
    """Why PyTorch refused a pickle: the class that it names, where it does."""
    named = re.search(r"(?:GLOBAL|global|class|Unsupported) `?([\w.]+\.[\w.]+)", str(error))
    return f"it needs {named[1]}" if named else reason(error)


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return {name: _numbers(path, file, name) for name in file}


def _numbers(path: Path, file: Any, name: str) -> Any:
    try:
        return file[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise BaconError(
            f"{path}: {name!r} is not a readable array of numbers: it holds Python objects, and unpickling those could run "
            "code. Save it as an array of one shape: np.savez(path, images=np.stack(images), labels=np.array(labels))"
        ) from None


def _read_npy(path: Path) -> Any:
    return _numbers(path, {"array": np.load(path, allow_pickle=False)}, "array")


def _read_hdf5(path: Path) -> dict[str, Any]:
    """Every array by its path in the file, such as train/images."""
    import h5py

    with h5py.File(path) as file:
        if file.attrs.get("format") == "bacon-dataset":
            raise BaconError(f"{path}: is a prepared data set, not a distilled one; give it as --data")
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        return {name: file[name][()] for name in names}


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path)


def listed(names: list[str], most: int = 5) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more
