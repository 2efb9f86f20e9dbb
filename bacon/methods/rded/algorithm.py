"""RDED: the crops of each class with the smallest cross-entropy of a teacher, tiled into images."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.distillation.algorithm import Context, Selection
from bacon.distillation.initialisation import check_class_sizes
from bacon.distillation.selection.class_selection import network_of_seed
from bacon.networks.network import Network
from bacon.runtime.draws import device_uniform
from bacon.runtime.errors import BaconError
from bacon.settings.trained_networks import TEACHERS
from bacon.transforms.resized_crop import NUMBERS, crop_box, resized

if TYPE_CHECKING:
    from bacon.methods.rded.record import RDEDSettings


class RDED(Selection):
    """Crops of random images, ranked by a teacher; stored images are whole tilings, not partitions."""

    def __init__(self, settings: RDEDSettings, context: Context) -> None:
        super().__init__(context)
        self._settings = settings
        _, height, width = context.real.shape
        factor = settings.factor
        if height % factor or width % factor:
            raise BaconError(
                f"distillation.factor = {factor}: images of {height}x{width} pixels cannot be tiled by {factor}x{factor} equal "
                "crops; give a factor that divides both sides (1: crops of full size)"
            )
        self._size = height // factor, width // factor

    @cached_property
    def _teacher(self) -> Network:
        return network_of_seed(self.context.inputs[TEACHERS], self.context)

    def select(self) -> Tensor:
        """(classes * ipc, C, H, W) normalised, in class order.

        Raises:
            BaconError: a class has fewer images than crops are needed.
        """
        context, factor = self.context, self._settings.factor
        check_class_sizes(context.real, ipc=context.ipc, partition=factor)
        return torch.cat([self._of_class(label) for label in range(context.real.classes)])

    def _of_class(self, label: int) -> Tensor:
        context, factor = self.context, self._settings.factor
        crops, losses = self.best_crops(label)
        return tiled(crops[losses.argsort(stable=True)[: context.ipc * factor**2]], factor)

    def best_crops(self, label: int) -> tuple[Tensor, Tensor]:
        """Of each candidate of a class, the crop with the smallest cross-entropy.

        Returns:
            Crops (N, C, H / factor, W / factor) normalised, and their losses (N,) in nats.
        """
        context, places = self.context, self.places_of_candidates(label)

        def rank() -> tuple[Tensor, Tensor]:
            pairs = [self._best_of(some, label) for some in places.split(context.memory.images(context.real.shape))]
            crops, losses = zip(*pairs, strict=True)
            return torch.cat(crops), torch.cat(losses)

        return context.memory.within(rank, iteration=0, device=context.device)

    def places_of_candidates(self, label: int) -> Tensor:
        """(N,) int64: where the images of a class that crops are taken of are among all."""
        context, wanted = self.context, self._settings.candidates
        needed = self._settings.real_images_needed(context.ipc)
        size = min(max(wanted, needed), context.real.counts[label])
        return context.real.sample_classes(context.seed, "rded-images", iteration=0, classes=[label], size=size)[0]

    def _best_of(self, places: Tensor, label: int) -> tuple[Tensor, Tensor]:
        images = self.context.real.batch(places)
        best = self._crop(images, places, 0)
        least = self.losses(best, label)
        for turn in range(1, self._settings.crops):
            crops = self._crop(images, places, turn)
            losses = self.losses(crops, label)
            better = losses < least
            best = torch.where(better[:, None, None, None], crops, best)
            least = torch.where(better, losses, least)
        return best, least

    def _crop(self, images: Tensor, places: Tensor, turn: int) -> Tensor:
        numbers = device_uniform(
            self.context.seed, "rded-crops", count=NUMBERS, device=images.device, dtype=torch.float64,
            iteration=turn, lanes=places,
        )  # fmt: skip
        box = crop_box(self._settings.crop_scale, (1.0, 1.0), numbers, *images.shape[-2:])
        return resized(images, box, self._size)

    def losses(self, crops: Tensor, label: int) -> Tensor:
        """(N,) cross-entropy with class ``label`` in nats of crops, in the middle of an image of the mean colour."""
        _, height, width = self.context.real.shape
        top, left = (height - crops.shape[-2]) // 2, (width - crops.shape[-1]) // 2
        right, bottom = width - crops.shape[-1] - left, height - crops.shape[-2] - top
        logits = self._teacher(F.pad(crops, (left, right, top, bottom)))
        losses: Tensor = -logits.log_softmax(dim=1)[:, label]
        return losses


def tiled(crops: Tensor, factor: int) -> Tensor:
    """Images of factor x factor crops: image k of n holds, row by row, crops k, k + n, k + 2n, ...

    Args:
        crops: (n * factor^2, C, h, w), the best first, so that every image has good ones.
        factor: crops along each side.

    Returns:
        (n, C, factor * h, factor * w).
    """
    channels, height, width = crops.shape[1:]
    grid = crops.view(factor, factor, -1, channels, height, width)
    return grid.permute(2, 3, 0, 4, 1, 5).reshape(-1, channels, factor * height, factor * width)
