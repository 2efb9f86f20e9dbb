"""DSAC, DCC with differentiable Siamese augmentation (Lee et al., ICML 2022)."""

from __future__ import annotations

from bacon.methods.base import Method
from bacon.methods.gradient_work import DEMO, SMOKE, gradient_work, published_loops
from bacon.settings.gradient_matching import ContrastiveSettings, SiameseSettings


class DSACSettings(SiameseSettings, ContrastiveSettings):
    """Settings of DSAC."""


_CELLS = tuple((name, ipc) for name in ("svhn", "cifar10", "cifar100") for ipc in (1, 10, 50))

DSAC = Method(
    name="dsac",
    title="DSAC",
    summary="DCC with differentiable Siamese augmentation.",
    reference="Lee et al., Dataset Condensation with Contrastive Signals, ICML 2022",
    settings_model=DSACSettings,
    algorithm="bacon.methods.dsac.algorithm:DSAC",
    scales={
        "demo": {"distillation": {**DEMO, "warmup_iterations": 15}},
        "smoke": {"distillation": {**SMOKE, "warmup_iterations": 2, "warmup_steps": 1}},
    },
    published=published_loops(_CELLS),
    protocol="p-dsa",
    cost=gradient_work,
    figure_place=7,
    published_name="DCC",  # as tables print it: their numbers are of the variant with DSA (docs/algorithms.md)
    term_titles={"distance": "Gradient distance"},
)
