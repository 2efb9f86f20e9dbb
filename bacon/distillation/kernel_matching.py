"""How well kernel ridge regression on a synthetic set predicts real images, and the gradient by the set.

KIP and FRePo learn a set by it. The whole is in float64: at the published ridge, a millionth of the kernel's mean diagonal,
rounding to float32 can leave the kernel without positive eigenvalues.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from bacon.distillation.real_images import RealImages
from bacon.networks.infinite_width import Kernel, predicted
from bacon.runtime.draws import Seed
from bacon.training.ridge_regression import dual_weights


class RegressionGradients(NamedTuple):
    """Of the mean loss over the real images.

    Attributes:
        loss: () float64, half the squared distance of prediction and target, summed over classes.
        accuracy: () float64 in [0, 1], of the predictions.
        support: (n, P) float64, by the representations of the set.
        labels: (n, K) float64, by its labels.
    """

    loss: Tensor
    accuracy: Tensor
    support: Tensor
    labels: Tensor


def regression_gradients(
    kernel: Kernel, support: Tensor, labels: Tensor, real: Iterable[tuple[Tensor, Tensor]], *, ridge: float
) -> RegressionGradients:
    """Loss, accuracy and gradients of ``k(real, set) (k(set, set) + ridge tr / n I)^-1 labels``.

    The dual weights are solved for once; real images come in pieces, whose graphs are freed one by one, and their gradient by
    the dual weights goes back through the solution at the end.

    Args:
        kernel: of representations.
        support: (n, P) float64, representations of the set.
        labels: (n, K) float64.
        real: pieces (B, P) float64 of representations of real images, with targets (B, K) float64.
        ridge: relative to the mean of the diagonal.
    """
    places, targets = support.detach().requires_grad_(), labels.detach().requires_grad_()
    weights = dual_weights(kernel(places, places), targets, ridge)
    held = weights.detach().requires_grad_()
    by_places, by_weights = torch.zeros_like(support), torch.zeros_like(held)
    loss, correct = (torch.zeros((), device=support.device, dtype=torch.float64) for _ in range(2))
    count = 0
    for images, wanted in real:
        found_labels = predicted(kernel, images, places, held)
        value = (found_labels - wanted).square().sum() / 2
        found = torch.autograd.grad(value, (places, held))
        by_places, by_weights = by_places + found[0], by_weights + found[1]
        loss, count = loss + value.detach(), count + len(images)
        correct = correct + (found_labels.detach().argmax(dim=1) == wanted.argmax(dim=1)).sum()
    through, by_labels = torch.autograd.grad(weights, (places, targets), by_weights)
    return RegressionGradients(loss / count, correct / count, (by_places + through) / count, by_labels / count)


def balanced_places(real: RealImages, seed: Seed, purpose: str, *, iteration: int | Tensor, size: int) -> Tensor:
    """Places (B,) int64 of about ``size`` real images, as many of each class, at most all of it; a draw of the iteration.

    The iteration may be 0-d int64 on the device, where the draw is recorded.
    """
    each = max(1, size // real.classes)
    by_size: dict[int, list[int]] = {}
    for label, count in enumerate(real.counts):
        by_size.setdefault(min(each, count), []).append(label)
    return torch.cat(
        [
            real.sample_classes(seed, purpose, iteration=iteration, classes=classes, size=count).flatten()
            for count, classes in by_size.items()
        ]
    )
