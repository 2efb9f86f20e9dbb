"""One job per artifact: an OS file lock that is held while it is computed and ends with the process.

A killed Snakemake leaves its jobs running; the next call would start the same job beside them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger

log = get_logger(__name__)

_POLL_SECONDS = 0.2
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
"""What the system says of a lock on a file system that has none."""


@contextmanager
def job_lock(path: Path, *, log_seconds: float = 30.0) -> Iterator[bool]:
    """Hold the lock in ``path``; yields whether another process held it first, which is waited for with a log line.

    Raises:
        BaconError: the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    waited, last = False, -float("inf")
    while (lock := _taken(path)) is None:
        waited = True
        if time.monotonic() - last >= log_seconds:
            last = time.monotonic()
            log.info("waiting for the process that is already computing this (%s)", _holder(path))
        time.sleep(_POLL_SECONDS)
    with _released(lock, path):
        yield waited


@contextmanager
def free_job_lock(path: Path) -> Iterator[bool]:
    """Hold the lock in ``path`` if nobody does; yields whether it is held now. Errors as :func:`job_lock`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _taken(path)
    if lock is None:
        yield False
        return
    with _released(lock, path):
        yield True


def is_held(path: Path) -> bool:
    """Whether a process on this machine (or on one that shares its locks) holds the lock."""
    if not path.exists():
        return False
    try:
        lock = _taken(path)
    except (OSError, BaconError):  # another user's, or on a disk that cannot be written: whoever looks may only read it
        return _seems_held(path)
    if lock is not None:
        lock.release()
    return lock is None


def _seems_held(path: Path) -> bool:
    """As :func:`is_held`, of a file that cannot be written; where it cannot be read either, nobody is known to hold it."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _taken(path: Path) -> BaseFileLock | None:
    """The lock in ``path``, held from here on; ``None`` where another process holds it."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    except OSError as error:
        check_has_locks(path, error)
        raise
    return lock


def check_has_locks(path: Path, error: OSError, *, advice: str = "Use a folder on another disk") -> None:
    """Raise :class:`BaconError` where ``error``, of locking ``path``, says that the file system has no locks."""
    if error.errno in _NO_LOCKS:
        raise BaconError(
            f"{path}: this file system has no file locks ({error.strerror}), which keep two processes from the same work. "
            f"{advice}, or have this one mounted with locks (NFS: the lock service or local_lock=flock; Lustre: "
            "flock)"
        ) from None


@contextmanager
def _released(lock: BaseFileLock, path: Path) -> Iterator[None]:
    """What is done while the lock in ``path`` is held, and who holds it in a file beside it; then it is let go."""
    try:
        _holder_file(path).write_text(f"process {os.getpid()}", encoding="utf-8")
        yield
    finally:
        lock.release()


def _holder_file(path: Path) -> Path:
    return path.with_suffix(".holder")


def _holder(path: Path) -> str:
    try:
        return _holder_file(path).read_text(encoding="utf-8")
    except OSError:
        return "unknown process"
