"""Tensors in a file with a header that says what they are: size and SHA-256 included, written and verified piece by piece."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import torch

from bacon.runtime.atomic import atomic_path

_HEADER_BYTES = 4096  # the header is written last, into room that is kept for it
_PIECE_BYTES = 2**20


class DamagedFileError(Exception):
    """A file that is not whole, or not what it should be; the message says why."""


def write_checked(path: Path, header: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """Write ``state`` atomically, after one line of JSON: ``header``, ``bytes`` and ``sha256`` of what follows.

    Args:
        path: the file.
        header: what the file is; JSON of less than 4 KB.
        state: tensors, numbers and containers of them.

    Returns:
        The SHA-256 of the state as it is in the file.

    Raises:
        OSError: the disk is full or not writable; what was at ``path`` stays.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(b" " * _HEADER_BYTES)
        payload = _Hashing(file)
        try:
            torch.save(dict(state), cast("IO[bytes]", payload))
        except RuntimeError as error:
            # PyTorch ends its archive all the same, and that error hides the disk's.
            raise payload.error or error from None
        checksum = payload.digest.hexdigest()
        line = json.dumps({**header, "bytes": payload.count, "sha256": checksum}).encode()
        if len(line) >= _HEADER_BYTES:
            raise ValueError(f"{path}: a header of {len(line)} bytes; at most {_HEADER_BYTES - 1} fit")
        file.seek(0)
        file.write(line.ljust(_HEADER_BYTES - 1) + b"\n")
    return checksum


def read_checked(path: Path, *, expected: Mapping[str, Any], device: torch.device) -> tuple[dict[str, Any], Any]:
    """Header and state of a file, verified.

    Args:
        path: a file of :func:`write_checked`.
        expected: keys of the header and the values that they must have.
        device: where the tensors go.

    Raises:
        DamagedFileError: it cannot be read, is not whole, or its header has other values.
    """
    with _verified(path, expected) as (header, state):
        return header, torch.load(cast("IO[bytes]", state), map_location=device, weights_only=True)


def verify_checked(path: Path, *, expected: Mapping[str, Any]) -> None:
    """Raise :class:`DamagedFileError` as :func:`read_checked` does, without making the state."""
    with _verified(path, expected):
        pass


@contextmanager
def _verified(path: Path, expected: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], _Tail]]:
    """The header, and what follows it as a file; what goes wrong in the block is damage too."""
    try:
        with path.open("rb") as file:
            head = file.readline(_HEADER_BYTES)
            header = json.loads(head)
            size = path.stat().st_size - len(head)
            wanted = {**expected, "bytes": size}
            wrong = next((key for key, value in wanted.items() if header[key] != value), None)
            if wrong is not None:
                raise DamagedFileError(f"its {wrong} is {header[wrong]}, expected {wanted[wrong]}")
            digest = hashlib.sha256()
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
            if digest.hexdigest() != header["sha256"]:
                raise DamagedFileError("its checksum is wrong")
            yield header, _Tail(file, len(head))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"it cannot be read ({error})") from None


class _Hashing(io.RawIOBase):
    """Writes to a file, and hashes and counts what it writes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest, self.count = file, hashlib.sha256(), 0
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self.count += len(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise


class _Tail(io.RawIOBase):
    """A file as if it began at ``start``."""

    def __init__(self, file: IO[bytes], start: int) -> None:
        self._file, self._start = file, start
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset + (self._start if whence == 0 else 0), whence) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]
