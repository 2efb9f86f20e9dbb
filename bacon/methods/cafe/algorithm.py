"""CAFE: steps of the images along its loss, and epochs of the network on the images, until accuracies settle.

How many there are depends on accuracies, so the host waits for the device at each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.chunks import consecutive_chunks
from bacon.distillation.matching.embedding_matching import EmbeddingMatching
from bacon.distillation.pools import DrawnNetwork, Fresh
from bacon.distillation.siamese import Siamese
from bacon.methods.cafe.layer_matching import LayerMatching
from bacon.methods.cafe.stop_rules import Meter, alternate
from bacon.runtime.draws import device_permutation
from bacon.training.sgd import Sgd
from bacon.training.steps import SuccessiveTraining
from bacon.transforms.dsa import augment_batch
from bacon.transforms.partition import decode

if TYPE_CHECKING:
    from bacon.methods.cafe.record import CafeSettings


class Cafe(EmbeddingMatching):
    """CAFE, and CAFE+DSA where the settings augment.

    Networks with batch norm are in training mode throughout, as in the published code: where images are matched, the real ones
    of all classes are one batch and the synthetic ones another; where accuracies are measured, each class is a batch.

    Attributes:
        mixes_images: whether networks mix the images of a batch: those with batch norm.
    """

    settings: CafeSettings
    recordable: ClassVar[bool] = True

    def __init__(self, settings: CafeSettings, context: Context) -> None:
        self.mixes_images = context.network.norm == "batch"
        pool = Fresh(context.build, device=context.device, dtype=context.real.dtype, training=self.mixes_images)
        super().__init__(settings, context, loss=LayerMatching(settings), pool=pool)
        self.terms = (*self.terms, "outer_steps", "epochs", "limited")
        batches = -(-len(context.classes) * settings.parts() // settings.batch_train)
        # An epoch an iteration, at least.
        self.train = SuccessiveTraining(context.device, settings.iterations * batches)

    def siamese(self, iteration: int, classes: Sequence[int]) -> Siamese:
        """DSA for CAFE+DSA; none for CAFE."""
        return super().siamese(iteration, classes) if self.settings.augment else lambda images: images

    def step(self, iteration: int) -> dict[str, Tensor]:
        """An iteration: a new network, steps of the images and epochs of the network."""
        block = _Block(self, iteration)
        counts = alternate(self.settings, block.meter, move=block.move, train=block.train)
        means = {name: total / counts.outer_steps for name, total in block.totals.items()}
        return means | {name: means["loss"].new_full((), float(count)) for name, count in vars(counts).items()}

    def rate(self, iteration: int) -> float:
        """Learning rate of the images."""
        passed = sum(iteration >= int(part * self.iterations) for part in self.settings.lr_milestones)
        return float(self.settings.lr_img * 0.5**passed)


class _Block:
    """The network of an iteration, and what is done with it.

    Args:
        method: whose images are moved.
        iteration: number of the iteration.
    """

    def __init__(self, method: Cafe, iteration: int) -> None:
        self._method, self._iteration, self._measured = method, iteration, 0
        self._settings, self._real = method.settings, method.real
        self._network = method.pool.draw(iteration).network
        self._optimiser = Sgd(self._network.parameters(), lr=self._settings.lr_net, momentum=0.0, weight_decay=0.0)
        self.totals = {name: torch.zeros((), device=self._real.device, dtype=self._real.dtype) for name in method.terms}
        for name in ("outer_steps", "epochs", "limited"):
            del self.totals[name]
        self.meter = Meter(
            self.accuracy,
            classes=self._real.classes,
            carries_over=self._settings.accuracy == "published_code",
        )

    @property
    def _seed(self) -> tuple[int, int]:
        """Seed of the draws of this iteration."""
        return self._method.context.seed, self._iteration

    def move(self, number: int) -> None:
        """A step of the images."""
        method = self._method
        network = self._network.requires_grad_(False).train(method.mixes_images)
        drawn = DrawnNetwork(network, self.totals["loss"].new_zeros(()))
        key = self._iteration * self._settings.max_outer + number
        gradient, terms = method.matched(key, drawn)
        update = method.variables.images.update
        assert update is not None, "images have an optimiser"
        update.rate = method.rate(self._iteration)
        method.variables.step({"images": gradient})
        for name in self.totals:
            self.totals[name] = self.totals[name] + terms[name]

    def train(self, number: int) -> None:
        """An epoch of the network on the synthetic images."""
        self._network.requires_grad_(True).train()
        self._method.train(self._network, self._optimiser, self._batches(number))

    def _batches(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Augmented images and labels of an epoch, in random order."""
        images = decode(self._method.images, self._settings.partition)
        labels = self._method.context.classes.repeat_interleave(self._settings.parts())
        order = device_permutation(
            self._seed, "cafe-order", count=len(images), device=self._real.device, iteration=number
        )
        for place, chosen in enumerate(order.split(self._settings.batch_train)):
            batch = images.index_select(0, chosen)
            if self._settings.augment:
                purpose = f"cafe-train-{place}"
                batch = augment_batch(self._settings.dsa_strategy, batch, self._seed, purpose, number)
            yield batch, labels.index_select(0, chosen)

    @torch.no_grad()
    def accuracy(self) -> float:
        """Mean over the classes of the share of some real images that are classified correctly; waits for the device."""
        mixes_images, real = self._method.mixes_images, self._real
        network = self._network.train(mixes_images)
        limit = self._method.context.memory.images(real.shape)
        shares = []
        for chunk in consecutive_chunks(real.counts, batch_real=self._settings.query, limit=limit):
            indices = real.sample_classes(
                self._seed, "cafe-query", iteration=self._measured, classes=chunk.classes, size=chunk.batch_real
            )
            batches = indices if mixes_images else indices.flatten().split(limit)
            found = [network(real.batch(some)).argmax(dim=1) for some in batches]
            right = torch.cat(found).view_as(indices) == real.index(chunk.classes)[:, None]
            shares.append(right.double().mean(dim=1))
        self._measured += 1
        return float(torch.cat(shares).mean())
