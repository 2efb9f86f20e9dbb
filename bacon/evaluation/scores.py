"""DD-Ranking's scores (Li et al., 2025; docs/algorithms.md, Scores) as plain functions of accuracies in [0, 1]. No torch."""

from __future__ import annotations

import math


def hard_label_recovery(real: float, synthetic: float) -> float:
    """HLR: how much accuracy is lost against the real training set, both trained on hard labels; lower is better.

    Args:
        real: accuracy of networks trained on the whole real training set, in [0, 1].
        synthetic: accuracy of networks trained on the distilled set, in [0, 1].
    """
    check_fractions(real, synthetic)
    return real - synthetic


def improvement_over_random(synthetic: float, random: float) -> float:
    """IOR: how much accuracy is gained over as many random real images; higher is better; accuracies in [0, 1]."""
    check_fractions(synthetic, random)
    return synthetic - random


def label_robust_score(hlr: float, ior: float, *, weight: float = 0.5) -> float:
    """LRS in [0, 1]: ``alpha = w IOR - (1 - w) HLR``, brought to [0, 1]; higher is better.

    Args:
        hlr: hard-label recovery, a difference of fractions in [-1, 1].
        ior: improvement over random, a difference of fractions in [-1, 1].
        weight: w, of IOR.
    """
    return _score(weight * ior - (1 - weight) * hlr)


def augmentation_robust_score(with_augmentation: float, without: float, *, weight: float = 0.5) -> float:
    """ARS in [0, 1]: ``beta = g IOR(with augmentation) + (1 - g) IOR(without)``, brought to [0, 1]; higher is better.

    Args:
        with_augmentation: improvement over random where both are trained with augmentation, in [-1, 1].
        without: the same without augmentation.
        weight: g, of the former.
    """
    return _score(weight * with_augmentation + (1 - weight) * without)


def _score(value: float) -> float:
    """``(e^value - e^-1) / (e - e^-1)``: 0 at -1, 1 at 1."""
    return (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))


def check_fractions(*accuracies: float) -> None:
    """Raise ``ValueError`` unless every accuracy is in [0, 1]."""
    for accuracy in accuracies:
        if not 0 <= accuracy <= 1:
            raise ValueError(f"accuracy {accuracy} is not a fraction in [0, 1]; give fractions, not percentages")
