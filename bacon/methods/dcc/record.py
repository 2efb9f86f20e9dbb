"""DCC, dataset condensation with contrastive signals (Lee et al., ICML 2022), without augmentation."""

from __future__ import annotations

from bacon.methods.base import Method
from bacon.methods.gradient_work import DEMO, SMOKE, gradient_work, published_loops
from bacon.settings.gradient_matching import ContrastiveSettings


class DCCSettings(ContrastiveSettings):
    """Settings of DCC."""


_CELLS = tuple((name, ipc) for name in ("svhn", "cifar10", "cifar100") for ipc in (1, 10, 50))

DCC = Method(
    name="dcc",
    title="DCC",
    summary="DC that matches the mean gradient of all classes after a warm-up, so that classes are told apart.",
    reference="Lee et al., Dataset Condensation with Contrastive Signals, ICML 2022",
    settings_model=DCCSettings,
    algorithm="bacon.methods.dcc.algorithm:DCC",
    scales={
        "demo": {"distillation": {**DEMO, "warmup_iterations": 15}},
        "smoke": {"distillation": {**SMOKE, "warmup_iterations": 2, "warmup_steps": 1}},
    },
    published=published_loops(_CELLS),
    protocol="p-dc",
    cost=gradient_work,
    figure_place=6,
    published_name="DCC without DSA",  # no row of the file: the numbers printed under DCC are of DSAC
    term_titles={"distance": "Gradient distance"},
)
