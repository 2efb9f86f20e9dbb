"""Trajectory matching: a few steps of SGD on the images lead an expert's weights to where epochs of real training led them.

A toolkit for methods, which choose initial images, labels and the window of epochs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.recorded_steps import Given, RecordedSteps
from bacon.distillation.student_batches import DrawnBatches, StudentBatches
from bacon.distillation.trajectories import Experts, trajectory_distance
from bacon.distillation.unroll import Batches, FlatNetwork, unroll
from bacon.distillation.variables import MomentumUpdate, Variable, VariableAlgorithm, Variables
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.settings.trajectories import TrajectorySettings


SMALLEST_RATE = 1e-6
"""The learned rate is kept at or above it: below 0 the student would climb."""


class TrajectoryMatching(VariableAlgorithm, ABC):
    """An algorithm that matches trajectories of experts; methods derive from it.

    Args:
        settings: the method's.
        context: what it is given, the experts among its inputs.

    Raises:
        BaconError: the experts are not those that the settings ask for.
    """

    terms: tuple[str, ...] = ("distance", "rate")

    def __init__(self, settings: TrajectorySettings, context: Context) -> None:
        self.settings, self.context, self.iterations = settings, context, settings.iterations
        self.network = FlatNetwork(context.build(0))
        last = settings.last_start_epoch() + settings.expert_epochs
        self.experts = Experts(context, self.network, last_epoch=last)
        self.variables = self.initial_variables()
        self.replays = RecordedSteps(context, self.iterations, name="a student's training", reads_real=False)

    @abstractmethod
    def initial_variables(self) -> Variables:
        """What is optimised, as it is at iteration 0: images, the student's rate (:meth:`rate_variable`), perhaps labels."""

    def rate_variable(self) -> Variable:
        """The student's learning rate, with momentum; fixed where ``lr_lr`` is 0."""
        settings, context = self.settings, self.context
        rate = torch.full((), settings.lr_student, device=context.device, dtype=context.real.dtype)
        learned = MomentumUpdate(settings.lr_lr, momentum=settings.momentum) if settings.lr_lr else None
        return Variable(rate, learned, minimum=SMALLEST_RATE)

    def image_variable(self, images: Tensor) -> Variable:
        """Initial images (classes * ipc, C, H, W) with momentum."""
        return Variable(images, MomentumUpdate(self.settings.lr_img, momentum=self.settings.momentum))

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One iteration: match a window of an expert, move images and rate."""
        start, target = self.window(iteration)
        rate = self.rate.detach().clone()
        distance, gradients = self.gradients_in_memory(iteration, start, target)
        self.move(gradients, distance)
        return {"distance": distance, "rate": rate}

    def move(self, gradients: dict[str, Tensor], distance: Tensor) -> None:
        """Move the variables; ``distance`` (0-d) is for methods that decide by it."""
        del distance
        self.variables.step(gradients)

    @property
    def rate(self) -> Tensor:
        """() float: the student's current learning rate."""
        assert self.variables.rates is not None, "the student's rate is always there"
        return self.variables.rates.values

    def window(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Weights (P,) of the iteration's expert at the start epoch, and M epochs later."""
        first, end = self.start_epochs(iteration)
        run, epoch = self.experts.chosen(iteration), self.experts.start_epoch(iteration, first, end)
        return self.experts.weights(run, epoch), self.experts.weights(run, epoch + self.settings.expert_epochs)

    def start_epochs(self, iteration: int) -> tuple[int, int]:
        """First start epoch, and the one behind the last, of an iteration."""
        del iteration
        return 0, self.settings.max_start_epoch

    def labels(self, leaves: dict[str, Tensor]) -> Tensor:
        """What the student is trained with: (M,) int64, or (M, K) probabilities made of the variables."""
        del leaves
        return self.context.classes

    def gradients_in_memory(self, iteration: int, start: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """:meth:`gradients`, replayed where that is recorded; they are to be used before the next ones are asked for.

        In constant memory, they are computed again in smaller pieces where the device's memory does not suffice.

        Raises:
            BaconError: the graphs of all steps do not fit, though nobody else takes of the device's memory.
        """
        batches = self.batches(iteration)
        drawn = batches.drawn(self.images) if self.replays.records else None

        def compute() -> tuple[Tensor, dict[str, Tensor]]:
            return self.gradients(start, target, batches) if drawn is None else self._replayed(start, target, drawn)

        if self.settings.constant_memory:
            return self.context.memory.within(compute, iteration=iteration, device=self.context.device)
        try:
            return compute()
        except torch.OutOfMemoryError:
            pass
        # Out of the handler: the exception's frames hold the tensors that did not fit.
        if self.context.memory.make_way():
            return self.gradients_in_memory(iteration, start, target)
        raise BaconError(
            f"iteration {iteration}: the graphs of {self.settings.student_steps} steps do not fit in the device's memory; "
            "set distillation.constant_memory: true"
        )

    def _replayed(self, start: Tensor, target: Tensor, batches: DrawnBatches) -> tuple[Tensor, dict[str, Tensor]]:
        def compute(given: Given) -> list[Tensor]:
            start, target, *tensors = given.tensors
            distance, found = self.gradients(start, target, batches.with_tensors(tensors))
            return [distance, *found.values()]

        given = Given(number=0, tensors=(start, target, *batches.tensors()))
        distance, *found = self.replays(compute, given, moved=lambda: list(self.network.network.buffers()))
        return distance.clone(), dict(zip(self.variables.leaves(), found, strict=True))

    def gradients(self, start: Tensor, target: Tensor, batches: Batches) -> tuple[Tensor, dict[str, Tensor]]:
        """Distance (0-d) and its gradient by each variable; ``batches`` are the student's."""
        leaves = self.variables.leaves()
        final = self.trained(start, leaves, batches)
        distance = trajectory_distance(final, start, target)
        found = torch.autograd.grad(distance, list(leaves.values()))
        return distance.detach(), dict(zip(leaves, found, strict=True))

    def batches(self, iteration: int) -> StudentBatches:
        """The student's batches in an iteration."""
        settings = self.settings
        return StudentBatches(
            self.context.seed,
            iteration,
            steps=settings.student_steps,
            batch=settings.batch_syn,
            strategy=settings.dsa_strategy,
            images=self.images,
        )

    def trained(self, start: Tensor, leaves: dict[str, Tensor], batches: Batches) -> Tensor:
        """(P,): the weights after the student's steps from ``start``."""
        settings = self.settings
        return unroll(
            self.network,
            start,
            batches,
            (leaves["images"], self.labels(leaves)),
            rate=leaves.get("rates", self.rate),
            steps=settings.student_steps,
            constant_memory=settings.constant_memory,
            images_at_once=self._images_at_once(),
        )

    def _images_at_once(self) -> int | None:
        """Images of a batch whose graph is kept at a time; all of them where the network couples them."""
        coupled = self.context.network.norm == "batch"
        return None if coupled else self.context.memory.images(self.context.real.shape)
