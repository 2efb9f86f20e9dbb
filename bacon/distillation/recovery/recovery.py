"""Images recovered from networks trained on the real set: the loop of SRe2L, to which a method adds its statistics.

Images are recovered in batches of a fixed size, whose statistics are matched. In evaluation mode a network treats every
image by itself, so several batches go through it in one pass, and their statistics are taken batch by batch.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.initialisation import first_images
from bacon.distillation.recorded_iterations import RecordedIterations
from bacon.distillation.recorded_steps import Given
from bacon.distillation.recovery.batch_views import views
from bacon.distillation.variables import AdamUpdate, Variable, VariableAlgorithm, Variables

if TYPE_CHECKING:
    from bacon.settings.recovery import RecoverySettings

_BETAS = (0.5, 0.9)


class Recovery(VariableAlgorithm):
    """Cross-entropy of a teacher, and a distance of statistics, minimised by Adam with a cosine schedule.

    Args:
        settings: of the method.
        context: what it is given.

    Attributes:
        unrecordable: why its iterations cannot be recorded on a GPU; empty if they can: :meth:`losses` is then given the number
            of the iteration as a tensor, and :meth:`settled` is part of what is recorded.
    """

    unrecordable: ClassVar[str] = ""
    terms: tuple[str, ...] = ("loss", "ce", "statistics")

    def __init__(self, settings: RecoverySettings, context: Context) -> None:
        self.settings, self.context, self.iterations = settings, context, settings.iterations
        images = first_images(context.real, init=settings.init, ipc=context.ipc, seed=context.seed)
        self.variables = Variables(
            classes=context.classes, images=Variable(images, AdamUpdate(settings.lr_img, betas=_BETAS))
        )
        self._mirror = "flip" in settings.dsa_strategy
        self.batches = self.batch_indices()
        self.replays = RecordedIterations(
            context, self.variables, settings.iterations, terms=self.terms, refused=self.unrecordable, reads_real=False
        )

    @abstractmethod
    def batch_indices(self) -> list[Tensor]:
        """Positions of the images of each batch, int64 on the device; each image is in one batch."""

    @abstractmethod
    def losses(self, seen_images: Tensor, labels: Tensor, iteration: Any, numbers: range) -> dict[str, Tensor]:
        """Terms of batches of the same size, each (G,) and weighted already; ``loss`` is their sum.

        Args:
            seen_images: (G * B, C, H, W), what the teachers see of them.
            labels: (G, B) int64 classes.
            iteration: number of the iteration; 0-d int64 on the device where it is recorded.
            numbers: which of all batches they are.
        """

    def settled(self) -> None:
        """Called when all batches of an iteration have been computed, before the images move."""

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One step of every image; terms are means over the batches."""
        update = self.variables.images.update
        assert update is not None, "images have an optimiser"
        update.rate = self.settings.lr_img * 0.5 * (1 + math.cos(math.pi * iteration / self.iterations))
        return self.replays.iterate(self._gradient, Given(number=iteration), iteration=iteration, move=self._move)

    def _move(self, gradients: Mapping[str, Tensor], given: Given) -> None:
        del given
        self.settled()
        self.variables.step(gradients)
        self._keep_to_pixels()

    def _gradient(self, given: Given) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        gradient, totals = torch.zeros_like(self.images), dict[str, Tensor]()
        for numbers in self._together():
            index = torch.stack([self.batches[number] for number in numbers])  # (G, B)
            chosen = self.images.index_select(0, index.flatten()).view(*index.shape, *self.images.shape[1:])
            chosen = chosen.detach().requires_grad_()
            lanes = torch.arange(numbers.start, numbers.stop, device=self.context.device)
            seen = views(
                self.settings.view, chosen, lanes, seed=self.context.seed, iteration=given.number, mirror=self._mirror
            )
            terms = self.losses(seen, self.context.classes[index], given.number, numbers) | self._priors(seen, index)
            terms = {"loss": torch.stack(list(terms.values())).sum(dim=0), **terms}
            (own,) = torch.autograd.grad(terms["loss"].sum(), chosen)
            gradient.index_copy_(0, index.flatten(), own.flatten(0, 1))
            for name in self.terms:
                totals[name] = totals.get(name, gradient.new_zeros(())) + terms[name].detach().sum()
        return {"images": gradient}, {name: total / len(self.batches) for name, total in totals.items()}

    def _together(self) -> list[range]:
        """Neighbouring batches of one size that are computed in one pass; at least one, whatever the memory limit."""
        limit, sizes = self.context.memory.images(self.context.real.shape), [len(batch) for batch in self.batches]
        found: list[range] = []
        for number, size in enumerate(sizes):
            last = found[-1] if found else None
            if last is not None and sizes[last.start] == size and (len(last) + 1) * size <= limit:
                found[-1] = range(last.start, number + 1)
            else:
                found.append(range(number, number + 1))
        return found

    def _priors(self, seen: Tensor, index: Tensor) -> dict[str, Tensor]:
        own, each = self.settings, seen.unflatten(0, index.shape)
        priors = {}
        if own.tv_weight:
            priors["tv"] = own.tv_weight * total_variation(each)
        if own.l2_weight:
            priors["l2"] = own.l2_weight * torch.linalg.vector_norm(each.flatten(2), dim=2).mean(dim=1)
        return priors

    @torch.no_grad()
    def _keep_to_pixels(self) -> None:
        """Values that pixels can have; whitened images have no such range."""
        real = self.context.real
        if not real.is_whitened:
            torch.clamp(
                self.images, -real.pixel_mean / real.pixel_std, (1 - real.pixel_mean) / real.pixel_std, out=self.images
            )


def class_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """(G,) mean cross-entropy of each batch, of logits (G * B, K) with classes (G, B)."""
    return F.cross_entropy(logits, labels.flatten(), reduction="none").view_as(labels).mean(dim=1)


def total_variation(images: Tensor) -> Tensor:
    """(G,) sum of the norms of differences of neighbours in rows, columns and both diagonals, of batches (G, B, C, H, W)."""
    pairs = (
        (images[..., :, :-1], images[..., :, 1:]),
        (images[..., :-1, :], images[..., 1:, :]),
        (images[..., 1:, :-1], images[..., :-1, 1:]),
        (images[..., :-1, :-1], images[..., 1:, 1:]),
    )
    norms = [torch.linalg.vector_norm((one - other).flatten(1), dim=1) for one, other in pairs]
    return torch.stack(norms).sum(dim=0)
