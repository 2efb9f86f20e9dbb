"""Settings of an evaluation: how a network is trained on a distilled set and tested."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from bacon.settings.base import Strict
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY, Augmentation, check_dsa_strategy


class EvaluationSettings(Strict):
    """How a network is trained on a distilled set and tested (docs/algorithms.md, Evaluation)."""

    seeds: int = Field(
        5,
        ge=1,
        le=1000,
        description="Evaluation seeds: networks trained on the final images of a cell, with each augmentation.",
    )
    snapshot_seeds: int = Field(
        1, ge=0, le=1000, description="Evaluation seeds for each earlier snapshot (accuracy curve); 0: none."
    )
    augmentations: tuple[Augmentation, ...] = Field(
        ("dsa",),
        min_length=1,
        description="Every evaluation seed trains one network with each; accuracies are averaged over them. dsa: dsa_strategy; "
        "auto: AutoAugment; rand: RandAugment; imagenet: crop, flip, colour; cifar: crop, flip, cutout; none.",
    )
    epochs: int = Field(
        1001, ge=1, description="Epochs; the learning rate drops tenfold after epoch (epochs - 1) // 2 + 1."
    )
    epochs_plain: int | None = Field(
        None, ge=1, description="Epochs with the augmentation none; null: as many as with the others."
    )
    batch_size: int = Field(256, ge=1, description="Images per SGD step.")
    lr_net: float = Field(0.01, gt=0, description="Initial learning rate; not used where lr_search chooses it.")
    lr_search: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (),
        description="Learning rates of which the one with the best accuracy on the validation split (data.NAME.validation) "
        "is used, chosen for each cell, network and augmentation with evaluation seed 0; empty: lr_net.",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD momentum.")
    weight_decay: float = Field(5e-4, ge=0, description="SGD weight decay.")
    dsa_strategy: str = Field(PAPER_DSA_STRATEGY, description="DSA operations joined by _, or none.")

    _check_dsa = field_validator("dsa_strategy")(check_dsa_strategy)

    @model_validator(mode="after")
    def _augmentations_differ(self) -> EvaluationSettings:
        for name in ("augmentations", "lr_search"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"`{name}` lists {', '.join(map(str, values))}: each may stand there once")
        if {"dsa", "none"} <= set(self.augmentations) and self.dsa_strategy == "none":
            raise ValueError("`augmentations` lists dsa and none, but `dsa_strategy` is none: they would be the same")
        return self

    def with_augmentation(self, augmentation: str, lr_net: float) -> EvaluationSettings:
        """The protocol of one network: one augmentation with its epochs, one learning rate."""
        plain = augmentation == "none" and self.epochs_plain is not None
        return self.model_copy(
            update={
                "augmentations": (augmentation,),
                "epochs": self.epochs_plain if plain else self.epochs,
                "lr_net": lr_net,
                "lr_search": (),
            }
        )

    def lr_drop_epoch(self) -> int:
        """Zero-based epoch after which the learning rate drops (501 for the paper's 1001 epochs)."""
        return (self.epochs - 1) // 2 + 1
