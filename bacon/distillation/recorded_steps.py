"""Steps of a distillation whose tensors stay where they are, replayed on a GPU as CUDA graphs.

What changes from one step to the next has places of its own: the step's number, by which real images and augmentation are drawn
on the device, the networks, and further tensors. Everything else stays where it is. A step computes and returns tensors; what
follows from them, such as an optimiser's step, is up to the algorithm.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.networks.network import Network
from bacon.runtime.logs import get_logger
from bacon.runtime.recording import Recording

log = get_logger(__name__)

# Recording costs about as much as four steps.
_WORTH_RECORDING = 100


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a step is given that may differ from the step before.

    Attributes:
        number: what it draws by: an int, or 0-d int64 on the device where the step is recorded.
        networks: what it computes with. Of one in training mode, the running statistics may move.
        tensors: on the device, each of the same shape in every step of a kind.
        trained: networks that it moves, parameters and running statistics.
        moved: tensors that it moves, in place.
    """

    number: Any
    networks: tuple[Network, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    trained: tuple[Network, ...] = ()
    moved: tuple[Tensor, ...] = ()


Step = Callable[[Given], Sequence[Tensor]]
"""Computes tensors on the device, each of the same shape in every step of a kind, and reads nothing back.

It moves nothing but what it is given for that, the running statistics of networks, and what ``moved`` names.
"""


def worth_recording(device: torch.device, steps: int, *, name: str = "a step") -> bool:
    """Whether ``steps`` on ``device`` are enough to pay for recording one."""
    if device.type == "cuda" and steps < _WORTH_RECORDING:
        log.info("%s is not recorded as a CUDA graph: %d of them do not pay for it", name, steps)
    return device.type == "cuda" and steps >= _WORTH_RECORDING


class RecordedSteps:
    """Steps of an algorithm: recorded and replayed on a GPU where it pays, otherwise computed each time, with the same draws.

    Args:
        context: the algorithm's.
        count: how many steps there will be.
        name: what is recorded, for the log: "an iteration's matching".
        refused: why steps may not be recorded; empty if they may.
        reads_real: whether a step takes real images, which the host must then not have to gather.

    Attributes:
        records: whether steps are recorded from here on.
        recorded: the steps of each kind that are.
    """

    def __init__(self, context: Context, count: int, *, name: str, refused: str = "", reads_real: bool = True) -> None:
        self._context, self._name = context, name
        self._refused = "the real images are on the host" if reads_real and context.real.is_streamed else refused
        self.records = worth_recording(context.device, count, name=name)
        self.recorded: dict[Hashable, RecordedStep] = {}
        self._at_once = context.memory.chunk_images

    def __call__(
        self, step: Step, given: Given, *, kind: Hashable = "", moved: Callable[[], Sequence[Tensor]] = tuple
    ) -> Sequence[Tensor]:
        """What ``step`` returns; the next step of its kind may overwrite it.

        Args:
            step: computes it; the same function, on tensors that keep their places, for every step of a kind.
            given: what changes from one step to the next.
            kind: of steps that launch the same kernels.
            moved: the tensors that a step moves in place.
        """
        if not self.may_record():
            return step(given)
        if self._at_once != self._context.memory.chunk_images:  # a recording of more images is given back
            self.clear()
        if kind not in self.recorded:
            self.recorded[kind] = RecordedStep(step, given, self._context.device, moved=moved, name=self._name)
        return self.recorded[kind](given)

    def clear(self) -> None:
        """Record anew what comes: tensors have taken other places."""
        if self.recorded and self._context.device.type == "cuda":  # a recording may still be replayed
            torch.cuda.synchronize(self._context.device)
        self.recorded.clear()
        self._at_once = self._context.memory.chunk_images

    def may_record(self) -> bool:
        """Whether the next step is recorded; a line in the log says once why none is that might be."""
        if self.records and self._refused:
            log.info(
                "%s is not recorded as a CUDA graph (%s); its kernels are launched one by one",
                self._name,
                self._refused,
            )
            self.records = False
        return self.records


class RecordedStep:
    """Steps in places of their own.

    Args:
        step: what is recorded.
        like: what it is given, of which copies are used.
        device: where it is computed.
        moved: tensors that it moves in place.
        name: for the log.
    """

    def __init__(
        self, step: Step, like: Given, device: torch.device, *, moved: Callable[[], Sequence[Tensor]], name: str
    ) -> None:
        self._step, self._further_moved = step, moved
        self._own = Given(
            number=torch.zeros((), dtype=torch.int64, device=device),
            networks=tuple(copy.deepcopy(network) for network in like.networks),
            tensors=tuple(tensor.clone() for tensor in like.tensors),
            trained=tuple(copy.deepcopy(network) for network in like.trained),
            moved=tuple(tensor.clone() for tensor in like.moved),
        )
        self._results: list[Tensor] = []
        self._recording = Recording(self._work, self._moved, name=name, record=True, raises=True)

    @property
    def is_recorded(self) -> bool:
        """Whether steps are replayed."""
        return self._recording.is_recorded

    @torch.no_grad()
    def __call__(self, given: Given) -> list[Tensor]:
        """The step's results, in places that the next one overwrites."""
        self._take(given)
        with torch.enable_grad():
            self._recording()
        for own, theirs in zip(self._own.networks, given.networks, strict=True):
            if theirs.training:
                _copy(own.buffers(), theirs.buffers())
        for own, theirs in zip(self._own.trained, given.trained, strict=True):
            _copy(own.state_dict().values(), theirs.state_dict().values())
        _copy(self._own.moved, given.moved)
        return self._results

    def _take(self, given: Given) -> None:
        self._own.number.fill_(given.number)
        _copy((*given.tensors, *given.moved), (*self._own.tensors, *self._own.moved))
        both = ((*self._own.networks, *self._own.trained), (*given.networks, *given.trained))
        for own, theirs in zip(*both, strict=True):
            _copy(theirs.state_dict().values(), own.state_dict().values())

    def _work(self) -> None:
        """What is recorded."""
        found = [tensor.detach() for tensor in self._step(self._own)]
        self._results = self._results or [torch.empty_like(tensor) for tensor in found]
        with torch.no_grad():
            _copy(found, self._results)

    def _moved(self) -> list[Tensor]:
        buffers = [buffer for network in self._own.networks for buffer in network.buffers()]
        trained = [tensor for network in self._own.trained for tensor in network.state_dict().values()]
        return [*self._further_moved(), *buffers, *trained, *self._own.moved]


def _copy(source: Any, target: Any) -> None:
    """Tensors into the places of others."""
    pairs = list(zip(source, target, strict=True))
    if pairs:
        torch._foreach_copy_([place for _, place in pairs], [tensor for tensor, _ in pairs])
