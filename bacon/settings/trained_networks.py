"""Networks trained on the real set that select real images, or label batches in evaluation: how they are trained. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, field_validator

from bacon.settings.augmentations import AugmentationSettings, CropFlip, Dsa, NoAugmentation
from bacon.settings.base import Strict
from bacon.settings.network import NetworkSettings
from bacon.settings.recipe import Drop, MultiStep, ScheduleSettings, SgdSettings, TrainingRecipe
from bacon.settings.training_need import Kept, TrainingNeed

TEACHERS = "teachers"
"""Name of the training need of networks that rank or label images."""

PURPOSE = "selection"
"""Purpose of the draws of these networks, the same for every method, so that methods share them."""


class TrainedNetworkSettings(Strict):
    """How the networks are trained, as in the evaluation by P-DSA, but for fewer epochs."""

    runs: int = Field(3, ge=1, description="Number of networks; distillation seed s uses number s modulo it.")
    network: NetworkSettings | None = Field(None, description="Their architecture; null: the cell's `network`.")
    epochs: int = Field(50, ge=1, description="Epochs of each.")
    lr: float = Field(0.01, gt=0, description="Learning rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum.")
    weight_decay: float = Field(5e-4, ge=0, description="Weight decay.")
    batch_size: int = Field(256, ge=1, description="Real images per step.")
    augmentation: Literal["none", "crop_flip", "dsa"] = Field(
        "dsa",
        description="Augmentation of their training: none, padded crops and mirroring, or DSA; without flip in `dsa_strategy`, "
        "nothing is mirrored.",
    )

    def optimiser(self) -> SgdSettings:
        """SGD with momentum."""
        return SgdSettings(lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)

    def schedule(self) -> ScheduleSettings:
        """The rate drops to a tenth in the middle."""
        return Drop()

    def recipe(self, dsa_strategy: str) -> TrainingRecipe:
        """How each is trained, with the operations of ``dsa_strategy``."""
        augmentations: dict[str, AugmentationSettings] = {
            "none": NoAugmentation(),
            "crop_flip": CropFlip(flip="flip" in dsa_strategy),
            "dsa": Dsa(strategy=dsa_strategy),
        }
        return TrainingRecipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimiser=self.optimiser(),
            schedule=self.schedule(),
            augmentation=augmentations[self.augmentation],
        )


class TeacherSettings(TrainedNetworkSettings):
    """How teachers are trained; with the settings of feature networks, they are the first of these."""

    runs: int = Field(
        1,
        ge=1,
        description="Number of teachers. Evaluation averages their logits; RDED with distillation seed s uses s modulo it.",
    )


class EnsembleSettings(TeacherSettings):
    """How teachers are trained of which there may be several architectures."""

    networks: tuple[NetworkSettings, ...] = Field(
        (), description="Several architectures, with `runs` teachers of each; empty: `network` alone."
    )

    @field_validator("networks")
    @classmethod
    def _each_once(cls, value: tuple[NetworkSettings, ...]) -> tuple[NetworkSettings, ...]:
        for number, network in enumerate(value):
            if network in value[:number]:
                raise ValueError(f"networks[{number}] is listed twice; list each architecture once, and set `runs`")
        return value


class HistoryNetworkSettings(TrainedNetworkSettings):
    """How the networks are trained whose forgetting is counted (Toneva et al., 2019, on the cell's network).

    Nesterov's momentum, batches of 128, padded crops and mirroring, rate times 0.2 after 30, 60 and 80 % of 200 epochs.
    """

    epochs: int = Field(200, ge=1, description="Epochs of each.")
    batch_size: int = Field(128, ge=1, description="Real images per step.")
    augmentation: Literal["none", "crop_flip", "dsa"] = Field(
        "crop_flip",
        description="Augmentation of their training: none, padded crops and mirroring, or DSA; without flip in `dsa_strategy`, "
        "nothing is mirrored.",
    )

    def optimiser(self) -> SgdSettings:
        """SGD with Nesterov's momentum."""
        return super().optimiser().model_copy(update={"nesterov": self.momentum > 0})

    def schedule(self) -> ScheduleSettings:
        """Three steps."""
        return MultiStep(milestones=(0.3, 0.6, 0.8), factor=0.2)


def ensemble_needs(
    name: str, settings: EnsembleSettings, network: NetworkSettings, *, dsa_strategy: str
) -> tuple[TrainingNeed, ...]:
    """The training runs of each architecture; ``network`` is the cell's.

    The need of a single architecture is called ``name``, those of several ``name-0``, ``name-1``, ...
    """
    several = settings.networks or (None,)
    names = [name] if len(several) == 1 else [f"{name}-{number}" for number in range(len(several))]
    return tuple(
        selection_need(
            own,
            settings if each is None else settings.model_copy(update={"network": each}),
            network,
            dsa_strategy=dsa_strategy,
            keep={"final"},
        )
        for own, each in zip(names, several, strict=True)
    )


def selection_need(
    name: str, settings: TrainedNetworkSettings, network: NetworkSettings, *, dsa_strategy: str, keep: Iterable[Kept]
) -> TrainingNeed:
    """The training runs; ``network`` is the cell's."""
    return TrainingNeed(
        name=name,
        network=settings.network or network,
        recipe=settings.recipe(dsa_strategy),
        runs=settings.runs,
        keep=frozenset(keep),
        purpose=PURPOSE,
    )
