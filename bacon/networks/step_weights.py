"""What a training step takes its gradients by, where its optimiser reads gradients as they come (``bacon.training.sgd``).

In bf16, autocast rounds each convolution's weight by a kernel of its own and casts its gradient back by another. In a step all
weights are rounded at once, and gradients are taken by the rounded copies: the same numbers, in bfloat16. A bias that an
instance norm takes away again has no gradient in a step, where elsewhere it has one of zeros, which a kernel writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from bacon.runtime.pieces import in_pieces, is_dense, pieces_of

_ROUNDED = torch.bfloat16


class StepWeights:
    """The weights of one step, which are as they were when this was made. A step makes its own, so that no copy is ever stale.

    Args:
        weights: float32 weights that layers under autocast would round to bfloat16.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._weights = list(weights)  # kept: they are known by their identity
        copies = _rounded(self._weights)
        self._copies = {id(weight): copy for weight, copy in zip(self._weights, copies, strict=True)}
        self._read: set[int] = set()
        self._without_effect: set[int] = set()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The network of the step runs meanwhile."""
        global _current
        assert _current is None, "one step at a time"
        _current = self
        try:
            yield
        finally:
            _current = None

    def gradients(
        self, output: Tensor, parameters: Sequence[Tensor], by_output: Tensor | None = None
    ) -> list[Tensor | None]:
        """Gradients of an output of the network that ran :meth:`in_use`.

        Args:
            output: 0-d, or of any shape with ``by_output``.
            parameters: all that have a gradient, float32.
            by_output: the gradient of ``output``.

        Returns:
            For each parameter the gradient, of its shape: bfloat16 by a copy that was read, otherwise as the parameter;
            ``None`` for a bias without effect, whose gradient is zero.
        """
        wanted = [each for each in parameters if id(each) not in self._without_effect]
        by = [self._copies[id(each)] if id(each) in self._read else each for each in wanted]
        aside = [each for each in parameters if id(each) in self._read | self._without_effect]
        found = torch.autograd.grad(output, [*by, *aside], by_output, allow_unused=True)
        assert all(each is not None for each in found[: len(by)]), "the output depends on every parameter"
        assert all(each is None for each in found[len(by) :]), "nothing reads a weight beside its copy, or such a bias"
        gradients = dict(zip(map(id, wanted), found, strict=False))
        return [gradients.get(id(each)) for each in parameters]

    def copy_of(self, weight: Tensor) -> Tensor:
        """The copy of ``weight``, which is read instead; ``weight`` itself where there is none."""
        copy = self._copies.get(id(weight))
        if copy is None:
            return weight
        assert id(weight) not in self._read, "gradients of two layers with one weight would be added in bfloat16"
        self._read.add(id(weight))
        return copy

    def leave_out(self, bias: Tensor) -> None:
        """Note that the output does not depend on ``bias``."""
        self._without_effect.add(id(bias))


_current: StepWeights | None = None


def weight_in_step(weight: Tensor, device: torch.device) -> Tensor:
    """What a layer reads for its ``weight`` when it computes on ``device``: in a step in bf16 the rounded copy."""
    if _current is None:  # asked first: not every device has an autocast
        return weight
    rounds = torch.is_autocast_enabled(device.type) and torch.get_autocast_dtype(device.type) == _ROUNDED
    return _current.copy_of(weight) if rounds else weight


def left_out_of_step(bias: Tensor) -> bool:
    """Whether it is inside a step, which then knows that ``bias`` has no effect and that nobody asks for its gradient."""
    if _current is None:
        return False
    _current.leave_out(bias)
    return True


@torch.no_grad()
def _rounded(weights: list[Tensor]) -> list[Tensor]:
    """Leaves of a graph, in bfloat16 and laid out as the weights."""
    copies = [torch.empty_like(weight, dtype=_ROUNDED) for weight in weights]
    if weights:
        assert all(map(is_dense, weights)), "weights of convolutions have no gaps"
        size = pieces_of([weight.numel() for weight in weights])
        torch._foreach_copy_(in_pieces(copies, size), in_pieces(weights, size))
    return [copy.requires_grad_() for copy in copies]
