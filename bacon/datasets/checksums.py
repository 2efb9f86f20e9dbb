"""Checksums of files, and whether a file is the official one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from bacon.datasets.registry import DatasetInfo, Source
from bacon.runtime.errors import BaconError


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes; ``algorithm`` is ``sha256`` or ``md5``."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def problem(path: Path, source: Source) -> str | None:
    """What is wrong with a file that should be ``source``: expected against found; ``None`` when it is right."""
    size = path.stat().st_size
    if source.size is not None and size != source.size:
        return f"size: expected {source.size} bytes, found {size}"
    algorithm, expected = source.checksum
    found = file_digest(path, algorithm)
    return None if found == expected else f"{algorithm}: expected {expected}, found {found}"


def unpacked_problem(path: Path, source: Source) -> str | None:
    """As :func:`problem`, for a copy of a gzip file that somebody has unpacked."""
    found = file_digest(path, "sha256")
    expected = source.unpacked_sha256
    return None if found == expected else f"sha256 of the unpacked file: expected {expected}, found {found}"


def unpacked_name(source: Source) -> str | None:
    """Name of the unpacked copy that is accepted too; ``None`` when there is none."""
    return source.file.removesuffix(".gz") if source.unpacked_sha256 is not None else None


def find_verified(folder: Path, source: Source) -> tuple[Path | None, list[tuple[Path, str]]]:
    """The official file, or its unpacked copy, in a folder.

    Returns:
        The verified path or ``None``, and each file of that name that is not the official one, with what is wrong.
    """
    wrong: list[tuple[Path, str]] = []
    for name, check in ((source.file, problem), (unpacked_name(source), unpacked_problem)):
        path = folder / name if name is not None else None
        if path is None or not path.is_file():
            continue
        found = _checked(path, source, check)
        if found is None:
            return path, wrong
        wrong.append((path, found))
    return None, wrong


def _checked(path: Path, source: Source, check: Callable[[Path, Source], str | None]) -> str | None:
    try:
        return check(path, source)
    except OSError as error:
        raise BaconError(f"{path}: cannot be read: {error.strerror or error}") from None


def require_verified(info: DatasetInfo, folder: Path) -> dict[str, Path]:
    """The official files of a data set in a folder, verified before anything opens them.

    Returns:
        Official name -> path, which is that of the unpacked copy where only that is there.

    Raises:
        BaconError: one is missing or is not the official file.
    """
    found = {}
    for source in info.sources:
        path, wrong = find_verified(folder, source)
        if path is None:
            what = "; ".join(f"{file}: {text}" for file, text in wrong) or f"{folder / source.file} does not exist"
            raise BaconError(
                f"{info.title}: {what}. Delete {folder / '.complete'} and run again, which downloads it again and "
                f"renames the wrong file; or put the official {source.file} ({describe(source)}) into {folder}"
            )
        found[source.file] = path
    return found


def describe(source: Source) -> str:
    """Size and checksum of an official file, for messages."""
    algorithm, digest = source.checksum
    size = f"{source.size} bytes, " if source.size is not None else ""
    return f"{size}{algorithm} {digest}"
