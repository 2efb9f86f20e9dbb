# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""The ConvNet block on a GPU: instance norm, ReLU and 2x2 average pooling as one Triton kernel each way.

A program holds a few maps (one channel of one image each) in registers: memory is read once, and only the pooled quarter
is written. Every map is summed by one program in a fixed order, so results repeat bit for bit. Any layout of the maps is
read where it lies, so that the convolutions may work on channels-last maps. Arithmetic is float32 for float32 and
bfloat16 maps, float64 for float64.

Kernels take pointers, sizes and strides one by one, since Triton knows no structures: hence their long argument lists.

It needs Triton, which comes with PyTorch's CUDA builds; ``bacon.networks.kernels.block`` imports it where there is a GPU.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_ELEMENTS = 4096  # of maps that a program holds
# Channels-last maps: neighbouring channels that a program takes together, to read whole sectors of memory, and more numbers.
_NEIGHBOURS = 32
_ELEMENTS_CHANNELS_LAST = 32768
_NUMBERS_PER_WARP = 1024


@triton.jit
def _taps(
    x,
    map_,
    pixel,
    inside,
    channels,
    half_width,
    stride_n,
    stride_c,
    stride_h,
    stride_w,
    REAL: tl.constexpr,  # noqa: N803
):
    """The four pixels of each 2x2 square, (maps, squares) each, zero outside."""
    start = (map_ // channels).to(tl.int64) * stride_n + (map_ % channels) * stride_c
    place = x + start[:, None] + ((pixel // half_width) * 2 * stride_h + (pixel % half_width) * 2 * stride_w)[None, :]
    a = tl.load(place, mask=inside, other=0.0).to(REAL)
    b = tl.load(place + stride_w, mask=inside, other=0.0).to(REAL)
    c = tl.load(place + stride_h, mask=inside, other=0.0).to(REAL)
    d = tl.load(place + stride_h + stride_w, mask=inside, other=0.0).to(REAL)
    return a, b, c, d


@triton.jit
def _forward(
    x,
    weight,
    bias,
    pooled,
    mean,
    rstd,
    maps,
    channels,
    squares,
    half_width,
    stride_n,
    stride_c,
    stride_h,
    stride_w,
    out_n,
    out_c,
    out_h,
    out_w,
    eps,
    MAPS: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    map_ = tl.program_id(0) * MAPS + tl.arange(0, MAPS)
    pixel = tl.arange(0, SQUARES)
    real_map = map_ < maps
    inside = real_map[:, None] & (pixel < squares)[None, :]
    a, b, c, d = _taps(x, map_, pixel, inside, channels, half_width, stride_n, stride_c, stride_h, stride_w, REAL)
    size = squares * 4
    centre = tl.sum(a + b + c + d, axis=1) / size
    a = tl.where(inside, a - centre[:, None], 0.0)
    b = tl.where(inside, b - centre[:, None], 0.0)
    c = tl.where(inside, c - centre[:, None], 0.0)
    d = tl.where(inside, d - centre[:, None], 0.0)
    r = 1.0 / tl.sqrt(tl.sum(a * a + b * b + c * c + d * d, axis=1) / size + eps)
    channel = map_ % channels
    scale = (tl.load(weight + channel, mask=real_map, other=0.0).to(REAL) * r)[:, None]
    shift = tl.load(bias + channel, mask=real_map, other=0.0).to(REAL)[:, None]
    # max(0, y), but NaN stays NaN.
    a = a * scale + shift
    b = b * scale + shift
    c = c * scale + shift
    d = d * scale + shift
    total = tl.where(a < 0, 0.0, a) + tl.where(b < 0, 0.0, b) + tl.where(c < 0, 0.0, c) + tl.where(d < 0, 0.0, d)
    start = (map_ // channels).to(tl.int64) * out_n + channel * out_c
    place = start[:, None] + ((pixel // half_width) * out_h + (pixel % half_width) * out_w)[None, :]
    tl.store(pooled + place, (total * 0.25).to(pooled.dtype.element_ty), mask=inside)
    tl.store(mean + map_, centre, mask=real_map)
    tl.store(rstd + map_, r, mask=real_map)


@triton.jit
def _backward(
    x,
    given,
    weight,
    bias,
    mean,
    rstd,
    dx,
    dweight,
    dbias,
    maps,
    channels,
    squares,
    half_width,
    stride_n,
    stride_c,
    stride_h,
    stride_w,
    out_n,
    out_c,
    out_h,
    out_w,
    MAPS: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    map_ = tl.program_id(0) * MAPS + tl.arange(0, MAPS)
    pixel = tl.arange(0, SQUARES)
    real_map = map_ < maps
    inside = real_map[:, None] & (pixel < squares)[None, :]
    a, b, c, d = _taps(x, map_, pixel, inside, channels, half_width, stride_n, stride_c, stride_h, stride_w, REAL)
    channel = map_ % channels
    centre = tl.load(mean + map_, mask=real_map, other=0.0)[:, None]
    r = tl.load(rstd + map_, mask=real_map, other=0.0)[:, None]
    w = tl.load(weight + channel, mask=real_map, other=0.0).to(REAL)[:, None]
    shift = tl.load(bias + channel, mask=real_map, other=0.0).to(REAL)[:, None]
    a, b, c, d = (a - centre) * r, (b - centre) * r, (c - centre) * r, (d - centre) * r
    start = (map_ // channels).to(tl.int64) * out_n + channel * out_c
    place = start[:, None] + ((pixel // half_width) * out_h + (pixel % half_width) * out_w)[None, :]
    g = tl.load(given + place, mask=inside, other=0.0).to(REAL) * 0.25
    ga = tl.where(a * w + shift <= 0, 0.0, g)
    gb = tl.where(b * w + shift <= 0, 0.0, g)
    gc = tl.where(c * w + shift <= 0, 0.0, g)
    gd = tl.where(d * w + shift <= 0, 0.0, g)
    total = tl.sum(ga + gb + gc + gd, axis=1)
    along = tl.sum(ga * a + gb * b + gc * c + gd * d, axis=1)
    tl.store(dbias + map_, total, mask=real_map)
    tl.store(dweight + map_, along, mask=real_map)
    offset, slope = (total / (squares * 4))[:, None], (along / (squares * 4))[:, None]
    start = (map_ // channels).to(tl.int64) * stride_n + channel * stride_c
    out = dx + start[:, None] + ((pixel // half_width) * 2 * stride_h + (pixel % half_width) * 2 * stride_w)[None, :]
    tl.store(out, (w * r * (ga - offset - a * slope)).to(dx.dtype.element_ty), mask=inside)
    tl.store(out + stride_w, (w * r * (gb - offset - b * slope)).to(dx.dtype.element_ty), mask=inside)
    tl.store(out + stride_h, (w * r * (gc - offset - c * slope)).to(dx.dtype.element_ty), mask=inside)
    tl.store(out + stride_h + stride_w, (w * r * (gd - offset - d * slope)).to(dx.dtype.element_ty), mask=inside)


def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled maps in the dtype and the layout of ``x``, and mean and 1/sd of each map.

    Args:
        x: (N, C, H, W) float32, float64 or bfloat16, H and W even; contiguous or channels-last.
        weight: (C,) float32 or float64.
        bias: as ``weight``.
        eps: added to the variance.

    Returns:
        (N, C, H / 2, W / 2), (N, C) and (N, C).
    """
    count, channels, height, width = x.shape
    layout = torch.channels_last if _channels_last(x) else torch.contiguous_format
    pooled = torch.empty(
        (count, channels, height // 2, width // 2), dtype=x.dtype, device=x.device, memory_format=layout
    )
    mean, rstd = (torch.empty(count, channels, dtype=weight.dtype, device=x.device) for _ in range(2))
    grid, sizes, blocks = _launch(x, pooled)
    _forward[grid](x, weight, bias, pooled, mean, rstd, *sizes, *x.stride(), *pooled.stride(), eps, **blocks)
    return pooled, mean, rstd


def backward(
    x: Tensor, gradient: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the maps (as ``x``), and of weight and bias per map (N, C), from that of the pooled maps."""
    dx, dweight, dbias = torch.empty_like(x), torch.empty_like(mean), torch.empty_like(mean)
    grid, sizes, blocks = _launch(x, gradient)
    arrays = (x, gradient, weight, bias, mean, rstd, dx, dweight, dbias)
    _backward[grid](*arrays, *sizes, *x.stride(), *gradient.stride(), **blocks)
    return dx, dweight, dbias


def _channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _launch(x: Tensor, pooled: Tensor) -> tuple[tuple[int], tuple[int, int, int, int], dict[str, Any]]:
    """Grid; numbers of maps, channels, squares and squares a row; compile-time sizes."""
    count, channels, height, width = x.shape
    squares = (height // 2) * (width // 2)
    block = triton.next_power_of_2(squares)
    most = _ELEMENTS_CHANNELS_LAST if _channels_last(x) else _ELEMENTS
    together = min(_NEIGHBOURS, max(1, most // (4 * block)))
    warps = min(16, max(1, 4 * together * block // _NUMBERS_PER_WARP))
    real = tl.float64 if pooled.dtype == torch.float64 else tl.float32
    blocks = {"MAPS": together, "SQUARES": block, "REAL": real, "num_warps": warps}
    grid = (triton.cdiv(count * channels, together),)
    return grid, (count * channels, channels, squares, width // 2), blocks
