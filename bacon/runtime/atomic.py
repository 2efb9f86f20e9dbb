"""Files that appear whole or not at all: written beside the target, flushed to disk, renamed over it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bacon.runtime.errors import BaconError

TEMPORARY = ".tmp-"
_DEVICES = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the target's folder (created if missing), with the target's suffixes.

    On success the file is flushed to disk and renamed over the target; on any error it is removed and the target, if
    there was one, is left as it was.

    Raises:
        BaconError: the target is a device or a pipe, which the renamed file would replace.
    """
    target = Path(path)
    _check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=TEMPORARY, suffix="-" + target.name)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; results are as readable as anything else the user creates.
        temporary.chmod(0o666 & ~_umask())
        publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _check_replaceable(target: Path) -> None:
    is_special = target.exists() and not target.is_file() and not target.is_dir()
    # /dev/stdout is a link, to a file where output is redirected.
    if is_special or target.absolute().parent in _DEVICES:
        raise BaconError(f"{target}: is a device or a pipe, which a finished file would replace; name a file")


def publish(temporary: Path, target: Path) -> None:
    """Flush a finished file to disk and rename it over ``target``, which is in the same folder."""
    _flush(temporary)
    temporary.replace(target)
    _flush(target.parent)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` (UTF-8) atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON atomically; NaN and infinities are errors."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove what killed processes left half-written of files called ``name``; only where no other process writes them."""
    for path in folder.glob(f"{TEMPORARY}*-{name}"):
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
