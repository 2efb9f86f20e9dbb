"""k-means: the real images nearest the cluster centres of their class."""

from pydantic import Field

from bacon.methods.base import Method
from bacon.methods.feature_needs import SCALES, features_needed
from bacon.settings.feature_selection import FeatureSelectionSettings


class KMeansSettings(FeatureSelectionSettings):
    """Settings of k-means."""

    restarts: int = Field(
        1,
        ge=1,
        le=100,
        description="Clusterings from different starts; the one with the smallest sum of squares is used.",
    )
    max_iterations: int = Field(300, ge=1, description="Iterations of Lloyd's algorithm at most.")


KMEANS = Method(
    name="kmeans",
    title="k-means",
    summary="The real images nearest the centres of as many clusters of their class as images are wanted.",
    reference="DC-BENCH, Cui et al., NeurIPS 2022; Arthur and Vassilvitskii, k-means++, SODA 2007",
    settings_model=KMeansSettings,
    algorithm="bacon.methods.kmeans.algorithm:KMeansSelection",
    scales=SCALES,
    protocol="dc-bench",
    needs=features_needed,
    figure_place=33,
    is_control=True,
)
