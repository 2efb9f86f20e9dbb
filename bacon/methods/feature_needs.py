"""What choosing images by features needs, and its scales, for the records of methods. No torch."""

from __future__ import annotations

from typing import Any

from bacon.settings.cell_settings import CellSettings
from bacon.settings.feature_selection import FEATURE_NETWORKS, FeatureSelectionSettings
from bacon.settings.trained_networks import selection_need
from bacon.settings.training_need import TrainingNeed

SMOKE: dict[str, Any] = {"runs": 2, "epochs": 2, "batch_size": 16}
DEMO: dict[str, Any] = {"epochs": 20, "batch_size": 64}

SCALES = {
    "demo": {"distillation": {"feature_networks": DEMO}},
    "smoke": {"distillation": {"feature_networks": SMOKE}},
}


def features_needed(settings: CellSettings) -> tuple[TrainingNeed, ...]:
    """Networks whose weights after training are kept; every method that asks for them with equal settings shares them."""
    own = settings.distillation
    assert isinstance(own, FeatureSelectionSettings), "a method that chooses by features has their settings"
    return (
        selection_need(
            FEATURE_NETWORKS,
            own.feature_networks,
            settings.network,
            dsa_strategy=own.dsa_strategy,
            keep={"final"},
        ),
    )
