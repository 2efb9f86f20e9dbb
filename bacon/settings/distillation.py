"""Settings of a distillation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Union

from pydantic import Discriminator, Field, field_validator

from bacon.methods.base import Objective
from bacon.methods.registry import OBJECTIVES
from bacon.settings.base import Strict
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY, check_dsa_strategy
from bacon.settings.pools import NetworkSource

if TYPE_CHECKING:
    ObjectiveSettings = Objective
else:  # a union made from the registry, so that a new objective is one line there
    ObjectiveSettings = Annotated[Union[OBJECTIVES], Discriminator("kind")]  # noqa: UP007


class SelectionSettings(Strict):
    """Settings of methods that choose real images."""

    partition: int = Field(
        1,
        ge=1,
        le=8,
        description="Store partition^2 down-scaled real images in each image (1: off; the published baseline).",
    )


class MatchingSettings(Strict):
    """Settings of the distillation engine (docs/algorithms.md)."""

    iterations: int = Field(20000, ge=0, description="Distillation iterations.")
    snapshot_interval: int = Field(
        2000, ge=0, description="Keep the images every so many iterations, and at 0 and the end (0: the end alone)."
    )
    objective: ObjectiveSettings = Field(description="The matching loss.")
    networks: NetworkSource = Field(description="Where the embedding networks come from.")
    partition: int = Field(
        1,
        ge=1,
        le=8,
        description="A stored image holds partition^2 down-scaled images (docs/algorithms.md, Partition).",
    )
    init: Literal["real", "noise"] = Field("real", description="Initial synthetic images: real images or N(0, 1).")
    batch_real: int = Field(256, ge=2, description="Real images per class and iteration (at most all of them).")
    update: Literal["joint", "per_class"] = Field(
        "per_class",
        description="One momentum step per iteration (DM), or the published per-class loop as one exact step (IDM, BACON).",
    )
    lr_img: float = Field(0.2, gt=0, description="Learning rate of the synthetic images.")
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of the synthetic images.")
    dsa_strategy: str = Field(PAPER_DSA_STRATEGY, description="DSA operations joined by _, or none.")

    _check_dsa = field_validator("dsa_strategy")(check_dsa_strategy)

    def snapshot_iterations(self) -> tuple[int, ...]:
        """Iterations whose images are kept, ascending, the last one always included."""
        if self.snapshot_interval == 0:
            return (self.iterations,)
        return tuple(sorted({*range(0, self.iterations + 1, self.snapshot_interval), self.iterations}))
