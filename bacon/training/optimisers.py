"""The optimiser that a recipe names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from bacon.training.adam import Adam
from bacon.training.sgd import Sgd

if TYPE_CHECKING:
    from bacon.settings.recipe import AdamSettings, OptimiserSettings


class Optimiser(Protocol):
    """What the training loop asks of an optimiser."""

    parameters: list[Tensor]
    lr: float

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move the parameters by one step along ``gradients``."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what :meth:`state_dict` gave; it is copied."""


def make_optimiser(settings: OptimiserSettings, parameters: Iterable[Tensor], lr: float) -> Optimiser:
    """A new optimiser of ``parameters``, which begins with the learning rate ``lr``."""
    if settings.kind == "sgd":
        return Sgd(
            parameters,
            lr=lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov,
        )
    return make_adam(settings, parameters, lr)


def make_adam(settings: AdamSettings, parameters: Iterable[Tensor], lr: float) -> Adam:
    """A new Adam or AdamW of ``parameters``, which begins with the learning rate ``lr``."""
    return Adam(
        parameters,
        lr=lr,
        betas=settings.betas,
        epsilon=settings.epsilon,
        weight_decay=settings.weight_decay,
        decoupled=settings.kind == "adamw",
    )
