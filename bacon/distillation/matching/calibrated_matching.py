"""Matching between untrained and trained networks, and a calibration step in the latter (DANCE, NCFM; docs/algorithms.md).

Images are pixels in [0, 1]; the published loop takes one optimiser step per class, first along the matching loss of each class,
then along the cross-entropy of its images in the trained network.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.algorithm import Context
from bacon.distillation.class_turns import Turn, TurnedImages
from bacon.distillation.initialisation import first_images
from bacon.distillation.matching.feature_matching import FeatureMatching
from bacon.distillation.matching.matching_losses import MatchingLoss
from bacon.distillation.recorded_steps import Given, RecordedSteps
from bacon.distillation.siamese import Siamese, idc_siamese
from bacon.distillation.synthetic_batch import synthetic_batch
from bacon.distillation.trained_pools import InterpolatedPool
from bacon.networks.network import Network
from bacon.settings.calibrated_matching import ENDPOINTS
from bacon.transforms.partition import decode

if TYPE_CHECKING:
    from bacon.settings.calibrated_matching import CalibratedSettings


class CalibratedMatching(FeatureMatching):
    """An algorithm that matches in interpolated networks and calibrates in trained ones.

    Args:
        settings: the method's.
        context: what it is given; ``inputs`` hold the networks of ``bacon.settings.calibrated_matching.endpoints``.
        loss: matches the features.
    """

    settings: CalibratedSettings
    pool: InterpolatedPool

    def __init__(self, settings: CalibratedSettings, context: Context, *, loss: MatchingLoss[Any]) -> None:
        real = context.real
        pool = InterpolatedPool(context.inputs[ENDPOINTS], seed=context.seed, device=context.device, dtype=real.dtype)
        super().__init__(settings, context, loss=loss, pool=pool)
        if settings.calibration_weight:
            self.terms = (*self.terms, "calibration")
        self.turned = TurnedImages(self.initial_images(), real)
        self.turn = self.make_turn(self.turned.pixels)
        self._calibrations = RecordedSteps(
            context, self.iterations, name="an iteration's calibration", reads_real=False
        )
        self._rounds = RecordedSteps(context, self.iterations, name="a round of the images' turns", reads_real=False)

    @abstractmethod
    def make_turn(self, pixels: Tensor) -> Turn:
        """The optimiser of the pixels (classes, ipc, C, H, W)."""

    @property
    def images(self) -> Tensor:
        """(classes * ipc, C, H, W): the current synthetic images, normalised."""
        return self.turned.normalised()

    def initial_images(self) -> Tensor:
        """(classes * ipc, C, H, W): the images of iteration 0."""
        settings, context = self.settings, self.context
        return first_images(
            self.real,
            init=settings.init,
            ipc=context.ipc,
            seed=context.seed,
            partition=settings.partition,
            mode=settings.resize,
        )

    def siamese(self, iteration: int, classes: Sequence[int]) -> Siamese:
        """IDC's list, one draw per iteration and class."""
        strategy, seed = self.settings.idc_strategy, self.context.seed
        return idc_siamese(strategy, seed, "idc", iteration, classes, self.real, self.draws)

    def decoded(self, images: Tensor, iteration: int, classes: Sequence[int]) -> Tensor:
        """At most ``batch_synthetic`` of the training images of each class, at random."""
        decoded = decode(images, self.settings.partition)
        return synthetic_batch(
            decoded,
            self.settings.batch_synthetic,
            self.context.seed,
            iteration=iteration,
            classes=self.real.index(classes),
        )

    def step(self, iteration: int) -> dict[str, Tensor]:
        """A round of matching, then a round of calibration."""
        self.turned.clamp()
        self._approach()
        gradient, terms = self.matched(iteration, self.pool.draw(iteration))
        self._take(gradient)
        if self.settings.calibration_weight:
            self._approach()
            given = Given(number=iteration, networks=(self.pool.trained(iteration),))
            gradient, mean = self.context.memory.within(
                lambda: self._calibrations(self._calibrated, given), iteration=iteration, device=self.context.device
            )
            terms["calibration"] = mean.clone()
            self._take(gradient)
        return terms

    def _approach(self) -> None:
        """The turns before each class's own."""

        def approach(given: Given) -> tuple[()]:
            del given
            self.turned.approach(self.turn)
            return ()

        self._rounds(approach, Given(number=0), kind=("approach", self.turn.rate), moved=self._moved_by_turns)

    def _take(self, gradient: Tensor) -> None:
        """Each class's own turn along the gradient, and those after it."""

        def take(given: Given) -> tuple[()]:
            self.turned.take(self.turn, *given.tensors)
            return ()

        given = Given(number=0, tensors=(gradient,))
        self._rounds(take, given, kind=("take", self.turn.rate), moved=self._moved_by_turns)

    def _moved_by_turns(self) -> list[Tensor]:
        return [self.turned.pixels, *self.turn.places()]

    def _calibrated(self, given: Given) -> tuple[Tensor, Tensor]:
        return self.calibration(given.number, *given.networks)

    def calibration(self, iteration: int, network: Network) -> tuple[Tensor, Tensor]:
        """Gradient of the weighted cross-entropy of each class's images in a trained network, and its unweighted mean."""
        images = self.images
        gradient, total = torch.empty_like(images), images.new_zeros(())
        shape = (self.real.classes, self.context.ipc)
        with self.draws.kept():
            for chunk in self.chunks():
                classes = self.real.index(chunk.classes)
                own = images.unflatten(0, shape)[classes].requires_grad_()
                strategy, seed = self.settings.idc_strategy, self.context.seed
                augment = idc_siamese(
                    strategy, seed, "idc-calibration", iteration, chunk.classes, self.real, self.draws
                )
                augmented = augment(self.decoded(own, iteration, chunk.classes))  # (K, n, C, H, W)
                labels = classes.repeat_interleave(augmented.shape[1])
                losses = F.cross_entropy(network(augmented.flatten(0, 1)), labels, reduction="none")
                mean = losses.view(len(classes), -1).mean(dim=1).sum()
                (found,) = torch.autograd.grad(self.settings.calibration_weight * mean, own)
                gradient.unflatten(0, shape)[classes] = found
                total = total + mean.detach() / self.real.classes
        return gradient, total

    def synthetic(self) -> SyntheticSet:
        """The images with their classes."""
        images = self.images.float()
        return SyntheticSet(images=images, classes=self.context.classes, partition=self.settings.partition)

    def state_dict(self) -> dict[str, Any]:
        """Pixels and optimiser; the pool has no state."""
        return {"images": self.turned.state_dict(), "turn": self.turn.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken, with the same bits as if nothing had happened."""
        self.turned.load_state_dict(state["images"])
        self.turn.load_state_dict(state["turn"])
        for each in (self.replays, self._calibrations, self._rounds):
            each.clear()  # the pixels are in another place
