"""Checksums of files, and whether a file is the official one."""

from __future__ import annotations

import hashlib
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


def find_verified(folder: Path, source: Source) -> tuple[Path | None, list[str]]:
    """The official file, or its unpacked copy, in a folder.

    Returns:
        The verified path or ``None``, and for each file of that name that is not the official one what is wrong.
    """
    problems: list[str] = []
    for name, check in ((source.file, problem), (unpacked_name(source), unpacked_problem)):
        path = folder / name if name is not None else None
        if path is None or not path.is_file():
            continue
        wrong = check(path, source)
        if wrong is None:
            return path, problems
        problems.append(f"{path}: {wrong}")
    return None, problems


def require_verified(info: DatasetInfo, folder: Path) -> list[Path]:
    """The official files of a data set in a folder, verified before anything opens them.

    Raises:
        BaconError: one is missing or is not the official file.
    """
    found = []
    for source in info.sources:
        path, problems = find_verified(folder, source)
        if path is None:
            what = "; ".join(problems) or f"{folder / source.file} does not exist"
            raise BaconError(
                f"{info.title}: {what}. Download it again (delete the wrong file), or put the official {source.file} "
                f"({describe(source)}) into {folder}"
            )
        found.append(path)
    return found


def describe(source: Source) -> str:
    """Size and checksum of an official file, for messages."""
    algorithm, digest = source.checksum
    size = f"{source.size} bytes, " if source.size is not None else ""
    return f"{size}{algorithm} {digest}"
