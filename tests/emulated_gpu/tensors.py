"""Tensors that say they are on a GPU, and every operation on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map_only

from tests.emulated_gpu.order import HOST, Memory, Order, Place, place
from tests.recorded_operations import as_now

if TYPE_CHECKING:
    from tests.emulated_gpu.graphs import Recorded

GPU = torch.device("cuda", 0)
_aten = torch.ops.aten
_WAIT = {
    "equal": "whether two tensors are equal is read",
    "nonzero": "the size of what nonzero finds is read",
    "masked_select": "the size of what masked_select finds is read",
    "_unique2": "the size of what unique finds is read",
    "unique_dim": "the size of what unique finds is read",
    "unique_consecutive": "the size of what unique finds is read",
    "bincount": "the largest number that bincount counts is read",
    "repeat_interleave": "how often repeat_interleave repeats is read",
    **dict.fromkeys(
        ("_linalg_check_errors", "_linalg_eigh", "_linalg_svd", "linalg_eig"),
        "whether a matrix could be decomposed is read",
    ),
}
_NO_ORDER = {
    "_adaptive_avg_pool2d_backward",
    "_adaptive_avg_pool3d_backward",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool3d_backward",
    "avg_pool3d_backward",
    "_ctc_loss_backward",
    "fractional_max_pool2d_backward",
    "fractional_max_pool3d_backward",
    "grid_sampler_2d_backward",
    "grid_sampler_3d_backward",
    "histc",
    "index_reduce",
    "index_reduce_",
    "max_pool3d_with_indices_backward",
    "max_unpool2d",
    "max_unpool3d",
    "nll_loss2d_forward",
    "put",
    "put_",
    "reflection_pad1d_backward",
    "reflection_pad2d_backward",
    "reflection_pad3d_backward",
    "replication_pad1d_backward",
    "replication_pad2d_backward",
    "replication_pad3d_backward",
    "upsample_bicubic2d_backward",
    "upsample_bilinear2d_backward",
    "upsample_linear1d_backward",
    "upsample_trilinear3d_backward",
    "_upsample_bicubic2d_aa_backward",
    "_upsample_bilinear2d_aa_backward",
}
"""Operations of a GPU without a form of fixed order: errors under ``torch.set_deterministic_debug_mode("error")``."""
_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "vdot", "convolution", "addr"}
"""A GPU has none of integers."""
_INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
_MOVES = {"aten::copy_", "aten::_to_copy"}
_RAISES = 2  # torch.get_deterministic_debug_mode()


class OnGpu(Tensor):
    """Like any tensor, but that its numbers are ``host``, and ``memory`` knows who has used them."""

    host: Tensor
    memory: Memory
    gpu: EmulatedGpu

    @staticmethod
    def made(kind: type[OnGpu], host: Tensor, memory: Memory, gpu: EmulatedGpu) -> OnGpu:
        """A tensor of class ``kind`` around ``host``."""
        found = Tensor._make_wrapper_subclass(
            kind,
            host.size(),
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            device=GPU,
        )
        found.host, found.memory, found.gpu = host, memory, gpu
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """In memory of its own, as of any tensor."""
        if id(self) not in memo:
            same = self.detach().clone().requires_grad_(self.requires_grad)
            own = {"host", "memory", "gpu"}
            same.__dict__.update({name: value for name, value in self.__dict__.items() if name not in own})
            memo[id(self)] = same
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        """In a file it is as one of the CPU (``cuda`` brings it back)."""
        return self.detach().cpu().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return f"OnGpu({self.host})"

    def tolist(self) -> Any:
        """As of any tensor, and likewise below: the numbers are elsewhere."""
        return self.cpu().tolist()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.host.untyped_storage()

    def data_ptr(self) -> int:
        return self.host.data_ptr()

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        (gpu, *_) = [each.gpu for each in _tensors((args, kwargs)) if isinstance(each, OnGpu)]
        return gpu.run(function, args, kwargs or {})


class EmulatedGpu(TorchDispatchMode):
    """The device.

    Attributes:
        order: of all uses of memory.
        waits: (what, where) -> how often the host waited.
        forbids_waiting: as ``torch.cuda.set_sync_debug_mode("error")``.
        recording: the CUDA graph that is being recorded.
        graphs, replays: how many were recorded, and how often one was replayed.
        current: the streams that are current, the innermost last.
        here: where pytest's plugin keeps it.
    """

    here = pytest.StashKey["EmulatedGpu"]()
    _mode_key = torch._C._TorchDispatchModeKey.FAKE  # with which PyTorch does not set up the GPU by itself

    def __init__(self) -> None:
        super().__init__()
        self.order, self.waits = Order(), Counter[tuple[str, Place]]()
        self.forbids_waiting, self.graphs, self.replays = False, 0, 0
        self.recording: Recorded | None = None
        self.current: list[Any] = []
        self._on_host: dict[int, tuple[Memory, Tensor]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(function, args, kwargs or {})

    def wait(self, what: str) -> None:
        """The host waits for the device, which some moments forbid."""
        self.waits[what, place()] += 1
        if self.recording is not None:
            raise RuntimeError(f"operation not permitted when stream is capturing: {what}")
        if self.forbids_waiting:
            raise RuntimeError(f"called a synchronizing CUDA operation: {what}")

    def run(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operation, wherever its tensors are."""
        call = _Call(function, args, kwargs)
        self._check(call)
        host_args, host_kwargs = tree_map_only(OnGpu, lambda tensor: tensor.host, (args, call.without_device()))
        if self.recording is not None and call.to_gpu:
            self.recording.keep([tensor.host for tensor in call.written if isinstance(tensor, OnGpu)])
        given = as_now((host_args, host_kwargs)) if self.recording is not None else ()
        out = tree_map_only(Tensor, _in_memory, function(*host_args, **host_kwargs))
        if call.changes_shape:
            with no_dispatch():  # of the tensor itself, as of its numbers on the CPU
                function(*args, **kwargs)
        uses = self._use(call, out)
        made, memories = self._wrapped(call, out) if call.to_gpu else (out, [])
        if call.waits:
            self.order.waits(HOST, self.order.clock(self.stream))
        if self.recording is not None and call.to_gpu and not call.changes_shape:
            writes = [*uses[1], *memories]
            self.recording.add(function, *given, as_now(out), stream=self.stream, reads=uses[0], writes=writes)
        return made

    def _check(self, call: _Call) -> None:
        if call.function is _aten._local_scalar_dense.default and call.on_gpu:
            self.wait("a number is read")
        if call.on_gpu and call.kind in _WAIT and any(isinstance(each, OnGpu) for each in call.read):
            self.wait(_WAIT[call.kind])
        if call.on_gpu and call.kind in _NO_ORDER and torch.get_deterministic_debug_mode() == _RAISES:
            raise RuntimeError(f"{call.kind} does not have a deterministic implementation")
        if call.on_gpu and call.kind in _PRODUCTS and not call.on_gpu[0].dtype.is_floating_point:
            raise RuntimeError(f'"{call.kind}_cuda" not implemented for {call.on_gpu[0].dtype}')
        if call.name in _INDEXED and call.on_gpu:
            self._check_index(call)
        elif call.crosses:
            if not call.asynchronous:
                self.wait("a copy between host and device")
            elif self.recording is not None:
                raise RuntimeError("operation not permitted when stream is capturing: a copy from or to the host")
        elif call.on_gpu and any(tensor.ndim for tensor in call.on_host):
            shapes = [tuple(tensor.shape) for tensor in call.on_host]
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but {call.name} got {shapes} on the CPU"
            )

    def _check_index(self, call: _Call) -> None:
        if not isinstance(call.args[0], OnGpu):
            raise RuntimeError(f"indices should be on the CPU, as the tensor of {call.name} is")
        indices = _tensors(call.args[1])
        if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
            self.wait("the number of chosen places is read")
        if any(not isinstance(index, OnGpu) for index in indices):
            self.wait("indices are copied to the device")

    def _use(self, call: _Call, out: Any) -> tuple[list[Memory], list[Memory]]:
        """Enter who reads and writes what; returns the device's memory that is read, and that is written."""
        reads, writes = [tensor.memory for tensor in call.read if isinstance(tensor, OnGpu)], []
        if call.only_views:
            return [], []
        writes = [tensor.memory for tensor in call.written if isinstance(tensor, OnGpu)]
        if not call.on_gpu and not call.to_gpu:
            self._use_on_host(call)
            return [], []
        stream = self.stream
        now = self.order.launched(stream)
        for memory in reads:
            self.order.reads(memory, stream, now)
        for memory in writes:
            self.order.writes(memory, stream, now)
        self._copy(call, out, stream, now)
        return reads, writes

    def _use_on_host(self, call: _Call) -> None:
        if not self._on_host:
            return
        now = self.order.launched(HOST)
        for tensors, use in ((call.read, self.order.reads), (call.written, self.order.writes)):
            for tensor in tensors:
                if (known := self._on_host.get(_address(tensor))) is not None:
                    use(known[0], HOST, now)

    def _copy(self, call: _Call, out: Any, stream: str, now: int) -> None:
        """An asynchronous copy reads or writes the host's memory on its stream."""
        if not call.crosses or not call.asynchronous:
            return
        given = [tensor for tensor in call.read if not isinstance(tensor, OnGpu)]
        taken = [tensor for tensor in call.written if not isinstance(tensor, OnGpu)]
        for tensor in given:
            self.order.reads(self._host_memory(tensor), stream, now)
        for tensor in taken if call.to_gpu or taken else [out]:
            self.order.writes(self._host_memory(tensor), stream, now)

    def _host_memory(self, tensor: Tensor) -> Memory:
        """Of the host, in use by a copy; it stays, so that nothing else gets its address."""
        return self._on_host.setdefault(_address(tensor), (Memory(self.order, None), tensor.detach()))[0]

    def _wrapped(self, call: _Call, out: Any) -> tuple[Any, list[Memory]]:
        """What an operation gives as tensors on the device, and the memory that is new."""
        same = {id(tensor.host): tensor for tensor in call.on_gpu}
        memories = {_address(tensor.host): tensor.memory for tensor in call.on_gpu if tensor.host.numel()}
        new: list[Memory] = []

        def wrapped(host: Tensor) -> OnGpu:
            if id(host) in same:
                return same[id(host)]
            memory = memories.get(_address(host)) if host.numel() else None
            if memory is None:
                memory = self._allocated()
                new.append(memory)
                if host.numel():
                    memories[_address(host)] = memory
            return OnGpu.made(OnGpu, host, memory, self)

        return tree_map_only(Tensor, wrapped, out), new

    def _allocated(self) -> Memory:
        pool = 0 if self.recording is None else id(self.recording)
        self.order.allocated(self.stream, pool)
        memory = Memory(self.order, self.stream, pool)
        self.order.writes(memory, self.stream, self.order.launched(self.stream))
        return memory

    @property
    def stream(self) -> str:
        """The name of the current stream."""
        name: str = self.current[-1].name
        return name

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is done meanwhile is not the device's."""
        with _disable_current_modes(), torch.no_grad():
            yield


class _Call:
    """An operation with its arguments, and what can be told of them beforehand.

    Attributes:
        on_gpu, on_host: its tensors.
        written, read: those that it changes, and the others.
        to_gpu: whether what it gives is on the device.
        crosses: whether it copies between host and device.
        asynchronous: whether it does so without waiting.
        waits: whether the host waits until it is done.
        only_views: whether it looks at no number.
        changes_shape: whether it changes the shape of a tensor in place, and no number.
    """

    def __init__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        schema = function._schema
        self.name: str = schema.name
        self.kind = self.name.removeprefix("aten::")
        tensors = _tensors((args, kwargs))
        self.on_gpu = [tensor for tensor in tensors if isinstance(tensor, OnGpu)]
        self.on_host = [tensor for tensor in tensors if not isinstance(tensor, OnGpu)]
        device = kwargs.get("device")
        self.to_gpu = bool(self.on_gpu) if device is None else torch.device(device).type == "cuda"
        self.written = _changed(schema, args, kwargs) if schema.is_mutable else []
        changed = {id(tensor) for tensor in self.written}
        self.read = [tensor for tensor in tensors if id(tensor) not in changed]
        self.changes_shape = torch.Tag.inplace_view in function.tags
        views = not schema.is_mutable and any(each.alias_info is not None for each in schema.returns)
        self.only_views = views or self.changes_shape
        both = bool(self.on_gpu) and bool(self.on_host)
        self.crosses = self.name in _MOVES and (both or (bool(tensors) and self.to_gpu != bool(self.on_gpu)))
        self.asynchronous = bool(
            kwargs.get("non_blocking") or (self.name == "aten::copy_" and len(args) > 2 and args[2])
        )

        reads_number = function is _aten._local_scalar_dense.default and bool(self.on_gpu)
        self.waits = reads_number or (self.crosses and not self.asynchronous)

    def without_device(self) -> dict[str, Any]:
        """The keyword arguments for the CPU."""
        kwargs = {name: value for name, value in self.kwargs.items() if name != "pin_memory"}
        return kwargs | {"device": torch.device("cpu")} if kwargs.get("device") is not None else kwargs


def _changed(schema: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    found = []
    for number, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found += _tensors(args[number] if number < len(args) else kwargs.get(argument.name))
    return found


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _in_memory(tensor: Tensor) -> Tensor:
    """Forward-mode differentiation has zeros without memory."""
    return torch.zeros_like(tensor) if tensor._is_zerotensor() else tensor


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.numel() else 0
