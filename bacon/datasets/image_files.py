"""The files of a folder of images: which are taken for images, and which are left out. No torch, no numpy."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {
        ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pcx", ".pgm",
        ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
"""Suffixes, in any letter case, of the files that are read as images."""

_PHOTOS = frozenset(
    {
        ".arw", ".cr2", ".cr3", ".dng", ".eps", ".heic", ".heif", ".ico", ".jxl", ".mpo", ".nef", ".orf", ".psd", ".raf",
        ".raw", ".rw2", ".svg",
    }
)  # fmt: skip
_ARCHIVES = frozenset({".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip"})
# Written by operating systems and file managers; nobody wonders why they are not read.
_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "picasa.ini"})
_SYSTEM_FOLDERS = frozenset(
    {"__macosx", "@eadir", "$recycle.bin", "#recycle", "system volume information", "lost+found", "__pycache__"}
)


@dataclass(frozen=True)
class Folder:
    """A folder and what is in it, without hidden entries and those of operating systems.

    Attributes:
        path: the folder.
        folders: its folders, sorted by name; links to folders are followed.
        images: files in it with the suffix of an image, sorted; also links whose target is missing.
        others: files in it that are not taken for images, and links back to a folder that holds them, sorted.
    """

    path: Path
    folders: tuple[Folder, ...]
    images: tuple[Path, ...]
    others: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Its name, in the composed Unicode form and without spaces around it."""
        return plain_name(self.path.name)

    def all_images(self) -> list[Path]:
        """Every image in it and in its folders, sorted by relative path."""
        return sorted(self._below("images"), key=lambda path: path.relative_to(self.path).as_posix())

    def all_others(self) -> list[Path]:
        """Every file in it and in its folders that is not taken for an image."""
        return list(self._below("others"))

    @property
    def holds_images(self) -> bool:
        """Whether an image is in it or in one of its folders."""
        return bool(self.images) or self.holds_folders

    @property
    def holds_folders(self) -> bool:
        """Whether one of its folders holds an image, at any depth."""
        return any(folder.holds_images for folder in self.folders)

    def _below(self, kind: str) -> Iterator[Path]:
        yield from getattr(self, kind)
        for folder in self.folders:
            yield from folder._below(kind)


def plain_name(name: str) -> str:
    """A name in the composed Unicode form (NFC), without spaces around it: as it is read, not as a disk spells it."""
    composed = unicodedata.normalize("NFC", name)
    return composed.strip() or composed


def scan_folder(path: Path) -> Folder:
    """Read the tree of folders under ``path``; no file is opened. Raises ``OSError`` for a folder that cannot be read."""
    return _scan(path, frozenset())


def _scan(path: Path, above: frozenset[tuple[int, int]]) -> Folder:
    status = path.stat()
    above = above | {(status.st_dev, status.st_ino)}
    folders: list[Folder] = []
    images: list[Path] = []
    others: list[Path] = []
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if _is_hidden(entry.name):
                continue
            child = path / entry.name
            if not _is_folder(entry):
                (images if is_image_name(entry.name) and _may_be_read(entry) else others).append(child)
            elif entry.name.lower() in _SYSTEM_FOLDERS:
                continue
            elif entry.is_symlink() and _identity(child) in above:
                others.append(child)
            else:
                folders.append(_scan(child, above))
    return Folder(path, tuple(folders), tuple(images), tuple(others))


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to nothing, which is told of as an unreadable image; a pipe would be waited for."""
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
    except OSError:  # a link that leads to itself
        return True


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def image_files(folder: Path) -> list[Path]:
    """Every image file under a folder, hidden ones and those in hidden folders left out, sorted by relative path."""
    return scan_folder(folder).all_images()


def suffix_counts(files: Iterable[Path]) -> dict[str, int]:
    """How many files have each suffix (lower case; empty: none), the most frequent first; links to folders as ``link``."""
    counts = Counter("link" if path.is_symlink() and path.is_dir() else path.suffix.lower() for path in files)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def counted(counts: Mapping[str, int]) -> str:
    """Suffix counts in words: ``8 .txt, 1 without suffix``."""
    words = {"": "without suffix", "link": "link(s) back to a folder above"}
    return ", ".join(f"{count} {words.get(suffix, suffix)}" for suffix, count in counts.items())


def advice_on(counts: Mapping[str, int]) -> str:
    """What to do about files that are not taken, as far as their suffix says; empty: nothing."""
    photos = ", ".join(sorted(_PHOTOS.intersection(counts)))
    archives = ", ".join(sorted(_ARCHIVES.intersection(counts)))
    parts = [f"convert {photos} to PNG or JPEG to use them"] * bool(photos)
    parts += [f"unpack {archives} to use what is in them"] * bool(archives)
    return "; ".join(parts)


def readable_suffixes() -> str:
    """The suffixes that are read, in words."""
    return ", ".join(sorted(IMAGE_SUFFIXES)) + " (any letter case)"
