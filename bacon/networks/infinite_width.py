"""Kernels of infinitely wide fully connected ReLU networks, in closed form.

In the limit of infinite width a random network is a Gaussian process, whose covariance is the NNGP kernel Sigma, and training
it by gradient descent is regression with the neural tangent kernel Theta (Jacot et al., 2018; Lee et al., 2019). For ReLU both
are made of arc-cosine kernels (Cho and Saul, 2009): a few matrix operations a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Kernel = Callable[[Tensor, Tensor], Tensor]
"""(N, P) and (M, P) float64 -> (N, M) float64: the kernel of each with each."""

_WEIGHT_VARIANCE = 2.0  # He's: the variance of the maps is the same in every layer
_LARGEST_COSINE = 1 - 1e-12
_TINY = torch.finfo(torch.float64).tiny


def linear_kernel(one: Tensor, other: Tensor) -> Tensor:
    """Inner products (N, M) of rows (N, P) and (M, P): the kernel of a network of finite width, of its features."""
    return one @ other.T


def predicted(kernel: Kernel, one: Tensor, other: Tensor, weights: Tensor) -> Tensor:
    """``kernel(one, other) @ weights``, (N, K) of weights (M, K).

    Of the inner product it is a linear function of the features (N, P), (P, K) of which are far fewer products than the kernel.
    """
    if kernel is linear_kernel:
        return one @ (other.T @ weights)
    return kernel(one, other) @ weights


def dense_kernel(kind: Literal["ntk", "nngp"], *, depth: int, bias_std: float) -> Kernel:
    """The kernel of ``depth`` hidden ReLU layers and a linear one, in NTK parameterisation.

    With Sigma = 2 <x, x'> / P + b^2 and Theta = Sigma in the beginning, every ReLU and linear layer makes, with
    c = Sigma(x, x') / sqrt(Sigma(x, x) Sigma(x', x')) and a = arccos c,

        Sigma <- 2 k1 + b^2,   Theta <- Sigma + 2 k0 Theta,
        k1 = sqrt(Sigma(x, x) Sigma(x', x')) (sin a + (pi - a) c) / (2 pi),   k0 = (pi - a) / (2 pi) .

    Args:
        kind: ``ntk``: Theta; ``nngp``: Sigma.
        depth: hidden layers, 1 or more.
        bias_std: standard deviation b of the biases, 0 or more.

    Returns:
        A function of rows of flattened images. c is cut at 1 - 1e-12, so that a row's kernel with itself, and with one
        equal to it, has a finite gradient: that by its length, the gradient by c being 0 there.
    """

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        variance = bias_std**2
        sigma = _WEIGHT_VARIANCE / one.shape[1] * (one @ other.T) + variance
        own, others = (_WEIGHT_VARIANCE * rows.square().mean(dim=1) + variance for rows in (one, other))
        theta = sigma
        for _ in range(depth):
            lengths = (own.clamp_min(_TINY).sqrt()[:, None] * others.clamp_min(_TINY).sqrt()).clamp_min(_TINY)
            cosine = (sigma / lengths).clamp(-_LARGEST_COSINE, _LARGEST_COSINE)
            angle = math.pi - cosine.arccos()
            sigma = _WEIGHT_VARIANCE * lengths * ((1 - cosine.square()).sqrt() + angle * cosine) / (2 * math.pi)
            sigma = sigma + variance
            theta = sigma + _WEIGHT_VARIANCE * angle / (2 * math.pi) * theta
            own, others = own + variance, others + variance  # k1 of a row with itself is half its variance
        return theta if kind == "ntk" else sigma

    return kernel
