"""What ``torch.cuda`` offers, of the emulated GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from tests.emulated_gpu.graphs import Recorded, recording
from tests.emulated_gpu.order import HOST, Clock
from tests.emulated_gpu.tensors import GPU, EmulatedGpu, OnGpu

_PROPERTIES = SimpleNamespace(
    uuid="emulated", name="emulated", major=9, minor=0, multi_processor_count=132, total_memory=80 << 30
)


class _Stream:
    def __init__(self, gpu: EmulatedGpu, number: int) -> None:
        self.name, self.device, self._gpu = f"stream {number}", GPU, gpu

    def wait_stream(self, other: _Stream) -> None:
        self._gpu.order.waits(self.name, self._gpu.order.clock(other.name))

    def wait_event(self, event: _Event) -> None:
        self._gpu.order.waits(self.name, event.clock)

    def synchronize(self) -> None:
        self._gpu.wait("a stream is waited for")
        self._gpu.order.waits(HOST, self._gpu.order.clock(self.name))


class _Event:
    def __init__(self, gpu: EmulatedGpu) -> None:
        self._gpu, self.clock = gpu, Clock()

    def record(self, stream: _Stream | None = None) -> None:
        self.clock = self._gpu.order.clock(stream.name if stream else self._gpu.stream)

    def synchronize(self) -> None:
        self._gpu.order.waits(HOST, self.clock)

    def elapsed_time(self, _: _Event) -> float:
        return 1.0


class _Graph:
    capture_end_pre = None  # as of those versions of PyTorch that clean up after a recording that failed

    def __init__(self, gpu: EmulatedGpu) -> None:
        self._gpu, self.recorded = gpu, Recorded()

    def replay(self) -> None:
        self.recorded.replay(self._gpu)


class _Cuda:
    """The functions of ``torch.cuda``."""

    def __init__(self, gpu: EmulatedGpu) -> None:
        self._gpu, self._streams = gpu, 0
        gpu.current.append(self.stream_made())

    def stream_made(self, *_: Any, **__: Any) -> _Stream:
        self._streams += 1
        return _Stream(self._gpu, self._streams)

    @contextmanager
    def on(self, stream: _Stream | None) -> Iterator[None]:
        self._gpu.current.append(stream or self._gpu.current[-1])
        try:
            yield
        finally:
            self._gpu.current.pop()

    @contextmanager
    def graph(self, graph: _Graph, *, pool: Any = None, stream: _Stream | None = None) -> Iterator[None]:
        del pool
        with self.on(stream), recording(self._gpu) as graph.recorded:
            yield

    def synchronize(self, *_: Any) -> None:
        self._gpu.wait("the device is waited for")
        self._gpu.order.waits_for_all(HOST)

    def set_sync_debug_mode(self, mode: str | int) -> None:
        self._gpu.forbids_waiting = mode in ("error", 2)

    def functions(self) -> dict[str, Any]:
        gpu = self._gpu
        return {
            "Stream": self.stream_made,
            "stream": self.on,
            "current_stream": lambda *_: gpu.current[-1],
            "default_stream": lambda *_: gpu.current[0],
            "Event": lambda *_, **__: _Event(gpu),
            "CUDAGraph": lambda: _Graph(gpu),
            "graph": self.graph,
            "graph_pool_handle": lambda: (0, 1),
            "is_current_stream_capturing": lambda: gpu.recording is not None,
            "synchronize": self.synchronize,
            "set_sync_debug_mode": self.set_sync_debug_mode,
            "is_available": lambda: True,
            "is_initialized": lambda: True,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "set_device": lambda _: None,
            "get_device_name": lambda *_: _PROPERTIES.name,
            "get_device_properties": lambda *_: _PROPERTIES,
            "get_device_capability": lambda *_: (_PROPERTIES.major, _PROPERTIES.minor),
            "mem_get_info": lambda *_: (70 << 30, _PROPERTIES.total_memory),
            "memory_allocated": lambda *_: 0,
            "max_memory_allocated": lambda *_: 0,
            "reset_peak_memory_stats": lambda *_: None,
            "empty_cache": lambda: None,
            # What is drawn on the device comes from the host's generator.
            "manual_seed_all": lambda _: None,
            "get_rng_state": lambda *_: torch.empty(0, dtype=torch.uint8),
            "set_rng_state": lambda *_: None,
        }


def _recorded_stream(tensor: Tensor, stream: _Stream) -> None:
    """Of ``Tensor.record_stream``: its memory goes to nobody before that stream has done what it was given."""
    if isinstance(tensor, OnGpu):
        tensor.memory.recorded.add(stream.name)


def _subclasses() -> Any:
    """Of ``Tensor.as_subclass``: a class of tensors, and a tensor on the device as one of it."""
    plain, made = Tensor.as_subclass, dict[type, type]()

    def as_subclass(tensor: Tensor, kind: type) -> Tensor:
        if not isinstance(tensor, OnGpu):
            return plain(tensor, kind)
        if tensor.requires_grad or issubclass(kind, OnGpu) or issubclass(OnGpu, kind):
            return tensor
        own = made.setdefault(
            kind, type(kind.__name__, (kind, OnGpu), {"__torch_dispatch__": OnGpu.__torch_dispatch__})
        )
        return OnGpu.made(own, tensor.host, tensor.memory, tensor.gpu)

    return as_subclass


def _loading() -> Any:
    """Of ``torch.load``."""
    plain = torch.load

    def load(*args: Any, map_location: Any = None, **kwargs: Any) -> Any:
        found = plain(*args, map_location="cpu", **kwargs)
        return tree_map_only(Tensor, lambda tensor: tensor.to(map_location), found) if map_location else found

    return load


@contextmanager
def emulated_gpu() -> Iterator[EmulatedGpu]:
    """There is a GPU; needs what ``python -m tests.emulated_gpu`` loads."""
    gpu = EmulatedGpu()
    only_cpu, overwrites = (
        torch._C._only_lift_cpu_tensors(),
        torch.__future__.get_overwrite_module_params_on_conversion(),
    )
    with ExitStack() as stack:
        for name, function in _Cuda(gpu).functions().items():
            stack.enter_context(patch.object(torch.cuda, name, function))
        stack.enter_context(patch.object(torch._C, "_cuda_clearCublasWorkspaces", lambda: None, create=True))
        stack.enter_context(patch.object(Tensor, "record_stream", _recorded_stream))
        stack.enter_context(patch.object(Tensor, "pin_memory", lambda tensor, *_: tensor))
        stack.enter_context(patch.object(Tensor, "as_subclass", _subclasses()))
        stack.enter_context(patch.object(torch, "load", _loading()))
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.callback(torch._C._set_only_lift_cpu_tensors, only_cpu)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrites)
        torch._C._set_only_lift_cpu_tensors(True)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.enter_context(gpu)
        yield gpu
