"""Herding: real images whose mean feature follows the class mean (Welling, ICML 2009)."""

from bacon.methods.base import Method
from bacon.methods.feature_needs import SCALES, features_needed
from bacon.settings.feature_selection import FeatureSelectionSettings


class HerdingSettings(FeatureSelectionSettings):
    """Settings of Herding."""


HERDING = Method(
    name="herding",
    title="Herding",
    summary="Real images chosen one after the other so that their mean feature stays close to the class mean.",
    reference="Welling, Herding Dynamical Weights to Learn, ICML 2009; as in Zhao et al., ICLR 2021 (DC)",
    settings_model=HerdingSettings,
    algorithm="bacon.methods.herding.algorithm:Herding",
    scales=SCALES,
    protocol="p-dc",
    needs=features_needed,
    figure_place=30,
    is_control=True,
)
