"""Work whose tensors stay where they are, replayed on a GPU instead of launching each of its kernels again.

What is recorded reads and writes tensors that keep their places, and depends on no value that the host knows: whatever changes
from one time to the next is written into such a tensor before. The same code runs unrecorded on a CPU, with the same bits.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from bacon.runtime.logs import get_logger

log = get_logger(__name__)

_WARM_UP = 3
_TRIES = 2
"""A recording may break by what happens beside it, and kernels that are launched one by one may take several times as long."""


class Recording:
    """Work that is recorded as a CUDA graph when it is first done.

    Args:
        work: launches the same kernels on the same tensors whenever it is called.
        moved: every tensor that it moves and that the next time begins with; asked for when it is recorded.
        name: what is recorded, for the log: "a training step".
        record: otherwise the work is done as it is, kernel by kernel.
        raises: an error of memory while it is recorded is for the caller, who can make room.

    Attributes:
        is_recorded: whether it is replayed.
    """

    def __init__(
        self,
        work: Callable[[], None],
        moved: Callable[[], Sequence[Tensor]],
        *,
        name: str,
        record: bool,
        raises: bool = False,
    ) -> None:
        self._work, self._moved, self._name, self._record, self._raises = work, moved, name, record, raises
        self._graph: torch.cuda.CUDAGraph | None = None

    @property
    def is_recorded(self) -> bool:
        """See the class."""
        return self._graph is not None

    def __call__(self) -> None:
        """Do the work once."""
        if self._record and self._graph is None:
            self._capture()
            if self.is_recorded:
                # They lead back to the recording's owner: with it, the graph's memory would stay until Python looks for cycles.
                del self._work, self._moved
        if self._graph is None:
            self._work()
        else:
            self._graph.replay()

    def _capture(self) -> None:
        """Record the work, which leaves what it moves as it was; where that fails, a line in the log says so."""
        for _ in range(_TRIES):
            if reason := self._try():
                log.info("%s: recording it as a CUDA graph failed (%s)", self._name, reason)
            else:
                return
        self._record = False
        log.info("%s cannot be recorded as a CUDA graph; its kernels are launched one by one", self._name)

    def _try(self) -> str:
        """Record the work; why that failed, or nothing."""
        kept = [tensor.detach().clone() for tensor in self._moved()]
        try:
            self._graph = recorded(self._work)
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) and self._raises:
                raise
            return str(error).partition("\n")[0] or type(error).__name__
        else:
            return ""
        finally:
            with torch.no_grad():
                for tensor, before in zip(self._moved(), kept, strict=True):
                    tensor.copy_(before)


def recorded(work: Callable[[], object], *, warm_up: Callable[[], object] | None = None) -> torch.cuda.CUDAGraph:
    """A CUDA graph of ``work``, which is done a few times before: libraries set themselves up and kernels are compiled.

    What is launched next on the current stream comes after all of it, also where it fails, and it stays the current stream.

    Args:
        work: launches the same kernels on the same tensors whenever it is called.
        warm_up: done before in its place: a part of it that launches each of its kernels.
    """
    stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
    stream.wait_stream(current)
    try:
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                (warm_up or work)()
    finally:
        current.wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Where recording fails, PyTorch leaves the stream of the recording as the current one; the outer context does not.
    with (
        torch.cuda.stream(current),
        _no_garbage_collected(),
        _own_workspaces(),
        _own_pool() as pool,
        torch.cuda.graph(graph, pool=pool, stream=stream),
    ):
        work()
    return graph


@contextmanager
def _no_garbage_collected() -> Iterator[None]:
    """Python looks for no unreachable cycles meanwhile: the end of an earlier algorithm makes one stream wait for others.

    PyTorch gives out the same 32 streams again and again, so that one of them may be that of the recording, which then fails.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _own_workspaces() -> Iterator[None]:
    """What cuBLAS needs beside a product's factors is a graph's own, in its memory, when it is recorded meanwhile.

    PyTorch has a workspace for each of its 32 streams, which it gives out again and again. A graph would keep that of the
    stream it was recorded on, write there while others launch products on that stream, and lose it with the first other graph
    of that stream that is freed.
    """
    torch._C._cuda_clearCublasWorkspaces()
    try:
        yield
    finally:
        torch._C._cuda_clearCublasWorkspaces()


@contextmanager
def _own_pool() -> Iterator[Any]:
    """Memory for one graph, out of which nothing is taken any more when its recording has failed.

    PyTorch 2.11 and 2.12 do not see to that, and then refuse for good to record another graph and to give memory back.
    """
    pool = torch.cuda.graph_pool_handle()
    try:
        yield pool
    except BaseException:
        if not hasattr(torch.cuda.CUDAGraph, "capture_end_pre"):  # of later versions, which do
            with suppress(RuntimeError):  # what failed was not the recording itself, which has ended
                torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
        raise
