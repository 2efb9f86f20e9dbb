"""Rows of a tensor that stays in the host's memory, brought to a device in batches while it computes.

A set of images need not fit a GPU. The host gathers a batch into a page-locked buffer, of which there are two, and a stream of
its own copies it; the host is a batch ahead of the device, and no more, so that memory holds two batches. On a CPU nothing
is copied. The rows are the same, to the bit, as those of a tensor on the device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bacon.runtime.logs import get_logger

log = get_logger(__name__)

Placement = Literal["auto", "device", "host"]
"""Where images are kept: on the device, on the host, or on the device where they take at most half of its free memory."""

LARGEST_SHARE = 0.5
# Draws whose places the host knows at a time: those of the batches that it is ahead, and of a queue's networks.
_DRAWS = 32


def stays_on_host(placement: Placement, size: int, device: torch.device, *, name: str) -> bool:
    """Whether ``size`` bytes of images stay in the host's memory.

    Args:
        placement: what was asked for; ``auto`` never keeps apart what is computed on a CPU.
        size: bytes.
        device: where they are used.
        name: of the images, for the log.
    """
    if placement != "auto" or device.type != "cuda":
        return placement == "host"
    free = torch.cuda.mem_get_info(device)[0]
    if size <= LARGEST_SHARE * free:
        return False
    log.info(
        "%s take %.1f GB, more than half of the device's free %.1f GB: they stay in the host's memory (run.real_images)",
        name,
        size / 1e9,
        free / 1e9,
    )
    return True


class HostRows:
    """Rows of a tensor on the host, as batches on a device.

    Args:
        rows: (N, ...) on the CPU.
        device: where batches are used.
    """

    def __init__(self, rows: Tensor, device: torch.device) -> None:
        self.rows, self.device = rows, device
        self._staging = _Staging(device) if device.type == "cuda" else None

    def at(self, places: Tensor) -> Tensor:
        """The rows at ``places`` (B,) int64 on the CPU, on the device; the host does not wait for what that computes now."""
        if self._staging is None:
            return self.rows.index_select(0, places).to(self.device)
        shape = (len(places), *self.rows.shape[1:])

        def gather(buffer: Tensor) -> None:
            torch.index_select(self.rows, 0, places, out=buffer)

        return self._staging.brought(shape, self.rows.dtype, gather)

    def pieces(self, size: int) -> Iterator[Tensor]:
        """All rows in their order, ``size`` at a time, on the device."""
        for start in range(0, len(self.rows), size):
            yield self.at(torch.arange(start, min(start + size, len(self.rows))))


class _Buffer:
    """Page-locked memory that grows, and the end of its last copy."""

    def __init__(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)
        self.copied = torch.cuda.Event()

    def shaped(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Memory for a tensor, once the copy of what it held has ended."""
        self.copied.synchronize()
        needed = torch.Size(shape).numel() * dtype.itemsize
        if needed > len(self._bytes):
            self._bytes = torch.empty(needed, dtype=torch.uint8, pin_memory=True)
        return self._bytes[:needed].view(dtype).view(shape)


class _Staging:
    """Two buffers in turns, and the stream that copies them."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, torch.cuda.Stream(device)
        self._buffers = (_Buffer(), _Buffer())
        self._turn = 0
        self._asked: torch.cuda.Event | None = None

    def brought(self, shape: tuple[int, ...], dtype: torch.dtype, gather: Callable[[Tensor], None]) -> Tensor:
        """A batch on the device that ``gather`` writes on the host; the current stream waits for its copy."""
        current = torch.cuda.current_stream(self._device)
        self._wait_until_one_ahead(current)
        buffer = self._buffers[self._turn]
        self._turn = 1 - self._turn
        batch = buffer.shaped(shape, dtype)
        gather(batch)
        with torch.cuda.stream(self._stream):
            moved = batch.to(self._device, non_blocking=True)
            buffer.copied.record(self._stream)
        current.wait_event(buffer.copied)
        moved.record_stream(current)
        return moved

    def _wait_until_one_ahead(self, current: torch.cuda.Stream) -> None:
        """Until the device has done what it was given before the last batch was asked for: else batches would pile up there."""
        if self._asked is not None:
            self._asked.synchronize()
        self._asked = torch.cuda.Event()
        self._asked.record(current)


@dataclass(frozen=True)
class _Drawn:
    on_device: Tensor  # kept alive, so that its memory names it
    on_host: Tensor
    copied: torch.cuda.Event


class HostPlaces:
    """The places that the host needs of draws made on a device, which it reads without waiting for other work.

    Draws are made on a stream of their own. A part of one (a slice, a row, a split) is found by the memory that it shares.

    Args:
        device: where the draws are made.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._drawn: deque[_Drawn] = deque(maxlen=_DRAWS)

    def drawn(self, draw: Callable[[], Tensor]) -> Tensor:
        """What ``draw`` gives, on the device; its places go to the host meanwhile. It may use nothing that is computed now."""
        if self._stream is None:
            return draw()
        current = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._stream):
            places = draw()
            on_host = torch.empty(places.shape, dtype=places.dtype, pin_memory=True)
            on_host.copy_(places, non_blocking=True)
            copied = torch.cuda.Event()
            copied.record(self._stream)
        current.wait_event(copied)
        places.record_stream(current)
        self._drawn.append(_Drawn(places, on_host, copied))
        return places

    def on_host(self, places: Tensor) -> Tensor:
        """``places`` on the CPU; those that were not drawn here are waited for."""
        for drawn in reversed(self._drawn):
            if drawn.on_device.untyped_storage().data_ptr() == places.untyped_storage().data_ptr():
                drawn.copied.synchronize()
                return drawn.on_host.as_strided(places.shape, places.stride(), places.storage_offset())
        return places.cpu()
