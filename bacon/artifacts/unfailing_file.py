"""A file for HDF5 in which no write fails: the library crashes the process some time after one that did."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any


class UnfailingFile(io.RawIOBase):
    """A new file for HDF5, which crashes the process some time after a write that failed: no write of this one fails.

    What the disk has refused is kept in memory from then on, so that the library reads back what it wrote and can close;
    :meth:`check` then raises the disk's error.

    Args:
        path: the file; what is in it is lost.
    """

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("w+b", buffering=0)
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the error of the first write that failed."""
        if self._error is not None:
            raise self._error

    def readable(self) -> bool:
        """It can be read."""
        return True

    def writable(self) -> bool:
        """It can be written."""
        return True

    def seekable(self) -> bool:
        """It can be sought in."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place; returns it."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place."""
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; returns how many bytes."""
        return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]

    def write(self, data: Any) -> int:
        """Write everything, to memory where the disk refuses; returns how many bytes."""
        content, done = memoryview(data).cast("B"), 0
        while done < len(content):  # a nearly full disk takes a part
            try:
                done += self._file.write(content[done:])
            except OSError as error:
                self._go_on_in_memory(error)
        return done

    def truncate(self, size: int | None = None) -> int:
        """Cut the file, or lengthen it; returns its size."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._go_on_in_memory(error)
            return self._file.truncate(size)

    def close(self) -> None:
        """Close it."""
        self._file.close()
        super().close()

    def _go_on_in_memory(self, error: OSError) -> None:
        if self._error is not None:
            raise error  # memory refuses nothing
        self._error, place = error, self._file.tell()
        self._file.seek(0)
        memory = io.BytesIO(self._file.read())
        memory.seek(place)
        self._file.close()
        self._file = memory
