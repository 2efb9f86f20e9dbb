"""What a file really is, by its first bytes and not by its name, for messages that lead on. No torch, no numpy."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from bacon.datasets.image_files import is_image_name

Kind = Literal[
    "npz", "hdf5", "npy", "folder", "archive", "image", "table", "parquet", "pickle", "matlab", "empty", "other"
]

_MAGIC: tuple[tuple[bytes, Kind, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "hdf5", "an HDF5 file"),
    (b"\x93NUMPY", "npy", "a single NumPy array (.npy)"),
    (b"PAR1", "parquet", "a Parquet table"),
    (b"ARROW1", "parquet", "an Arrow table"),
    (b"MATLAB 5.0", "matlab", "a MATLAB file"),
    (b"\x1f\x8b", "archive", "a gzip archive"),
    (b"BZh", "archive", "a bzip2 archive"),
    (b"\xfd7zXZ", "archive", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive", "a 7-Zip archive"),
    (b"Rar!", "archive", "a RAR archive"),
    (b"\x89PNG", "image", "a PNG image"),
    (b"\xff\xd8\xff", "image", "a JPEG image"),
    (b"GIF8", "image", "a GIF image"),
    (b"BM", "image", "a BMP image"),
    (b"II*\x00", "image", "a TIFF image"),
    (b"MM\x00*", "image", "a TIFF image"),
    (b"SQLite format 3", "other", "an SQLite database"),
    (b"version https://git-lfs", "other", "a Git LFS pointer, not the file itself (git lfs pull)"),
    (b"<!DOCTYPE", "other", "a web page"),
    (b"<html", "other", "a web page"),
)
_TAR_MAGIC, _TAR_OFFSET, _TAR_END = b"ustar", 257, 265
_PICKLE = tuple(b"\x80" + bytes((protocol,)) for protocol in range(2, 6))

_ARRAYS = "save its images and labels with numpy.savez as x_train, y_train, x_test and y_test"


def file_kind(path: Path) -> tuple[Kind, str]:
    """What a file or folder is, as a kind and in words (``an HDF5 file``); raises ``OSError`` when it cannot be read."""
    if path.is_dir():
        return "folder", "a folder"
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "empty", "an empty file"
    if start.startswith(b"PK"):
        return _zip_kind(path)
    for magic, kind, words in _MAGIC:
        if start.startswith(magic):
            return kind, words
    if start[_TAR_OFFSET:_TAR_END].startswith(_TAR_MAGIC):
        return "archive", "a tar archive"
    if start.startswith(_PICKLE):
        return "pickle", "a Python pickle"
    return _text_kind(start)


def _zip_kind(path: Path) -> tuple[Kind, str]:
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except (zipfile.BadZipFile, NotImplementedError):  # the latter is zipfile's for a version that it cannot read
        return "npz" if path.suffix == ".npz" else "archive", "a truncated or damaged zip archive"
    if any(name.endswith("data.pkl") for name in names):
        return "pickle", "a file of torch.save"
    if all(name.endswith(".npy") for name in names) and (names or path.suffix == ".npz"):
        return "npz", "NumPy arrays (.npz)"
    pictures = sum(is_image_name(name) for name in names)
    return "archive", "a zip archive" + (f" with {pictures} images" if pictures else "")


def _text_kind(start: bytes) -> tuple[Kind, str]:
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # not just a character that the end cuts
            return "other", "a file of a kind that is not known here"
        text = start[: error.start].decode("utf-8")
    first = text.lstrip().partition("\n")[0]
    if not text.isprintable() and "\0" in text:
        return "other", "a file of a kind that is not known here"
    table = any(separator in first for separator in ",;\t")
    return ("table", "a text table (csv)") if table else ("other", "a text file")


def advice_for(kind: Kind, key: str) -> str:
    """How data of a kind is used, given the settings' key such as ``data.pictures``.

    Args:
        kind: what the file is.
        key: the settings of the data set.
    """
    settings = {"npz": "npz", "hdf5": "hdf5", "folder": "imagefolder"}
    if kind in settings:
        return f"set {key}.format to {settings[kind]}"
    if kind == "archive":
        return f"unpack it, then set {key}.format to imagefolder and {key}.path to the folder of class folders that was in it"
    if kind == "image":
        return f"set {key}.format to imagefolder and {key}.path to a folder with one folder of images per class"
    if kind == "table":
        return (
            "images are not read from tables: save the images and labels that it holds or names with numpy.savez as x_train, "
            f"y_train, x_test and y_test ({key}.format: npz), or sort the image files into one folder per class "
            f"({key}.format: imagefolder)"
        )
    if kind in ("npy", "parquet", "pickle", "matlab"):
        return f"{_ARRAYS}, and set {key}.format to npz"
    return (
        f"data are {key}.format npz (NumPy arrays), imagefolder (a folder of class folders) or hdf5 (a prepared file)"
    )
