"""CUDA graphs of the emulated GPU: nothing is computed while one is recorded, and a replay does it all in the same places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from tests.emulated_gpu.order import Memory, Order
from tests.emulated_gpu.tensors import EmulatedGpu
from tests.recorded_operations import repeat


class Recorded:
    """The operations of a graph.

    What they need is found out by doing them, on the CPU. After the recording, what they changed is as before, and what they
    made is not a number, until a replay.
    """

    def __init__(self) -> None:
        self._done: list[tuple[Any, Any, Any, Any]] = []
        self._uses: list[tuple[Sequence[Memory], Sequence[Memory]]] = []
        self._before: dict[int, tuple[Tensor, Tensor]] = {}
        self._streams: set[str] = set()

    def keep(self, changed: Sequence[Tensor]) -> None:
        """What is about to be changed, as it is."""
        for tensor in changed:
            memory = tensor.untyped_storage()
            if memory.data_ptr() not in self._before:
                whole = torch.empty(0, dtype=torch.uint8).set_(memory)
                self._before[memory.data_ptr()] = whole, whole.clone()

    def add(
        self,
        function: Any,
        args: Any,
        kwargs: Any,
        out: Any,
        *,
        stream: str,
        reads: Sequence[Memory],
        writes: Sequence[Memory],
    ) -> None:
        """An operation, with what it gave."""
        self._done.append((function, args, kwargs, out))
        self._uses.append((reads, writes))
        self._streams.add(stream)

    def end(self, order: Order) -> None:
        """Nothing was computed."""
        order.was_recorded(self._streams)
        for whole, before in self._before.values():
            whole.copy_(before)
        given: set[int] = set()
        made: dict[int, Tensor] = {}
        for _, args, kwargs, out in self._done:
            given |= {address for address in _addresses((args, kwargs)) if address not in made}
            made |= {address: tensor for address, tensor in _addresses(out).items() if address not in given}
        for tensor in made.values():
            if tensor.is_floating_point():
                torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage()).fill_(float("nan"))

    def replay(self, gpu: EmulatedGpu) -> None:
        """Do it all again, on the current stream."""
        with gpu.aside():
            repeat(self._done)
        stream = gpu.stream
        now = gpu.order.launched(stream)
        for reads, writes in self._uses:
            for memory in reads:
                gpu.order.reads(memory, stream, now)
            for memory in writes:
                gpu.order.writes(memory, stream, now)
        gpu.replays += 1


@contextmanager
def recording(gpu: EmulatedGpu) -> Iterator[Recorded]:
    """What is launched meanwhile is recorded."""
    assert gpu.recording is None, "one graph at a time"
    gpu.recording = recorded = Recorded()
    try:
        yield recorded
    finally:
        gpu.recording = None
        with gpu.aside():
            recorded.end(gpu.order)
    gpu.graphs += 1


def _addresses(tree: Any) -> dict[int, Tensor]:
    tensors = [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor) and leaf.numel()]
    return {tensor.untyped_storage().data_ptr(): tensor for tensor in tensors}
