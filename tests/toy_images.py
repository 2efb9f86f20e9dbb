"""Small separable images for the tests of evaluation."""

from __future__ import annotations

import numpy as np
import torch

from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.training.batches import ImageSet

CPU = torch.device("cpu")
NETWORK = NetworkSettings(width=8, depth=2)
DSA = "color_crop_cutout_flip_scale_rotate"
MEAN, STD = (0.4,), (0.25,)
CLASSES = 2


def toy(count: int, seed: int = 0, side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Separable images (count, 1, side, side) uint8: class 0 has horizontal stripes, class 1 vertical ones."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % CLASSES).astype(np.int64)
    stripes = np.where(np.arange(side) % 4 < 2, 180, 60)
    images = np.where(labels[:, None, None] == 0, stripes[None, :, None], stripes[None, None, :])
    noise = random.integers(-40, 40, (count, side, side))
    return (images + noise).astype(np.uint8)[:, None], labels


def uint8_set(count: int, seed: int = 0) -> ImageSet:
    images, labels = toy(count, seed)
    return ImageSet.of_uint8(images, labels, mean=MEAN, std=STD, device=CPU)


def float_set(count: int, seed: int = 0) -> ImageSet:
    images = uint8_set(count, seed)
    return ImageSet(images=images.normalised(images.images), labels=images.labels)


def settings(**changes) -> EvaluationSettings:
    return EvaluationSettings(**({"epochs": 6, "batch_size": 8, "dsa_strategy": DSA} | changes))
