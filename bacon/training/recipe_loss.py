"""The loss of a recipe as a function of logits, classes and soft labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from bacon.settings.recipe import LossTermSettings, TrainingRecipe
    from bacon.training.image_set import SoftKind

Loss = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
"""Logits (B, K), labels (B,) int64, shares of classes (B, K) or None, soft labels (B, K) or None -> 0-d mean over the batch."""

_SMALLEST = 1e-12  # of a probability whose logarithm is taken


def hard_cross_entropy(
    logits: Tensor, labels: Tensor, mixed: Tensor | None = None, _soft: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy in nats with the class of each image, or with its shares of classes where it is mixed."""
    return F.cross_entropy(logits, labels if mixed is None else mixed)


def loss_of(recipe: TrainingRecipe, soft_kind: SoftKind) -> Loss:
    """The weighted sum of the recipe's terms.

    Args:
        recipe: its terms and its label smoothing.
        soft_kind: what soft labels are, probabilities or logits.
    """
    terms = [_weighted(term, recipe.label_smoothing, soft_kind) for term in recipe.loss]
    return terms[0] if len(terms) == 1 else _sum(terms)


def _sum(terms: Sequence[Loss]) -> Loss:
    def loss(logits: Tensor, labels: Tensor, mixed: Tensor | None, soft: Tensor | None) -> Tensor:
        return torch.stack([term(logits, labels, mixed, soft) for term in terms]).sum()

    return loss


def _weighted(settings: LossTermSettings, smoothing: float, soft_kind: SoftKind) -> Loss:
    term = _term(settings, smoothing, soft_kind)
    if settings.weight == 1:
        return term
    return lambda logits, labels, mixed, soft: term(logits, labels, mixed, soft) * settings.weight


def _term(settings: LossTermSettings, smoothing: float, soft_kind: SoftKind) -> Loss:
    if settings.kind == "ce":
        return _hard(smoothing)
    if settings.kind == "soft_ce":
        return _soft_cross_entropy(soft_kind)
    if settings.kind == "kl":
        return _divergence(settings.temperature, soft_kind, scaled=settings.scaled)
    return _squared(settings.over_classes)


def _hard(smoothing: float) -> Loss:
    if not smoothing:
        return hard_cross_entropy

    def loss(logits: Tensor, labels: Tensor, mixed: Tensor | None, _soft: Tensor | None) -> Tensor:
        return F.cross_entropy(logits, labels if mixed is None else mixed, label_smoothing=smoothing)

    return loss


def probabilities(soft: Tensor, kind: SoftKind, temperature: float = 1.0) -> Tensor:
    """Soft labels (B, K) as probabilities at a temperature: softmax(logits / T), or p^(1 / T) normalised."""
    if kind == "logits":
        return torch.softmax(soft / temperature, dim=1)
    return soft if temperature == 1 else torch.softmax(soft.clamp(min=_SMALLEST).log() / temperature, dim=1)


def _soft_cross_entropy(kind: SoftKind) -> Loss:
    def loss(logits: Tensor, labels: Tensor, mixed: Tensor | None, soft: Tensor | None) -> Tensor:
        if soft is None:
            return hard_cross_entropy(logits, labels, mixed)
        return F.cross_entropy(logits, probabilities(soft, kind))

    return loss


def _divergence(temperature: float, kind: SoftKind, *, scaled: bool) -> Loss:
    factor = temperature**2 if scaled else 1.0

    def loss(logits: Tensor, labels: Tensor, mixed: Tensor | None, soft: Tensor | None) -> Tensor:
        if soft is not None:
            target = probabilities(soft, kind, temperature)
        else:
            target = mixed if mixed is not None else _one_hot(labels, logits)
        # Not F.kl_div with "mean", which divides by the number of entries.
        return factor * F.kl_div(F.log_softmax(logits / temperature, dim=1), target, reduction="batchmean")

    return loss


def _squared(over_classes: str) -> Loss:
    def loss(logits: Tensor, labels: Tensor, mixed: Tensor | None, soft: Tensor | None) -> Tensor:
        if soft is None:
            soft = (mixed if mixed is not None else _one_hot(labels, logits)) - 1 / logits.shape[1]
        squared = (logits - soft).square()
        return squared.mean() if over_classes == "mean" else squared.sum(dim=1).mean()

    return loss


def _one_hot(labels: Tensor, logits: Tensor) -> Tensor:
    return F.one_hot(labels, logits.shape[1]).to(logits.dtype)
