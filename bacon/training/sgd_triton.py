# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""SGD's update of a network's parameters on a GPU by one kernel, which reads each gradient as it comes.

PyTorch's fused update wants gradients of the parameters' dtype, so that each one in bfloat16 is cast before, and a gradient of
zeros is filled. The arithmetic is that of PyTorch's kernel on a GPU: in float64, rounded to float32 where that keeps a number
(``FusedSgdKernel.cu``). Products are added without rounding in between where the compiler makes one instruction of both; it
is free to, there as here, and what differs by it is far below float32's rounding: it decides where a sum lies halfway between
two neighbours in float32, which is once in a thousand numbers with a momentum of .8.

It needs Triton, which comes with PyTorch's CUDA builds; ``bacon.training.sgd_gpu`` imports it where there is a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

_TENSORS = 16  # of a launch: each has code of its own, which has to be compiled
_NUMBERS, _WARPS = 1024, 8  # of a program: four numbers a thread


@triton.jit
def _moved(p, g, m, lr, DECAY: tl.constexpr, MOMENTUM: tl.constexpr, NESTEROV: tl.constexpr):  # noqa: N803
    """Parameters and momenta (float32) after the step; ``lr`` is float64."""
    if DECAY != 0:
        g = (g.to(tl.float64) + tl.full((), DECAY, tl.float64) * p.to(tl.float64)).to(tl.float32)
    factor = tl.full((), MOMENTUM, tl.float64)
    kept = factor * m.to(tl.float64) + g.to(tl.float64)
    step = (g.to(tl.float64) + factor * kept if NESTEROV else kept).to(tl.float32)
    return (p.to(tl.float64) - lr * step.to(tl.float64)).to(tl.float32), kept.to(tl.float32)


@triton.jit
def _one(
    block, parameter, gradient, momentum, lr,
    SIZE: tl.constexpr, DECAY: tl.constexpr, MOMENTUM: tl.constexpr, NESTEROV: tl.constexpr,  # noqa: N803
    NUMBERS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Block number ``block`` of a tensor, if it has that many."""
    if (block >= 0) & (block * NUMBERS < SIZE):
        at = block * NUMBERS + tl.arange(0, NUMBERS)
        inside = at < SIZE
        p = tl.load(parameter + at, mask=inside, other=0.0)
        m = tl.load(momentum + at, mask=inside, other=0.0)
        if gradient is None:
            g = tl.zeros((NUMBERS,), tl.float32)
        else:
            g = tl.load(gradient + at, mask=inside, other=0.0).to(tl.float32)
        p, m = _moved(p, g, m, lr, DECAY, MOMENTUM, NESTEROV)
        tl.store(parameter + at, p, mask=inside)
        tl.store(momentum + at, m, mask=inside)


@triton.jit
def _update(
    parameters, gradients, momenta, rate,
    SIZES: tl.constexpr, DECAY: tl.constexpr, MOMENTUM: tl.constexpr, NESTEROV: tl.constexpr,  # noqa: N803
    NUMBERS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """A program takes a block of one of the tensors, which are tuples; their blocks are counted one tensor after another."""
    block = tl.program_id(0)
    lr = tl.load(rate).to(tl.float64)
    for number in tl.static_range(len(SIZES)):
        given = parameters[number], gradients[number], momenta[number]
        _one(block, given[0], given[1], given[2], lr, SIZES[number], DECAY, MOMENTUM, NESTEROV, NUMBERS)
        block -= (SIZES[number] + NUMBERS - 1) // NUMBERS


def update(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    momenta: Sequence[Tensor],
    rate: Tensor,
    *,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
) -> None:
    """One step; parameters and momenta move in place.

    Args:
        parameters: float32, without gaps in memory.
        gradients: of any float dtype, laid out as their parameters; ``None`` is one of zeros.
        momenta: float32, laid out as their parameters.
        rate: 0-d float32, the learning rate.
        weight_decay: factor of the parameters that is added to their gradients.
        momentum: factor of the momenta.
        nesterov: Nesterov's momentum.
    """
    factors = {"DECAY": float(weight_decay), "MOMENTUM": float(momentum), "NESTEROV": nesterov}
    for first in range(0, len(parameters), _TENSORS):
        part = slice(first, first + _TENSORS)
        sizes = tuple(parameter.numel() for parameter in parameters[part])
        grid = (sum(triton.cdiv(size, _NUMBERS) for size in sizes),)
        given = (tuple(tensors[part]) for tensors in (parameters, gradients, momenta))
        _update[grid](*given, rate, SIZES=sizes, **factors, NUMBERS=_NUMBERS, num_warps=_WARPS)
