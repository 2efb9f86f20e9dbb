"""Members of archives, in memory: nothing is unpacked to disk, and no member may name a place outside the archive's folder."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from bacon.runtime.errors import BaconError

# What reading a damaged archive raises; zipfile's NotImplementedError is for a member's method or flags that it cannot read.
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, NotImplementedError)


def check_member(name: str, archive: Path) -> str:
    """A member's name, unchanged.

    Raises:
        BaconError: it is absolute or climbs out of the folder (``..``).
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise BaconError(
            f"{archive}: member {name!r} points outside the archive's folder; the archive is not trustworthy"
        )
    return name


def tar_members(archive: Path, wanted: Callable[[str], bool], *, limit: int) -> Iterator[tuple[str, bytes]]:
    """Regular files of a tar archive, in one pass.

    Args:
        archive: the file, compressed or not.
        wanted: whether a member of this name is read.
        limit: most bytes that a member may have.

    Yields:
        Name and content.

    Raises:
        BaconError: the archive is damaged, a name points outside, or a wanted member is not a file or larger than ``limit``.
    """
    with readable(archive), tarfile.open(archive, "r|*") as tar:
        for member in tar:
            name = check_member(member.name, archive)
            if not wanted(name):
                continue
            if not member.isfile() or member.size > limit:
                raise BaconError(f"{archive}: member {name!r} is not a regular file of at most {limit} bytes")
            content = tar.extractfile(member)
            assert content is not None, "a regular file has content"
            yield name, content.read()


@contextmanager
def open_zip(archive: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive open for reading, its names checked; damage met inside the block becomes :class:`BaconError`."""
    with readable(archive), zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            check_member(name, archive)
        yield file


def zip_member(file: zipfile.ZipFile, name: str, *, limit: int) -> bytes:
    """Content of one member; raises :class:`BaconError` when there is none, or it claims or holds more than ``limit`` bytes."""
    try:
        info = file.getinfo(name)
    except KeyError:
        raise BaconError(f"{file.filename}: has no member {name!r}") from None
    if info.file_size > limit:
        raise BaconError(f"{file.filename}: member {name!r} has {info.file_size} bytes; at most {limit} are expected")
    with file.open(info) as member:
        return member.read(limit)


@contextmanager
def readable(archive: Path) -> Iterator[None]:
    """Turn the errors of a damaged or missing archive into one that names it."""
    try:
        yield
    except _DAMAGE as error:
        raise BaconError(f"{archive}: cannot be read, or is damaged: {error}") from error
