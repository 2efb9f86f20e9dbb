"""Settings of methods that choose real images by the features of trained networks. No torch."""

from __future__ import annotations

from pydantic import Field, field_validator

from bacon.settings.distillation import SelectionSettings
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY, check_dsa_strategy
from bacon.settings.trained_networks import TrainedNetworkSettings

FEATURE_NETWORKS = "features"
"""Name of the training need."""


class FeatureSelectionSettings(SelectionSettings):
    """Settings of methods that choose by features."""

    feature_networks: TrainedNetworkSettings = Field(
        TrainedNetworkSettings(), description="Networks trained on the real set, whose embeddings are the features."
    )
    dsa_strategy: str = Field(
        PAPER_DSA_STRATEGY, description="DSA operations joined by _, or none: of these networks' training."
    )

    _check_dsa = field_validator("dsa_strategy")(check_dsa_strategy)
