# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""The words of :mod:`bacon.runtime.draws` on a GPU: one kernel, with Triton's own Philox-4x32-10, instead of over a hundred.

It needs Triton, which comes with PyTorch's CUDA builds; ``bacon.runtime.draws_gpu`` imports it where there is a GPU.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.random import philox_impl

_COUNTERS = 256  # of a program
_WARPS = 4


@triton.jit(do_not_specialize=["key0", "key1", "blocks", "count", "total"])
def _words(lanes, iteration, out, key0, key1, blocks, count, total, COUNTERS: tl.constexpr):  # noqa: N803
    number = tl.program_id(0) * COUNTERS + tl.arange(0, COUNTERS)
    real = number < total
    row, block = number // blocks, number % blocks
    lane = tl.load(lanes + row, mask=real, other=0).to(tl.uint32)
    counter = block.to(tl.uint32)
    zero = counter ^ counter
    now = zero + tl.load(iteration).to(tl.uint32)
    first, second, third, fourth = philox_impl(
        counter, lane, now, zero, key0.to(tl.uint32, bitcast=True), key1.to(tl.uint32, bitcast=True)
    )
    place = 4 * block
    start = out + row.to(tl.int64) * count + place
    tl.store(start, first.to(tl.int64), mask=real & (place < count))
    tl.store(start + 1, second.to(tl.int64), mask=real & (place + 1 < count))
    tl.store(start + 2, third.to(tl.int64), mask=real & (place + 2 < count))
    tl.store(start + 3, fourth.to(tl.int64), mask=real & (place + 3 < count))


def words(key: tuple[int, int], *, count: int, lanes: Tensor, iteration: Tensor) -> Tensor:
    """(*lanes.shape, count) int64 in [0, 2^32).

    Args:
        key: two 32-bit words.
        count: words per lane.
        lanes: int64 on the device.
        iteration: 0-d int64 on the device.
    """
    out = torch.empty(*lanes.shape, count, dtype=torch.int64, device=lanes.device)
    blocks = (count + 3) // 4
    total = lanes.numel() * blocks
    if total:
        signed = [word - 2**32 if word >= 2**31 else word for word in key]
        _words[((total + _COUNTERS - 1) // _COUNTERS,)](
            lanes.contiguous(), iteration, out, *signed, blocks, count, total, COUNTERS=_COUNTERS, num_warps=_WARPS
        )
    return out
