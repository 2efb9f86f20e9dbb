"""Work side by side on one device: a GPU has a stream for each piece of work, a CPU does one piece after another.

A small network leaves most of a GPU idle, so that several networks take little longer than one. What they compute does not
depend on the company: every piece of work has tensors of its own, streams wait for each other at the places that :meth:`begin`
and :meth:`end` name, and never anywhere else, and the host never waits.

PyTorch's allocator gives freed memory to the next tensor of the same stream. A tensor that another stream has used must
therefore outlive the next :meth:`Streams.end`; what is made and used on one stream needs no care. Work that nobody waits for
any more, such as networks that were to be needed later, may still run when its tensors are freed: what comes after a
:class:`Streams` that is gone comes after its work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import finalize

import torch


def has_streams(device: torch.device) -> bool:
    """Whether work can run side by side on ``device``."""
    return device.type == "cuda"


class Streams:
    """Places on a device where work is launched.

    Args:
        device: a CPU has no streams: everything is done at once where it is asked for, in the order in which it is.
        count: number of places.
    """

    def __init__(self, device: torch.device, count: int) -> None:
        self._device = device
        self._streams = [torch.cuda.Stream(device) for _ in range(count)] if has_streams(device) else []
        self._count = count
        if self._streams:
            finalize(self, _wait, torch.cuda.current_stream(device), self._streams).atexit = False

    def __len__(self) -> int:
        """Number of places."""
        return self._count

    def on(self, place: int) -> AbstractContextManager[Any]:
        """Launch on ``place``."""
        return torch.cuda.stream(self._streams[place]) if self._streams else nullcontext()

    def begin(self, *places: int) -> None:
        """What is launched on ``places`` (all) from here on comes after all that was launched on the current stream."""
        if self._streams:
            current = torch.cuda.current_stream(self._device)
            for place in places or range(self._count):
                self._streams[place].wait_stream(current)

    def end(self, *places: int) -> None:
        """What is launched on the current stream from here on comes after all that was launched on ``places`` (all)."""
        if self._streams:
            current = torch.cuda.current_stream(self._device)
            _wait(current, (self._streams[place] for place in places or range(self._count)))

    def run(self, work: Iterable[Iterator[None]]) -> None:
        """Do every piece of ``work`` to its end, as many side by side as there are places.

        On a GPU those that are running are taken in turns, from one item of an iterator to its next, each on its place; a
        place whose work is done takes the next piece, which is asked for on the current stream: what is made then is there
        when the piece begins. On a CPU they are done one after another. The first error ends it.

        Args:
            work: the pieces; an iterator launches on the current stream and yields whenever another one may go on.
        """
        waiting = iter(work)
        if not self._streams:
            for piece in waiting:
                for _ in piece:
                    pass
            return
        try:
            self._take_turns(waiting)
        finally:
            self.end()

    def _take_turns(self, waiting: Iterator[Iterator[None]]) -> None:
        running: dict[int, Iterator[None]] = {}
        while True:
            for place in range(self._count):
                if place not in running and (piece := next(waiting, None)) is not None:
                    self._streams[place].wait_stream(torch.cuda.current_stream(self._device))
                    running[place] = piece
            if not running:
                return
            for place, piece in list(running.items()):
                with self.on(place):
                    done = next(piece, _DONE) is _DONE
                if done:
                    del running[place]


def _wait(stream: torch.cuda.Stream, others: Iterable[torch.cuda.Stream]) -> None:
    for other in others:
        stream.wait_stream(other)


_DONE: Any = object()
