"""Bring the official files of a data set into one folder: what is there already, a local copy, a mirror, the publisher.

No file gets its name before its size and checksum are those of the registry, whatever it came from. A process may be
killed at any time: what it had received lies beside the files, as ``.part``, and the next call goes on from there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from bacon.datasets.checksums import describe, file_digest, find_verified, problem
from bacon.datasets.fetch import Patience, UnavailableError, fetch
from bacon.datasets.registry import DatasetInfo, Source
from bacon.runtime.atomic import atomic_path, publish
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger

log = get_logger(__name__)

_PATIENCE = Patience()


def download(
    info: DatasetInfo,
    folder: Path,
    *,
    archives: Path | None = None,
    mirrors: Sequence[str] = (),
    patience: Patience = _PATIENCE,
) -> list[Path]:
    """Make sure that the official files of a data set are in a folder, verified.

    Files that are there, or in ``archives``, are verified and used without any connection. Any number of processes may do
    this at the same time.

    Args:
        info: the data set.
        folder: where its files are kept; created when missing.
        archives: a folder with official files, which is only read; a file that it lacks is downloaded.
        mirrors: base addresses that are tried before the official ones; the name of the file is appended.
        patience: time limits and attempts of each address.

    Returns:
        The path of each file of ``info.sources``, in their order.

    Raises:
        BaconError: a file cannot be had, or cannot be written. The message says what was tried, and which files to put where
            by hand.
    """
    if archives is not None and not archives.is_dir():
        raise BaconError(f"data.{info.name}.archives = {str(archives)!r}: is not a folder (looked in {Path.cwd()})")
    found = [find_verified(folder, source)[0] for source in info.sources]
    if all(found):
        # Before the lock, so that a folder which may only be read can be used.
        return [path for path in found if path is not None]
    with _locked(folder):
        return [_obtain(source, info, folder, archives, mirrors, patience) for source in info.sources]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the operating system releases however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("waiting for another process that is downloading into %s", folder)
            lock.acquire()
    except OSError as error:
        raise BaconError(f"{error.filename or folder}: cannot be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def _obtain(
    source: Source, info: DatasetInfo, folder: Path, archives: Path | None, mirrors: Sequence[str], patience: Patience
) -> Path:
    path, wrong = find_verified(folder, source)
    if path is not None:
        return path
    failures = [f"{file}: {what}; kept as {_set_aside(file, file.name)}" for file, what in wrong]
    for attempt in _attempts(source, folder, archives, mirrors, patience):
        try:
            return attempt()
        except UnavailableError as error:
            log.warning("%s", error)
            failures.append(str(error))
    raise BaconError(_by_hand(info, folder, failures))


def _attempts(
    source: Source, folder: Path, archives: Path | None, mirrors: Sequence[str], patience: Patience
) -> Iterator[Callable[[], Path]]:
    if archives is not None:
        yield partial(_copy, source, archives, folder)
    for url in (*(f"{base.rstrip('/')}/{source.file}" for base in mirrors), *source.urls):
        yield partial(_download, source, url, folder, patience)


def _copy(source: Source, archives: Path, folder: Path) -> Path:
    # A copy, not a link: the data set can be prepared again when the other folder has moved.
    path, wrong = find_verified(archives, source)
    if path is None:
        raise UnavailableError(
            "; ".join(f"{file}: {what}" for file, what in wrong) or f"{archives}: has no {source.file}"
        )
    target = folder / path.name
    try:
        with atomic_path(target) as temporary:
            shutil.copyfile(path, temporary)
    except OSError as error:
        raise BaconError(f"{path}: cannot be copied to {target}: {error.strerror or error}") from None
    log.info("%s: verified and copied from %s", target, archives)
    return target


def _download(source: Source, url: str, folder: Path, patience: Patience) -> Path:
    target, part = folder / source.file, folder / f"{source.file}.part"
    continued = part.exists()
    fetch(url, part, size=source.size, patience=patience)
    wrong = problem(part, source)
    if wrong is not None and continued:
        log.warning(
            "%s: %s; the partial file may belong to another file, so the whole file is downloaded again", url, wrong
        )
        part.unlink()
        fetch(url, part, size=source.size, patience=patience)
        wrong = problem(part, source)
    if wrong is not None:
        raise UnavailableError(f"{url}: {wrong}; kept as {_set_aside(part, source.file)}")
    publish(part, target)
    log.info("%s: downloaded and verified", target)
    return target


def _set_aside(path: Path, name: str) -> Path:
    """Rename a file that is not the official one, by its content, so that the same bytes are kept once."""
    aside = path.with_name(f"{name}.wrong-{file_digest(path)[:8]}")
    path.replace(aside)
    return aside


def _by_hand(info: DatasetInfo, folder: Path, failures: Sequence[str]) -> str:
    missing = [source for source in info.sources if find_verified(folder, source)[0] is None]
    tried = "".join(f"\n  {failure}" for failure in failures) or "\n  no address is known for it"
    files = "".join(f"\n  {source.file} ({describe(source)}) from {source.urls[0]}" for source in missing)
    return (
        f"{info.title} cannot be downloaded:{tried}\n"
        f"Behind a proxy, set HTTPS_PROXY and HTTP_PROXY. Without a network, put these files into {folder.resolve()}, or into "
        f"any folder that data.{info.name}.archives names in the configuration, and run again:{files}"
    )
