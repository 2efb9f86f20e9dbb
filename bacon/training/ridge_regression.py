"""Ridge regression, with a kernel or on features: what a set predicts without a classifier being trained on it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SMALLEST = torch.finfo(torch.float64).eps


def centred_one_hot(labels: Tensor, classes: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Regression targets (N, classes) of labels (N,) int64: 1 - 1/classes at the class, -1/classes elsewhere."""
    # Not F.one_hot, which reads classes back where they are on a CPU.
    one_hot = labels[:, None] == torch.arange(classes, device=labels.device)
    return one_hot.to(dtype) - 1 / classes


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


def linear_classifier(features: Tensor, labels: Tensor, ridge: float) -> Tensor:
    """Ridge regression of labels on features: W = F^T (F F^T + ridge I)^-1 Y, F being the features and a column of ones.

    What is solved is as large as the number of images; in float64, so that large features leave the matrix positive.

    Args:
        features: (n, D) float.
        labels: (n, C) float.
        ridge: above 0, as it is.

    Returns:
        (D + 1, C) in the dtype of the features, differentiable; the bias comes last.
    """
    extended = F.pad(features, (0, 1), value=1.0).double()
    factor = torch.linalg.cholesky_ex(extended @ extended.T + ridge * torch.eye(len(extended), device=features.device))[
        0
    ]
    return (extended.T @ torch.cholesky_solve(labels.double(), factor)).to(features.dtype)
