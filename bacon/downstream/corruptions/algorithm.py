"""The networks that a cell's evaluation trains on corrupted test images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from bacon.downstream.algorithm import Measured, Measurement, TaskContext
from bacon.downstream.chosen_images import chosen_images
from bacon.downstream.corruptions.corrupted_images import Images, kept_corrupted
from bacon.networks.network import Network
from bacon.training.image_set import ImageSet
from bacon.training.predictions import confusion_matrix

if TYPE_CHECKING:
    from bacon.downstream.corruptions.record import CorruptionSettings


class Corruptions:
    """The task on one cell."""

    def __init__(self, settings: CorruptionSettings, context: TaskContext) -> None:
        self._settings, self._context = settings, context
        dataset = context.dataset
        self._places = chosen_images(len(dataset.test_images), settings.test_images)
        self._labels = torch.from_numpy(dataset.test_labels[self._places]).to(context.device)

    def _clean(self) -> Images:
        images: Images = np.asarray(self._context.dataset.test_images[self._places])
        return images

    def measure(self, repetition: int) -> Measured:
        """Accuracy without corruption, under each corruption and severity, and the mean corruption error."""
        network, settings = self._context.trained(repetition), self._settings
        clean = self._accuracy(network, self._clean())
        measurements = [Measurement(metric="accuracy", value=clean)]
        means = []
        for name in settings.corruptions:
            found = {
                severity: self._accuracy(network, self._corrupted(name, severity)) for severity in settings.severities
            }
            means.append(sum(found.values()) / len(found))
            measurements.append(Measurement(metric="corrupted_accuracy", condition=name, value=means[-1]))
            measurements += [
                Measurement(metric="corrupted_accuracy", condition=name, at=float(severity), value=value)
                for severity, value in found.items()
            ]
        error = 1 - sum(means) / len(means)
        measurements.append(Measurement(metric="mce", value=error))
        measurements.append(Measurement(metric="relative_mce", value=error - (1 - clean)))
        return Measured(measurements=tuple(measurements), details={"test_images": len(self._places)})

    def _corrupted(self, corruption: str, severity: int) -> Images:
        context = self._context
        of = (context.dataset.fingerprint, self._settings.test_images)
        return kept_corrupted(context.shared / "corruptions", self._clean, corruption, severity, of=of)

    def _accuracy(self, network: Network, images: Images) -> float:
        """Share of images (N, C, H, W) that are classified correctly, normalised as the test set is."""
        test = self._context.test
        device_images = torch.from_numpy(images).to(self._context.device)
        chosen: ImageSet = replace(test, images=device_images, labels=self._labels, rows=None)
        counts = confusion_matrix(network, chosen, self._context.classes)
        return int(counts.trace()) / len(self._labels)
