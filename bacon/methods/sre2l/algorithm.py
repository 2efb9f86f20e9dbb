"""SRe2L's recovery: images whose batch-norm statistics in a teacher are those of the real set."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.recovery.layer_statistics import batch_norms, channel_moments, distance, seen
from bacon.distillation.recovery.recovery import Recovery, class_losses
from bacon.distillation.recovery.teachers import teacher
from bacon.networks.network import Network
from bacon.settings.trained_networks import TEACHERS

if TYPE_CHECKING:
    from bacon.methods.sre2l.record import SRe2LSettings


class SRe2L(Recovery):
    """One teacher; a batch holds one image of each of at most ``batch_images`` classes."""

    settings: SRe2LSettings

    def __init__(self, settings: SRe2LSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._teacher: Network = teacher(context, context.inputs[TEACHERS], TEACHERS)

    @cached_property
    def _layers(self) -> list[torch.nn.BatchNorm2d]:
        return batch_norms(self._teacher)

    def batch_indices(self) -> list[Tensor]:
        """For each number within a class, the images of some classes with it."""
        ipc = self.context.ipc
        places = torch.arange(len(self.context.classes), device=self.context.device).view(-1, ipc)  # (classes, IPC)
        size = self.settings.batch_images
        return [batch for number in range(ipc) for batch in places[:, number].split(size)]

    def losses(self, seen_images: Tensor, labels: Tensor, iteration: Any, numbers: range) -> dict[str, Tensor]:
        """``ce``, and ``statistics``: distances of mean and variance from the running ones, in every layer."""
        del iteration, numbers
        own, batches = self.settings, len(labels)
        distances: dict[int, Tensor] = {}

        def note(number: int, maps: Tensor) -> None:
            mean, variance = channel_moments(maps, batches)
            layer = self._layers[number]
            assert layer.running_mean is not None
            assert layer.running_var is not None
            weight = own.first_weight if number == 0 else 1.0
            distances[number] = weight * (distance(mean, layer.running_mean) + distance(variance, layer.running_var))

        with seen(self._layers, note):
            logits = self._teacher(seen_images)
        total = torch.stack([distances[number] for number in sorted(distances)]).sum(dim=0)
        return {"ce": class_losses(logits, labels), "statistics": own.statistics_weight * total}
