"""The ConvNet block in PyTorch's operations: what the compiled kernels must equal, and its second derivatives by formula."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.networks.kernels.pooling import AveragePool

_POOL = AveragePool()


def layers(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Instance norm, ReLU and 2x2 average pooling; works under ``torch.func`` and can be differentiated any number of times.

    Args:
        x: (N, C, H, W) float; bfloat16 maps are computed in the parameters' dtype.
        weight: (C,) float32 or float64.
        bias: (C,) in the same dtype.
        eps: added to the variance.

    Returns:
        (N, C, H // 2, W // 2) in the dtype of ``x``.
    """
    # Without the kernel the CPU still has the fast pooling.
    maps = x.to(weight.dtype) if x.dtype == torch.bfloat16 else x
    normalised = F.group_norm(maps, x.shape[1], weight, bias, eps)
    pooled: Tensor = _POOL(F.relu(normalised, inplace=True))
    return pooled.to(x.dtype)


class Saved(NamedTuple):
    """What the block's first derivative is a function of."""

    x: Tensor
    """(N, C, H, W) maps, H and W even."""
    gradient: Tensor
    """(N, C, H / 2, W / 2) of the pooled maps."""
    weight: Tensor
    """(C,)."""
    bias: Tensor
    """(C,)."""
    mean: Tensor
    """(N, C) of each map."""
    rstd: Tensor
    """(N, C): 1 / sqrt(variance + eps) of each map."""
    eps: float
    """Added to the variance."""


class Cotangents(NamedTuple):
    """Gradients of a scalar by the block's first derivatives; ``None``: it does not depend on that one."""

    dx: Tensor | None
    """(N, C, H, W)."""
    dweight: Tensor | None
    """(C,)."""
    dbias: Tensor | None
    """(C,)."""


def second_gradients(saved: Saved, given: Cotangents) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a scalar S of the block's first derivatives, by maps, weight and pooled gradient.

    With y = (x - mean) rstd, z = weight y + bias, and u the pooled gradient spread over its squares where z > 0, the first
    derivatives are dx = weight rstd P(u), dweight = sum u y, dbias = sum u, where P(u) = u - <u> - y <u y> and <.> is the mean
    over a map. P is symmetric, so S's gradient by u is weight rstd P(given dx) + y (given dweight) + (given dbias). The rest
    follows from dy/dx = rstd P and d rstd / dx = -rstd^2 y / pixels. The bias only decides where z > 0, so
    its gradient is zero almost everywhere.

    Args:
        saved: the values that the first derivatives were computed from.
        given: S's gradients by them, the maps' with ``None`` for zero.

    Returns:
        (N, C, H, W), (C,) and (N, C, H / 2, W / 2), in the dtypes of the maps, the weight and the pooled gradient. They can be
        differentiated again: with gradients enabled, mean and 1/sd are computed again as functions of the maps.
    """
    real = saved.weight.dtype
    apart, rstd = _centred(saved, real)  # y is apart times rstd
    weight, bias = (parameter[:, None, None] for parameter in (saved.weight, saved.bias))
    scale = weight * rstd
    passes = torch.addcmul(bias, apart, scale) > 0
    u = F.interpolate(saved.gradient.to(real), scale_factor=2.0) * passes * 0.25
    dx = torch.zeros_like(apart) if given.dx is None else given.dx.to(real)
    dweight, dbias = (0.0 if one is None else one.to(real)[:, None, None] for one in (given.dweight, given.dbias))
    u_mean, u_y = _mean(u), _mean(u * apart) * rstd
    dx_mean, dx_y = _mean(dx), _mean(dx * apart) * rstd
    inner = _mean(u * dx) - dx_mean * u_mean - dx_y * u_y  # <u P(dx)>
    # By u: scale P(dx) + dweight y + dbias.
    by_u = torch.addcmul(dbias - scale * dx_mean, dx, scale)
    by_u = torch.addcmul(by_u, apart, (dweight - scale * dx_y) * rstd)
    # By y: -scale (u dx_y + dx u_y) + dweight u. By x: rstd P of that, and what comes by rstd itself.
    of_u, of_dx = dweight - scale * dx_y, -scale * u_y
    mean, along = of_u * u_mean + of_dx * dx_mean, of_u * u_y + of_dx * dx_y + scale * inner
    maps = torch.addcmul(-rstd * mean, u, rstd * of_u)
    maps = torch.addcmul(torch.addcmul(maps, dx, rstd * of_dx), apart, -rstd.square() * along)
    by_weight = (rstd * inner).sum(dim=(0, 2, 3)) * (apart.shape[2] * apart.shape[3])
    pooled = F.avg_pool2d(by_u * passes, 2)
    return maps.to(saved.x.dtype), by_weight, pooled.to(saved.gradient.dtype)


def _centred(saved: Saved, real: torch.dtype) -> tuple[Tensor, Tensor]:
    """Maps minus their means (N, C, H, W), and 1/sd (N, C, 1, 1)."""
    x = saved.x.to(real)
    if torch.is_grad_enabled():
        apart = x - _mean(x)
        return apart, (_mean(apart.square()) + saved.eps).rsqrt()
    return x - saved.mean[..., None, None], saved.rstd[..., None, None]


def _mean(maps: Tensor) -> Tensor:
    return maps.mean(dim=(2, 3), keepdim=True)
