"""CAFE+DSA (Wang et al., CVPR 2022): CAFE with differentiable Siamese augmentation."""

from __future__ import annotations

from pydantic import Field

from bacon.methods.base import Method
from bacon.methods.cafe.record import REFERENCE, SCALES, TERM_TITLES, CafeSettings, work


class CafeDsaSettings(CafeSettings):
    """Settings of CAFE+DSA."""

    augment: bool = Field(True, description="DSA of real and synthetic images (`dsa_strategy`): CAFE+DSA.")


CAFE_DSA = Method(
    name="cafe_dsa",
    title="CAFE+DSA",
    summary="CAFE with differentiable Siamese augmentation.",
    reference=REFERENCE,
    settings_model=CafeDsaSettings,
    algorithm="bacon.methods.cafe.algorithm:Cafe",
    scales=SCALES,
    protocol="p-cafe-dsa",
    cost=work,
    figure_place=24,
    term_titles=TERM_TITLES,
)
