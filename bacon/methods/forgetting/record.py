"""Forgetting: real images by how often a network in training forgot them (Toneva et al., ICLR 2019)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from bacon.methods.base import Method
from bacon.settings.cell_settings import CellSettings
from bacon.settings.distillation import SelectionSettings
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY, check_dsa_strategy
from bacon.settings.trained_networks import HistoryNetworkSettings, selection_need
from bacon.settings.training_need import TrainingNeed


class ForgettingSettings(SelectionSettings):
    """Settings of Forgetting."""

    history_networks: HistoryNetworkSettings = Field(
        HistoryNetworkSettings(), description="Networks trained on the real set, whose forgetting events are counted."
    )
    summed: int = Field(
        1,
        ge=1,
        description="Networks whose counts are added up for one selection, at most `history_networks.runs` (Toneva et al.: 5).",
    )
    direction: Literal["most", "least"] = Field(
        "most", description="Which images are chosen: those forgotten most often, or least often."
    )
    never_learned: Literal["maximum", "zero"] = Field(
        "maximum",
        description="Events of an image that was never classified correctly: as many as there are epochs (Toneva et al.), or 0 "
        "(DeepCore).",
    )
    dsa_strategy: str = Field(
        PAPER_DSA_STRATEGY, description="DSA operations joined by _, or none: of these networks' training."
    )

    _check_dsa = field_validator("dsa_strategy")(check_dsa_strategy)

    @model_validator(mode="after")
    def _networks_suffice(self) -> ForgettingSettings:
        if self.summed > self.history_networks.runs:
            raise ValueError(
                f"`summed` is {self.summed}, but there are only {self.history_networks.runs} networks "
                "(`history_networks.runs`)"
            )
        return self


HISTORIES = "histories"
"""Name of the training need."""


def histories_needed(settings: CellSettings) -> tuple[TrainingNeed, ...]:
    """Networks of whose training is kept which images were correct in each epoch."""
    own = settings.distillation
    assert isinstance(own, ForgettingSettings), "Forgetting has its own settings"
    return (
        selection_need(
            HISTORIES,
            own.history_networks,
            settings.network,
            dsa_strategy=own.dsa_strategy,
            keep={"history"},
        ),
    )


FORGETTING = Method(
    name="forgetting",
    title="Forgetting",
    summary="Real images that a network in training forgets most often: correct in one epoch, wrong in the next.",
    reference="Toneva et al., An Empirical Study of Example Forgetting during Deep Neural Network Learning, ICLR 2019; as in "
    "Zhao et al., ICLR 2021 (DC)",
    settings_model=ForgettingSettings,
    algorithm="bacon.methods.forgetting.algorithm:Forgetting",
    scales={
        "demo": {"distillation": {"history_networks": {"epochs": 30, "batch_size": 64}}},
        "smoke": {"distillation": {"history_networks": {"runs": 2, "epochs": 3, "batch_size": 16}}},
    },
    protocol="p-dc",
    needs=histories_needed,
    figure_place=32,
)
