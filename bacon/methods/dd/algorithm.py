"""DD: the loss of a fresh network on real images, after a few steps on the synthetic ones, goes down through these steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.algorithm import Context
from bacon.distillation.initialisation import noise_images
from bacon.distillation.recorded_iterations import RecordedIterations
from bacon.distillation.recorded_steps import Given
from bacon.distillation.unroll import FlatNetwork, unroll
from bacon.distillation.variables import AdamUpdate, Variable, VariableAlgorithm, Variables
from bacon.networks.build import FIXED_NETWORK
from bacon.runtime.draws import device_uniform
from bacon.settings.augmentations import CropFlip
from bacon.transforms.crop_flip import NUMBERS, crop_flip

if TYPE_CHECKING:
    from bacon.methods.dd.record import DDSettings

RAW_RATES = "raw_rates"
"""The variable whose softplus are the learning rates, which so stay above 0."""
_SOFT = torch.finfo(torch.float32).tiny


class DD(VariableAlgorithm):
    """Images and one learning rate for each step.

    Step t (from 0) of IPC * passes is on the images number t modulo IPC of all classes, which are in that order in the set.

    Args:
        settings: the method's.
        context: what it is given.
    """

    terms: tuple[str, ...] = ("real_loss", "rate")

    def __init__(self, settings: DDSettings, context: Context) -> None:
        self.settings, self.context, self.iterations = settings, context, settings.iterations
        real = context.real
        self.steps = context.ipc * settings.passes
        start = math.log(math.expm1(settings.lr_student))
        raw = torch.full((self.steps,), start, device=context.device, dtype=real.dtype)
        images = noise_images(real, ipc=context.ipc, seed=context.seed)
        self.variables = Variables(
            classes=context.classes,
            images=Variable(images, AdamUpdate(settings.lr, betas=settings.betas)),
            own={RAW_RATES: Variable(raw, AdamUpdate(settings.lr, betas=settings.betas))},
        )
        self._labels = torch.arange(real.classes, device=context.device)
        self._network = FlatNetwork(context.build(0, purpose="student"))
        self.replays = RecordedIterations(
            context,
            self.variables,
            settings.iterations,
            terms=self.terms,
            moved=lambda: list(self._network.network.buffers()),
        )

    @property
    def rates(self) -> Tensor:
        """(steps,) float: the current learning rates."""
        return F.softplus(self.variables.all[RAW_RATES].values)

    def synthetic(self) -> SyntheticSet:
        """The images with their classes, and the learning rate of each step."""
        return replace(super().synthetic(), rates=self.rates.float().clamp(min=_SOFT))

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One iteration: a real batch, a fresh network or several, a step of Adam."""
        for each in self.variables.all.values():
            assert each.update is not None, "both are learned"
            each.update.rate = self.settings.lr * self.settings.lr_factor ** (iteration // self.settings.lr_interval)
        count = self.settings.networks
        weights = tuple(self._fresh(iteration * count + number) for number in range(count))
        return self.replays.iterate(self.gradients, Given(number=iteration, tensors=weights), iteration=iteration)

    def gradients(self, given: Given) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The gradient by each variable of the mean loss on the real batch over the networks that are given, and the terms."""
        images, labels = self.real_batch(given.number)
        total, sums = torch.zeros((), device=images.device, dtype=images.dtype), dict[str, Tensor]()
        for weights in given.tensors:
            loss, found = self._through(weights, images, labels)
            total = total + loss / self.settings.networks
            for name, gradient in found.items():
                share = gradient / self.settings.networks
                sums[name] = sums[name] + share if name in sums else share
        return sums, {"real_loss": total, "rate": self.rates.mean()}

    def real_batch(self, iteration: int | Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) and labels (B,) int64 of an iteration."""
        real, seed = self.context.real, self.context.seed
        size = min(self.settings.batch_real, len(real.labels))
        places = real.sample_all(seed, "real-batch", iteration=iteration, lanes=1, size=size)[0]
        images = real.batch(places)
        if self.settings.augmentation == "crop_flip":
            drawn = device_uniform(
                seed,
                "real-batch-crop-flip",
                count=size * NUMBERS,
                lanes=iteration,
                device=real.device,
                dtype=real.dtype,
            )
            images = crop_flip(CropFlip(fill="reflect"), images, drawn.view(size, NUMBERS))
        return images, real.labels[places]

    def _fresh(self, index: int) -> Tensor:
        """(P,): the weights of an iteration's network before its steps."""
        if self.settings.initialisation == "fixed":
            return self._fixed
        return FlatNetwork(self.context.build(index, purpose="student")).weights()

    @cached_property
    def _fixed(self) -> Tensor:
        return FlatNetwork(self.context.build(0, purpose=FIXED_NETWORK)).weights()

    def _through(self, weights: Tensor, images: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss on the real batch after the steps of a network, and its gradients."""
        leaves = self.variables.leaves()
        final = unroll(
            self._network,
            weights,
            self._batch,
            (leaves["images"],),
            rate=F.softplus(leaves[RAW_RATES]),
            steps=self.steps,
            constant_memory=self.settings.constant_memory,
            images_at_once=None if self.context.network.norm == "batch" else self._at_once(),
        )
        loss, cotangent = self._real_loss(final.detach(), images, labels)
        found = torch.autograd.grad(final, list(leaves.values()), cotangent)
        return loss, dict(zip(leaves, found, strict=True))

    def _batch(self, step: int, variables: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """One image of every class, and the classes."""
        (images,) = variables
        return images.unflatten(0, (self.context.real.classes, self.context.ipc))[
            :, step % self.context.ipc
        ], self._labels

    def _real_loss(self, weights: Tensor, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of the real batch (0-d) and its gradient by the weights (P,), in pieces that fit in memory."""
        leaf = weights.requires_grad_()
        total, gradient = torch.zeros((), device=images.device, dtype=images.dtype), torch.zeros_like(weights)
        size = len(images) if self.context.network.norm == "batch" else self._at_once()
        for some, their_labels in zip(images.split(size), labels.split(size), strict=True):
            loss = F.cross_entropy(self._network(leaf, some), their_labels, reduction="sum") / len(images)
            (found,) = torch.autograd.grad(loss, leaf)
            total, gradient = total + loss.detach(), gradient + found
        return total, gradient

    def _at_once(self) -> int:
        return self.context.memory.images(self.context.real.shape)
