# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""Cross-entropy of classes on a GPU with its gradient and the meters of a training step: one kernel or two, not some fifteen.

It needs Triton, which comes with PyTorch's CUDA builds; ``bacon.training.cross_entropy_gpu`` imports it where there is a GPU.
Sums have an order, so that two runs give the same bits.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_ENTRIES = 2048  # of the logits, in a program of several
_ENTRIES_ALONE = 8192  # up to so many, one program does everything
_SUMMED = 1024
_WARPS = 4
_WARPS_ALONE = 8


@triton.jit
def _added(totals, loss_sum, correct, count):
    """Mean loss as a float32, as PyTorch gives it, times the number of images; and the correct ones."""
    loss = (loss_sum / count).to(tl.float32).to(tl.float64)
    tl.store(totals, tl.load(totals) + loss * count)
    tl.store(totals + 1, tl.load(totals + 1) + correct.to(tl.float64))


@triton.jit(do_not_specialize=["count", "classes"])
def _rows(
    logits, labels, gradient, correct, losses, totals, count, classes,
    ROWS: tl.constexpr, CLASSES: tl.constexpr, ALONE: tl.constexpr, COUNTED: tl.constexpr,  # noqa: N803
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, CLASSES)[None, :]
    real = row < count
    inside = real[:, None] & (column < classes)
    place = row.to(tl.int64)[:, None] * classes + column
    x = tl.load(logits + place, mask=inside, other=-float("inf"))
    label = tl.load(labels + row, mask=real, other=0)
    is_nan = x != x
    largest = tl.max(tl.where(is_nan, -float("inf"), x), axis=1)
    has_nan = tl.max(is_nan.to(tl.int32), axis=1)
    # As torch.argmax: the first of the largest, and NaN is larger than any number.
    leads = tl.where(has_nan[:, None] > 0, is_nan, (x == largest[:, None]) & inside)
    first = tl.min(tl.where(leads, column, CLASSES), axis=1)
    right = (first == label) & real
    exponential = tl.where(inside, tl.exp(x - largest[:, None]), 0.0)
    total = tl.sum(exponential, axis=1)
    own = column == label[:, None]
    # NaN and infinities come through: `own` only selects.
    loss = tl.log(total) - (tl.sum(tl.where(own, x, 0.0), axis=1) - largest)
    share = (exponential / total[:, None] - tl.where(own, 1.0, 0.0)) / count
    tl.store(gradient + place, share, mask=inside)
    tl.store(correct + row, right.to(tl.uint8), mask=real)
    if COUNTED:
        if ALONE:
            _added(
                totals,
                tl.sum(tl.where(real, loss, 0.0).to(tl.float64), axis=0),
                tl.sum(right.to(tl.int32), axis=0),
                count.to(tl.float64),
            )
        else:
            tl.store(losses + row, loss, mask=real)


@triton.jit(do_not_specialize=["count"])
def _summed(losses, correct, totals, count, PLACES: tl.constexpr):  # noqa: N803
    place = tl.arange(0, PLACES)
    loss, right = tl.zeros((PLACES,), tl.float64), tl.zeros((PLACES,), tl.int32)
    for start in range(0, count, PLACES):
        real = start + place < count
        loss += tl.load(losses + start + place, mask=real, other=0.0).to(tl.float64)
        right += tl.load(correct + start + place, mask=real, other=0).to(tl.int32)
    _added(totals, tl.sum(loss, axis=0), tl.sum(right, axis=0), count.to(tl.float64))


def gradient_and_correct(logits: Tensor, labels: Tensor, totals: Tensor | None) -> tuple[Tensor, Tensor]:
    """The gradient of the mean cross-entropy with respect to its logits, and which rows are right.

    Args:
        logits: (N, K) float32.
        labels: (N,) int64 in [0, K).
        totals: (2,) float64, to which N times the mean loss and the number of right rows are added; ``None``: neither.

    Returns:
        (N, K) float32, and (N,) bool: whether the first of a row's largest logits is its label's.
    """
    logits, labels = logits.contiguous(), labels.contiguous()
    count, classes = logits.shape
    gradient = torch.empty_like(logits)
    correct = torch.empty(count, dtype=torch.bool, device=logits.device)
    columns, rows = triton.next_power_of_2(classes), triton.next_power_of_2(count)
    alone = rows * columns <= _ENTRIES_ALONE
    rows = rows if alone else max(1, _ENTRIES // columns)
    losses = gradient if alone or totals is None else torch.empty(count, device=logits.device)
    counted = gradient if totals is None else totals
    flags = correct.view(torch.uint8)
    _rows[((count + rows - 1) // rows,)](
        logits, labels, gradient, flags, losses, counted, count, classes,
        ROWS=rows, CLASSES=columns, ALONE=alone, COUNTED=totals is not None, num_warps=_WARPS_ALONE if alone else _WARPS,
    )  # fmt: skip
    if totals is not None and not alone:
        _summed[(1,)](losses, flags, totals, count, PLACES=_SUMMED, num_warps=_WARPS_ALONE)
    return gradient, correct
