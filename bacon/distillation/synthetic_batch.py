"""Which of the synthetic training images an iteration computes with, where a method takes a batch of them."""

from __future__ import annotations

import torch
from torch import Tensor

from bacon.distillation.real_images import draw_without_replacement
from bacon.runtime.draws import Seed


def synthetic_batch(images: Tensor, size: int | None, seed: Seed, *, iteration: int, classes: Tensor) -> Tensor:
    """At most ``size`` images of each class, at random; all of them where there are no more.

    Args:
        images: (K, n, C, H, W) float, the decoded images of K classes; the gradient goes through to those that are drawn.
        size: images of each class; ``None``: all.
        seed: distillation seed.
        iteration: what the draw belongs to.
        classes: (K,) int64, on the device of the images; each class has draws of its own.

    Returns:
        (K, min(n, size), C, H, W).
    """
    count = images.shape[1]
    if size is None or size >= count:
        return images
    chosen = draw_without_replacement(
        seed,
        "synthetic-batch",
        iteration=iteration,
        lanes=classes,
        populations=torch.full_like(classes, count),
        largest=count,
        size=size,
    )
    return torch.stack([own.index_select(0, places) for own, places in zip(images, chosen, strict=True)])
