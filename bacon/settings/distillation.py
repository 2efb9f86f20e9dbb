"""Settings of a distillation: what every method's section shares, and those of embedding matching.

A method has a model of its own, in its record (``bacon/methods/NAME/record.py``), derived from one of these.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from bacon.settings.base import Strict
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY, check_dsa_strategy
from bacon.settings.network import NetworkSettings


class DistillationSettings(Strict):
    """What the workflow asks of any method's ``distillation`` section; a method without iterations keeps these answers."""

    def iteration_count(self) -> int:
        """Iterations of the whole distillation; 0 where real images are selected."""
        return 0

    def snapshot_iterations(self) -> tuple[int, ...]:
        """Iterations whose synthetic set is kept, ascending, the last one included; none where nothing iterates."""
        return ()

    def parts(self) -> int:
        """Training images that a stored image decodes to."""
        return 1

    def own_network(self) -> NetworkSettings | None:
        """The network that the method distils with in place of the cell's; tables say so. ``None``: the cell's."""
        return None

    def real_images_needed(self, ipc: int) -> int:
        """Different real images of each class that the synthetic set starts from, or consists of."""
        return ipc * self.parts()


class SelectionSettings(DistillationSettings):
    """Settings of methods that choose real images."""

    partition: int = Field(
        1,
        ge=1,
        le=8,
        description="Store partition^2 down-scaled real images in each image (1: off; the published baseline).",
    )

    def parts(self) -> int:
        """``partition^2``."""
        return self.partition**2


_MOST_SNAPSHOTS = 10_000


class IterativeSettings(DistillationSettings):
    """Settings of methods that iterate."""

    iterations: int = Field(20000, ge=0, description="Distillation iterations.")
    snapshot_interval: int = Field(
        2000,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )

    @model_validator(mode="after")
    def _snapshots_fit_a_file(self) -> IterativeSettings:
        kept = self.iterations // self.snapshot_interval if self.snapshot_interval else 1
        if kept > _MOST_SNAPSHOTS:
            raise ValueError(
                f"`iterations` {self.iterations} with `snapshot_interval` {self.snapshot_interval} keeps {kept} snapshots; "
                f"{_MOST_SNAPSHOTS} are allowed: raise `snapshot_interval`, or set it to 0 for the end alone"
            )
        return self

    def iteration_count(self) -> int:
        """``iterations``."""
        return self.iterations

    def snapshot_iterations(self) -> tuple[int, ...]:
        """Iterations whose synthetic set is kept, ascending, the last one always included."""
        if self.snapshot_interval == 0:
            return (self.iterations,)
        return tuple(sorted({*range(0, self.iterations + 1, self.snapshot_interval), self.iterations}))


class ImageMatchingSettings(IterativeSettings):
    """Settings of methods that move images so that they are matched with real ones."""

    partition: int = Field(
        1,
        ge=1,
        le=8,
        description="Each stored image holds partition^2 down-scaled images (docs/algorithms.md, Partition).",
    )
    init: Literal["real", "noise"] = Field("real", description="Initial synthetic images: real images or N(0, 1).")
    batch_real: int = Field(256, ge=2, description="Real images per class and iteration (at most all of them).")
    lr_img: float = Field(0.2, gt=0, description="Learning rate of the synthetic images.")

    def parts(self) -> int:
        """``partition^2``."""
        return self.partition**2

    def real_images_needed(self, ipc: int) -> int:
        """None for a start from noise."""
        return 0 if self.init == "noise" else super().real_images_needed(ipc)


class MatchingSettings(ImageMatchingSettings):
    """Settings of embedding matching (docs/algorithms.md), to which a method adds its objective and its networks."""

    update: Literal["joint", "per_class"] = Field(
        "per_class",
        description="One momentum step per iteration (DM), or the published per-class loop as one exact step (IDM, BACON).",
    )
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of the synthetic images.")
    dsa_strategy: str = Field(PAPER_DSA_STRATEGY, description="DSA operations joined by _, or none.")

    _check_dsa = field_validator("dsa_strategy")(check_dsa_strategy)


class MeanObjective(Strict):
    """Squared distance of mean embeddings, ``||mu_T - mu_S||^2`` (DM; also the matching term of IDM)."""

    kind: Literal["mean"] = "mean"
