"""SGD steps whose tensors stay where they are, so that a GPU replays a step instead of being told each kernel anew.

A step of a small network is some forty kernels; launching them takes a CPU about as long as a fast GPU computes. A CUDA
graph records them once. What is recorded reads images and labels from buffers and moves parameters, momenta and meters in
place; every random draw happens before, outside. The same code runs unrecorded on a CPU, with the same bits as plain steps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.networks.network import Network
from bacon.runtime.logs import get_logger
from bacon.training.sgd import Sgd

log = get_logger(__name__)

_WARM_UP = 3
# Recording costs about four steps and a tenth of a second; each replay saves about a millisecond of launches.
_WORTH_RECORDING = 1000


def worth_recording(device: torch.device, steps: int) -> bool:
    """Whether ``steps`` SGD steps on ``device`` are enough to pay for recording one."""
    return device.type == "cuda" and steps >= _WORTH_RECORDING


def training_step(network: Network, optimiser: Sgd, *, record: bool) -> PlainStep | StaticStep:
    """Steps of ``network`` by ``optimiser``, recorded where ``record`` says so; the same bits either way."""
    return StaticStep(network, optimiser, record=True) if record else PlainStep(network, optimiser)


class PlainStep:
    """SGD steps of one network.

    Args:
        network: moved in place by every step.
        optimiser: of its parameters.

    Attributes:
        totals: (2,) float64, the summed loss and the number of correct images of the steps since :meth:`count`; before, none
            are counted.
    """

    def __init__(self, network: Network, optimiser: Sgd) -> None:
        self.network, self.optimiser = network, optimiser
        self.totals = torch.zeros(2, dtype=torch.float64, device=optimiser.parameters[0].device)
        self._counting = False

    def count(self) -> None:
        """Count from here, from zero."""
        self.totals.zero_()
        self._counting = True

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        """One step on images (N, C, H, W) float and labels (N,) int64."""
        logits = self.network(images)
        loss = F.cross_entropy(logits, labels)
        self.optimiser.step(torch.autograd.grad(loss, self.optimiser.parameters))
        if self._counting:
            correct = (logits.detach().argmax(dim=1) == labels).sum()
            self.totals += torch.stack([loss.detach().double() * len(labels), correct.double()])


class StaticStep(PlainStep):
    """Steps whose parameters, momenta, images, labels and totals keep their places; every step is counted.

    Args:
        network: moved in place by every step.
        optimiser: of its parameters.
        record: replay CUDA graphs, one for each size of batch; otherwise run the same operations one by one.
    """

    def __init__(self, network: Network, optimiser: Sgd, *, record: bool) -> None:
        super().__init__(network, optimiser)
        self._record = record
        optimiser.fill_momenta()
        self.count()
        self._buffers: dict[int, tuple[Tensor, Tensor]] = {}
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        """One step on images (N, C, H, W) float and labels (N,) int64."""
        size = len(labels)
        if size not in self._buffers:
            self._buffers[size] = torch.zeros_like(images), torch.zeros_like(labels)
            if self._record:
                self._capture(size)
        for buffer, given in zip(self._buffers[size], (images, labels), strict=True):
            buffer.copy_(given)
        if size in self._graphs:
            self._graphs[size].replay()
        else:
            self._run(size)

    def _run(self, size: int) -> None:
        """What is recorded: nothing here depends on a value, and nothing is drawn."""
        super().__call__(*self._buffers[size])

    def _state(self) -> list[Tensor]:
        """Everything that a step moves."""
        return [*self.optimiser.parameters, *self.optimiser.momenta(), *self.network.buffers(), self.totals]

    def _capture(self, size: int) -> None:
        """Record a step; where that fails, a line in the log says so and steps are run one by one."""
        kept = [tensor.detach().clone() for tensor in self._state()]
        try:
            self._graphs[size] = _recorded(lambda: self._run(size))
        except RuntimeError as error:
            self._record = False
            reason = str(error).partition("\n")[0]
            log.info(
                "a training step cannot be recorded as a CUDA graph (%s): its kernels are launched one by one", reason
            )
        with torch.no_grad():
            for tensor, before in zip(self._state(), kept, strict=True):
                tensor.copy_(before)


def _recorded(work: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """A CUDA graph of ``work``, which is run a few times before: libraries set themselves up and kernels are compiled."""
    stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            work()
    current.wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        work()
    return graph


class SharedStep:
    """Steps for any number of networks of one architecture through one :class:`StaticStep`: each is copied in and out.

    A copy moves a few megabytes, some microseconds on a GPU, once for all the steps that a network takes in a row.

    Args:
        network: one of the networks; a copy of it is worked on.
        optimiser: its optimiser.
        record: as for :class:`StaticStep`.
    """

    def __init__(self, network: Network, optimiser: Sgd, *, record: bool) -> None:
        self._step = StaticStep(*_copied(network, optimiser), record=record)

    def train(self, network: Network, optimiser: Sgd, batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """Take a step of ``network`` on each of ``batches``; returns the number of correct images (0-d float64)."""
        ours = self._step
        _copy(network, optimiser, ours.network, ours.optimiser)
        ours.count()
        for images, labels in batches:
            ours(images, labels)
        _copy(ours.network, ours.optimiser, network, optimiser)
        return ours.totals[1].clone()


def _copied(network: Network, optimiser: Sgd) -> tuple[Network, Sgd]:
    same = copy.deepcopy(network).requires_grad_(True).train()
    return same, optimiser.like(same.parameters())


@torch.no_grad()
def _copy(network: Network, optimiser: Sgd, to_network: Network, to_optimiser: Sgd) -> None:
    for each in (optimiser, to_optimiser):
        each.fill_momenta()
    source = [*optimiser.parameters, *optimiser.momenta(), *network.buffers()]
    target = [*to_optimiser.parameters, *to_optimiser.momenta(), *to_network.buffers()]
    torch._foreach_copy_(target, source)
