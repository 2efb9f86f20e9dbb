"""Training a network on the synthetic images between two of their steps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.networks.network import Network
from bacon.settings.augmentations import Dsa, NoAugmentation
from bacon.settings.recipe import TrainingRecipe
from bacon.training.batches import Batches
from bacon.training.image_set import ImageSet
from bacon.training.sgd import Sgd
from bacon.training.steps import SuccessiveTraining

if TYPE_CHECKING:
    from bacon.settings.gradient_matching import GradientMatchingSettings


class InnerTraining:
    """Epochs of plain SGD, without momentum and weight decay, on shuffled batches.

    Args:
        settings: learning rate and batch.
        strategy: DSA operations joined by _ (one for each batch, parameters for each image), or ``none``.
        context: seed, classes, device.
        epochs: of each training.
        trainings: how many there will be; on a GPU, many steps are worth recording.
    """

    def __init__(
        self, settings: GradientMatchingSettings, strategy: str, context: Context, *, epochs: int, trainings: int
    ) -> None:
        self._context, self._epochs, self._rate = context, epochs, settings.lr_net
        augmentation = NoAugmentation() if strategy == "none" else Dsa(strategy=strategy)
        self._recipe = TrainingRecipe(epochs=max(epochs, 1), batch_size=settings.batch_train, augmentation=augmentation)
        self._steps = self._recipe.steps_per_epoch(len(context.classes)) * epochs
        self._train = SuccessiveTraining(context.device, trainings * self._steps)

    def __call__(self, network: Network, images: Tensor, iteration: int, step: int) -> None:
        """Train ``network`` on images (classes * ipc, C, H, W) after step ``step`` of iteration ``iteration``."""
        if not self._epochs:
            return
        network.requires_grad_(True).train()
        optimiser = Sgd(network.parameters(), lr=self._rate, momentum=0.0, weight_decay=0.0)
        self._train(network, optimiser, self._batches(images, iteration, step))

    def _batches(self, images: Tensor, iteration: int, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        train = ImageSet(images=images.detach(), labels=self._context.classes)
        seed = (self._context.seed, iteration, step)
        classes = self._context.real.classes
        batches = Batches(train, self._recipe, seed, classes, purpose="inner-training").from_epoch()
        return ((batch.images, batch.labels) for batch in islice(batches, self._steps))
