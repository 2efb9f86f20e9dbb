"""Training steps; those whose tensors stay where they are are replayed on a GPU instead of launching each kernel again.

A step of a small network is some forty kernels; launching them takes a CPU about as long as a fast GPU computes. A CUDA
graph records them once (``bacon.runtime.recording``). What is recorded reads images and labels from buffers and moves
parameters, momenta and meters in place; every random draw happens before, outside. The same code runs unrecorded on a CPU, with
the same bits as plain steps.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bacon.networks.network import Network
from bacon.networks.step_weights import StepWeights
from bacon.runtime.recording import Recording
from bacon.training import cross_entropy_gpu
from bacon.training.gradients import Gradients, clipped, sharpness_aware
from bacon.training.optimisers import Optimiser
from bacon.training.recipe_loss import Loss, hard_cross_entropy
from bacon.training.sgd import Sgd

if TYPE_CHECKING:
    from bacon.settings.recipe import Sharpness

# Recording costs about as much as four steps plus setting up the graph; a replay saves the launches of every later step.
_WORTH_RECORDING = 1000


def worth_recording(device: torch.device, steps: int) -> bool:
    """Whether ``steps`` SGD steps on ``device`` are enough to pay for recording one."""
    return device.type == "cuda" and steps >= _WORTH_RECORDING


def training_step(
    network: Network,
    optimiser: Optimiser,
    *,
    record: bool,
    loss: Loss = hard_cross_entropy,
    clip_norm: float | None = None,
    sharpness: Sharpness | None = None,
) -> PlainStep:
    """Steps of ``network`` by ``optimiser``, recorded where ``record`` says so; the same bits either way.

    Only SGD without ``sharpness`` is recorded; others are plain, whatever ``record`` says.
    """
    if record and isinstance(optimiser, Sgd) and sharpness is None:
        return StaticStep(network, optimiser, record=True, loss=loss, clip_norm=clip_norm)
    return PlainStep(network, optimiser, loss=loss, clip_norm=clip_norm, sharpness=sharpness)


class PlainStep:
    """Training steps of one network.

    Args:
        network: moved in place by every step.
        optimiser: of its parameters.
        loss: what a step descends.
        clip_norm: largest norm of the gradient of all parameters; ``None``: any.
        sharpness: takes sharpness-aware steps; ``None``: plain ones.

    Attributes:
        totals: (2,) float64, the summed loss and the number of images whose largest logit is their class, of the steps since
            :meth:`count`; before, none are counted. Accuracy is measured against the class, whatever the loss uses.
        correct: (B,) bool, which images of the last step were, in training mode and before the step.
    """

    def __init__(
        self,
        network: Network,
        optimiser: Optimiser,
        *,
        loss: Loss = hard_cross_entropy,
        clip_norm: float | None = None,
        sharpness: Sharpness | None = None,
    ) -> None:
        self.network, self.optimiser, self.loss = network, optimiser, loss
        self._clip_norm, self._sharpness = clip_norm, sharpness
        self.totals = torch.zeros(2, dtype=torch.float64, device=optimiser.parameters[0].device)
        self.correct = torch.zeros(0, dtype=torch.bool, device=self.totals.device)
        self._counting = False

    def count(self) -> None:
        """Count from here, from zero."""
        self.totals.zero_()
        self._counting = True

    def use(self, optimiser: Optimiser, lr: float) -> None:
        """Go on with ``optimiser`` (the same, or a new one of the same parameters) and its learning rate ``lr``."""
        optimiser.lr = lr
        self.optimiser = optimiser

    def __call__(self, images: Tensor, labels: Tensor, mixed: Tensor | None = None, soft: Tensor | None = None) -> None:
        """One step on images (N, C, H, W) float and labels (N,) int64, with what the loss uses besides."""
        weights = self._step_weights()
        with nullcontext() if weights is None else weights.in_use():
            logits = self.network(images)
        if mixed is None and self.loss is hard_cross_entropy and cross_entropy_gpu.takes_kernel(logits):
            output, by_output = logits, self._by_kernel(logits, labels)
        else:
            output, by_output = self._by_operations(logits, labels, mixed, soft), None
        if weights is not None:
            assert isinstance(self.optimiser, Sgd), "another's gradients are of its parameters"
            self.optimiser.step(weights.gradients(output, self.optimiser.parameters, by_output))
            return
        gradients: Gradients = torch.autograd.grad(output, self.optimiser.parameters, by_output)
        if self._sharpness is not None:
            batch = images, labels, mixed, soft
            gradients = sharpness_aware(
                self._sharpness, self.optimiser.parameters, gradients, lambda: self._gradients_again(*batch)
            )
        if self._clip_norm is not None:
            gradients = clipped(gradients, self._clip_norm)
        self.optimiser.step(gradients)

    def _step_weights(self) -> StepWeights | None:
        """What gradients are taken by where the optimiser's kernel reads them as they come; ``None``: by the parameters."""
        optimiser = self.optimiser
        if not isinstance(optimiser, Sgd) or self._sharpness is not None or self._clip_norm is not None:
            return None
        return StepWeights(self.network.rounded_weights()) if optimiser.is_kernel else None

    def _by_operations(self, logits: Tensor, labels: Tensor, mixed: Tensor | None, soft: Tensor | None) -> Tensor:
        """The loss; the meters count it."""
        loss = self.loss(logits, labels, mixed, soft)
        if self._counting:
            self.correct = logits.detach().argmax(dim=1) == labels
            self.totals += torch.stack([loss.detach().double() * len(labels), self.correct.sum().double()])
        return loss

    def _by_kernel(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The gradient of the logits, of the cross-entropy of classes, by a kernel that also counts for the meters."""
        totals = self.totals if self._counting else None
        gradient, correct = cross_entropy_gpu.gradient_and_correct(logits.detach(), labels, totals)
        if self._counting:
            self.correct = correct
        return gradient

    def _gradients_again(self, images: Tensor, labels: Tensor, mixed: Tensor | None, soft: Tensor | None) -> Gradients:
        """Gradients of a batch that has been seen: running statistics stay as they were."""
        before = [buffer.clone() for buffer in self.network.buffers()]
        loss = self.loss(self.network(images), labels, mixed, soft)
        gradients: Gradients = torch.autograd.grad(loss, self.optimiser.parameters)
        for buffer, kept in zip(self.network.buffers(), before, strict=True):
            buffer.copy_(kept)
        return gradients


_Place = tuple[Tensor, Tensor, Tensor | None, Tensor | None]


class StaticStep(PlainStep):
    """Steps whose parameters, momenta, batches, meters and totals keep their places; every step is counted.

    Args:
        network: moved in place by every step.
        optimiser: SGD of its parameters.
        record: replay CUDA graphs, one for each size of batch; otherwise run the same operations one by one.
        loss: what a step descends.
        clip_norm: largest norm of the gradient of all parameters; ``None``: any.
    """

    optimiser: Sgd

    def __init__(
        self,
        network: Network,
        optimiser: Sgd,
        *,
        record: bool,
        loss: Loss = hard_cross_entropy,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(network, optimiser, loss=loss, clip_norm=clip_norm)
        self._record = record
        if record:
            optimiser.keep_rate_in_place()
        optimiser.fill_momenta()
        self.count()
        self._buffers: dict[int, _Place] = {}
        self._correct: dict[int, Tensor] = {}
        self._recordings: dict[int, Recording] = {}

    def use(self, optimiser: Optimiser, lr: float) -> None:
        """As for plain steps; a new optimiser's momentum of zero is written into the places of the old one's."""
        if optimiser is not self.optimiser:
            for momentum in self.optimiser.momenta():
                momentum.zero_()
        super().use(self.optimiser, lr)
        if len(self.optimiser.momenta()) < len(self.optimiser.parameters):
            self.optimiser.fill_momenta()
            self._recordings.clear()

    def __call__(self, images: Tensor, labels: Tensor, mixed: Tensor | None = None, soft: Tensor | None = None) -> None:
        """One step on images (N, C, H, W) float and labels (N,) int64, with what the loss uses besides."""
        size, given = len(labels), (images, labels, mixed, soft)
        if size not in self._buffers:
            empty = [None if tensor is None else torch.zeros_like(tensor) for tensor in given]
            self._buffers[size] = torch.zeros_like(images), torch.zeros_like(labels), empty[2], empty[3]
        for buffer, tensor in zip(self._buffers[size], given, strict=True):
            if buffer is not None and tensor is not None:
                buffer.copy_(tensor)
        recording = self._recorded(size)
        recording()
        self._record = self._record and recording.is_recorded  # the log says once why it is not
        self.correct = self._correct[size]

    def _recorded(self, size: int) -> Recording:
        if size not in self._recordings:
            self._recordings[size] = Recording(
                lambda: self._run(size), self._moved, name="a training step", record=self._record
            )
        return self._recordings[size]

    def _run(self, size: int) -> None:
        """What is recorded: nothing here depends on a value, and nothing is drawn."""
        super().__call__(*self._buffers[size])
        self._correct[size] = self.correct  # made by the recording, whose every replay writes it again

    def _moved(self) -> list[Tensor]:
        """Everything that a step moves."""
        return [*self.optimiser.parameters, *self.optimiser.momenta(), *self.network.buffers(), self.totals]


class SharedStep:
    """Steps for any number of networks of one architecture through one :class:`StaticStep`: each is copied in and out.

    A copy moves a few megabytes, once for all the steps that a network takes in a row.

    Args:
        network: one of the networks; a copy of it is worked on.
        optimiser: its optimiser.
        record: as for :class:`StaticStep`.
    """

    def __init__(self, network: Network, optimiser: Sgd, *, record: bool) -> None:
        self._step = StaticStep(*copied_training(network, optimiser), record=record)

    def train(self, network: Network, optimiser: Sgd, batches: Iterable[tuple[Tensor, ...]]) -> Tensor:
        """Take a step of ``network`` on each of ``batches``; returns the number of correct images (0-d float64).

        A batch is what a step takes: images and labels, perhaps with the shares of classes and the soft labels.
        """
        ours = self._step
        copy_training(network, optimiser, ours.network, ours.optimiser)
        ours.count()
        for batch in batches:
            ours(*batch)
        copy_training(ours.network, ours.optimiser, network, optimiser)
        return ours.totals[1].clone()


class SuccessiveTraining:
    """Steps for networks of one architecture, one network after another; recorded on a GPU where they are many.

    Args:
        device: of the networks.
        steps: how many there will be of all networks together, or the least of it.

    Attributes:
        is_recorded: whether they are many on a GPU.
    """

    def __init__(self, device: torch.device, steps: int) -> None:
        self.is_recorded = worth_recording(device, steps)
        self._shared: SharedStep | None = None

    def __call__(self, network: Network, optimiser: Sgd, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Take a step of ``network``, in training mode, on each of ``batches``, which are as for :class:`SharedStep`."""
        if self.is_recorded:
            self._shared = self._shared or SharedStep(network, optimiser, record=True)
            self._shared.train(network, optimiser, batches)
            return
        step = PlainStep(network, optimiser)
        for batch in batches:
            step(*batch)


def copied_training(network: Network, optimiser: Sgd) -> tuple[Network, Sgd]:
    """A copy of a network in training mode, and an optimiser of its parameters without momentum."""
    same = copy.deepcopy(network).requires_grad_(True).train()
    return same, optimiser.like(same.parameters())


@torch.no_grad()
def copy_training(network: Network, optimiser: Sgd, to_network: Network, to_optimiser: Sgd) -> None:
    """Parameters, momenta and buffers of a network into the places of another one of its architecture."""
    for each in (optimiser, to_optimiser):
        each.fill_momenta()
    source = [*optimiser.parameters, *optimiser.momenta(), *network.buffers()]
    target = [*to_optimiser.parameters, *to_optimiser.momenta(), *to_network.buffers()]
    torch._foreach_copy_(target, source)
