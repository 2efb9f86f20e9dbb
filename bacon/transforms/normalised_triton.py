# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""Gathering images of bytes and normalising them on a GPU: one kernel, which reads each byte once and writes each number once.

By PyTorch's operations the bytes of a batch are copied once, and its numbers are written three times and read twice. Product
and sum are rounded apart, as theirs are, so that the bits are the same.

It needs Triton, which comes with PyTorch's CUDA builds; ``bacon.transforms.normalised_gpu`` imports it where there is a GPU.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_PIXELS = 4096  # of a program, at most
_PIXELS_PER_THREAD = 16  # as many bytes, read at once
_MOST_WARPS = 8


@triton.jit
def _normalised(
    images, places, scale, shift, out, channels, size,
    GATHERED: tl.constexpr, PIXELS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    plane = tl.program_id(0)
    channel, image = plane % channels, plane // channels
    row = tl.load(places + image) if GATHERED else image.to(tl.int64)
    pixel = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    real = pixel < size
    factor, added = tl.load(scale + channel), tl.load(shift + channel)
    value = tl.load(images + (row * channels + channel) * size + pixel, mask=real, other=0)
    tl.store(out + plane.to(tl.int64) * size + pixel, value.to(factor.dtype) * factor + added, mask=real)


def normalised(images: Tensor, places: Tensor | None, scale: Tensor, shift: Tensor) -> Tensor:
    """``images[places] * scale + shift``.

    Args:
        images: (N, C, H, W) uint8, contiguous.
        places: (B,) int64 in [0, N); ``None``: all images in their order.
        scale: (C, 1, 1) float32 or float64.
        shift: like ``scale``.

    Returns:
        (B, C, H, W) in the dtype of ``scale``.
    """
    _, channels, height, width = images.shape
    count = len(images) if places is None else len(places)
    out = torch.empty(count, channels, height, width, dtype=scale.dtype, device=images.device)
    pixels = min(_PIXELS, triton.next_power_of_2(height * width))
    warps = min(_MOST_WARPS, max(1, pixels // (32 * _PIXELS_PER_THREAD)))
    _normalised[(count * channels, triton.cdiv(height * width, pixels))](
        images, images if places is None else places.contiguous(), scale, shift, out, channels, height * width,
        GATHERED=places is not None, PIXELS=pixels, num_warps=warps, enable_fp_fusion=False,
    )  # fmt: skip
    return out
