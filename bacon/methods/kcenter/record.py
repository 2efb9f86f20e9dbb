"""K-Center: real images that leave no image of their class far away (Sener and Savarese, ICLR 2018)."""

from typing import Literal

from pydantic import Field

from bacon.methods.base import Method
from bacon.methods.feature_needs import SCALES, features_needed
from bacon.settings.feature_selection import FeatureSelectionSettings


class KCenterSettings(FeatureSelectionSettings):
    """Settings of K-Center."""

    first: Literal["nearest_mean", "random"] = Field(
        "nearest_mean",
        description="The first image of each class: the one nearest the class mean (DC's tables), or a random one (DeepCore).",
    )


KCENTER = Method(
    name="kcenter",
    title="K-Center",
    summary="Real images chosen one after the other, each the farthest from those chosen before.",
    reference="Sener and Savarese, Active Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR 2018; as in "
    "Zhao et al., ICLR 2021 (DC)",
    settings_model=KCenterSettings,
    algorithm="bacon.methods.kcenter.algorithm:KCenter",
    scales=SCALES,
    protocol="p-dc",
    needs=features_needed,
    figure_place=31,
)
