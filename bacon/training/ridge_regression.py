"""Kernel ridge regression: what a set predicts without a network being trained on it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SMALLEST = torch.finfo(torch.float64).eps


def centred_one_hot(labels: Tensor, classes: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Regression targets (N, classes) of labels (N,) int64: 1 - 1/classes at the class, -1/classes elsewhere."""
    return F.one_hot(labels, classes).to(dtype) - 1 / classes


def with_ridge(kernel: Tensor, ridge: float) -> Tensor:
    """A set's kernel with itself (n, n) plus ``ridge`` times its mean diagonal; differentiable."""
    added = (ridge * kernel.diagonal().mean()).clamp_min(_SMALLEST)
    return kernel + added * torch.eye(len(kernel), device=kernel.device, dtype=kernel.dtype)


def dual_weights(kernel: Tensor, labels: Tensor, ridge: float) -> Tensor:
    """Weights W = (K + ridge tr(K) / n I)^-1 Y, with which images x are predicted as k(x, set) W.

    Args:
        kernel: (n, n) float64, symmetric and positive semi-definite: the set's kernel with itself.
        labels: (n, C) float64.
        ridge: relative to the mean of the diagonal.

    Returns:
        (n, C) float64, differentiable; not a number where the kernel is not positive. The host does not wait to know.
    """
    factor, failed = torch.linalg.cholesky_ex(with_ridge(kernel, ridge))
    return torch.cholesky_solve(labels, factor.masked_fill(failed != 0, torch.nan))
