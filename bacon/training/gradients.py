"""What is done to gradients before a step: sharpness-aware perturbation and clipping. Nothing waits for the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from bacon.settings.recipe import Sharpness

Gradients = tuple[Tensor, ...]

_SMALLEST = 1e-12  # of a norm that is divided by


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of all entries of all tensors together (0-d)."""
    each: tuple[Tensor, ...] = torch._foreach_norm(list(tensors))
    whole: Tensor = torch.linalg.vector_norm(torch.stack(each))
    return whole


def clipped(gradients: Gradients, largest: float) -> Gradients:
    """Gradients scaled down to the norm ``largest`` where theirs is greater, as ``torch.nn.utils.clip_grad_norm_``."""
    factor = (largest / (norm(gradients) + 1e-6)).clamp(max=1.0)
    return tuple(gradient * factor for gradient in gradients)


def sharpness_aware(
    sharpness: Sharpness,
    parameters: Sequence[Tensor],
    first: Gradients,
    again: Callable[[], Gradients],
) -> Gradients:
    """The gradient of a sharpness-aware step (SAM, ASAM, GSAM; see ``bacon.settings.recipe.Sharpness``).

    Args:
        sharpness: radius and variant.
        parameters: moved to the perturbed weights and exactly back.
        first: gradients at the weights.
        again: gradients of the same batch at the weights as they are when it is called.
    """
    before = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, step in zip(parameters, _perturbation(sharpness, before, first), strict=True):
            parameter.add_(step)
    perturbed = again()
    with torch.no_grad():
        torch._foreach_copy_(list(parameters), before)
    if not sharpness.gap:
        return perturbed
    product = torch.stack([(one * other).sum() for one, other in zip(first, perturbed, strict=True)]).sum()
    along = product / norm(perturbed).square().clamp(min=_SMALLEST)
    return tuple(other - sharpness.gap * (one - along * other) for one, other in zip(first, perturbed, strict=True))


def _perturbation(sharpness: Sharpness, weights: Sequence[Tensor], gradients: Gradients) -> list[Tensor]:
    """Rho g / |g|; adaptive: rho w^2 g / | |w| g |."""
    if not sharpness.adaptive:
        factor = sharpness.rho / norm(gradients).clamp(min=_SMALLEST)
        return [gradient * factor for gradient in gradients]
    scaled = [weight.abs() * gradient for weight, gradient in zip(weights, gradients, strict=True)]
    factor = sharpness.rho / norm(scaled).clamp(min=_SMALLEST)
    return [weight.abs() * each * factor for weight, each in zip(weights, scaled, strict=True)]
