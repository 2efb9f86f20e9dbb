"""Fetch one file over HTTP, going on where an earlier attempt, or a killed process, stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import requests
import urllib3

from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger
from bacon.runtime.progress import Progress

log = get_logger(__name__)

# A dropped connection loses at most one block.
_BLOCK = 64 * 1024
_MEGABYTE = 1_000_000
_BUSY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Time limits in seconds, and number of attempts, of a download."""

    connect: float = 15.0
    """For a connection."""
    read: float = 60.0
    """Between two bytes."""
    attempts: int = 5
    """Failures in a row, without one new byte between them, after which the address is abandoned."""
    pause: float = 1.0
    """Before the second attempt; doubled before each further one."""


class UnavailableError(Exception):
    """An address does not give the file; the message says why. Another address may."""


class _AttemptError(Exception):
    """This attempt failed in a way that another one may not."""


def fetch(url: str, part: Path, *, size: int | None, retries: RetryPolicy) -> None:
    """Bring the bytes of ``url`` into ``part``, after those that it holds already.

    Whether they are the right bytes is for the caller to verify: a file that was continued may be of two versions.

    Args:
        url: ``http://`` or ``https://``. Proxies are taken from the environment, as everywhere.
        part: the unfinished file; it survives every failure, so that the next call resumes from there.
        size: bytes of the whole file, when known: a shorter answer is a dropped connection, a longer one not the file.
        retries: time limits and attempts.

    Raises:
        UnavailableError: the address does not exist, sends the wrong file, or failed too many times in a row.
        BaconError: ``part`` cannot be written.
    """
    longest, failures = _length(part), 0
    with Progress(f"downloading {url} (MB)", math.ceil((size or 0) / _MEGABYTE)) as progress:
        while size is None or _length(part) < size:
            try:
                _receive(url, part, size, retries, progress)
                return
            except _AttemptError as error:
                # Only more than ever before counts as progress: a server that always drops at the same byte is given up.
                failures = 1 if _length(part) > longest else failures + 1
                longest = max(longest, _length(part))
                if failures >= retries.attempts:
                    raise UnavailableError(f"{url}: {error} ({failures} attempts)") from None
                log.warning("%s: %s; starting attempt %d of %d", url, error, failures + 1, retries.attempts)
                time.sleep(retries.pause * 2 ** (failures - 1))


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _receive(url: str, part: Path, size: int | None, retries: RetryPolicy, progress: Progress) -> None:
    """One attempt."""
    held = _length(part)
    # Many servers declare a .gz file as an encoding of its content; what counts here are the bytes of the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={held}-"} if held else {})
    with _readable_errors(url), requests.get(url, headers=headers, stream=True, timeout=_timeout(retries)) as response:
        start = _start(url, response, held, part)
        _check_length(url, response, start, size)
        with _writable(part), part.open("r+b" if part.exists() else "wb") as file:
            file.seek(start)
            file.truncate()
            for block in response.raw.stream(_BLOCK, decode_content=False):
                file.write(block)
                if size is not None and file.tell() > size:
                    raise UnavailableError(f"{url}: the server sends more than the {size} bytes of the official file")
                progress.advance(file.tell() // _MEGABYTE - progress.done)
    if size is not None and _length(part) < size:
        raise _AttemptError(f"the connection ended after {_length(part)} of {size} bytes")


def _timeout(retries: RetryPolicy) -> tuple[float, float]:
    return retries.connect, retries.read


def _start(url: str, response: requests.Response, held: int, part: Path) -> int:
    """The position in the file of the first byte of the answer."""
    status = response.status_code
    if status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _AttemptError(f"HTTP {status} {response.reason}")
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and held:
        part.unlink()
        raise _AttemptError(f"the server has nothing after byte {held}; starting over")
    if status == HTTPStatus.PARTIAL_CONTENT and held:
        found = response.headers.get("Content-Range", "")
        if not found.startswith(f"bytes {held}-"):
            raise UnavailableError(f"{url}: asked for the bytes from {held}, sent {found or 'no Content-Range'}")
        return held
    if status != HTTPStatus.OK:
        raise UnavailableError(f"{url}: HTTP {status} {response.reason}")
    return 0


def _check_length(url: str, response: requests.Response, start: int, size: int | None) -> None:
    """Before a byte is written: a login page or an error page has another length than the file."""
    announced = response.headers.get("Content-Length", "")
    if size is not None and announced.isdigit() and start + int(announced) != size:
        raise UnavailableError(f"{url}: expected {size} bytes, the server offers {start + int(announced)}")


@contextmanager
def _readable_errors(url: str) -> Iterator[None]:
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise UnavailableError(f"{url}: {_innermost(error)}") from None
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise _AttemptError(_innermost(error)) from None
    except requests.RequestException as error:
        raise UnavailableError(f"{url}: {error}") from None


def _innermost(error: BaseException) -> str:
    """The reason at the bottom of the wrappers that requests and urllib3 put around it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"


@contextmanager
def _writable(part: Path) -> Iterator[None]:
    """Errors of the disk, apart from those of the network, which are ``OSError`` too."""
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError):
        raise
    except OSError as error:
        raise BaconError(f"{part}: cannot be written: {error.strerror or error}") from None
