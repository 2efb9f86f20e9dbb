"""DC, dataset condensation with gradient matching (Zhao, Mopuri and Bilen, ICLR 2021)."""

from __future__ import annotations

from bacon.methods.base import Method
from bacon.methods.gradient_work import DEMO, SMALL_SETS, SMOKE, gradient_work, published_loops
from bacon.settings.gradient_matching import GradientMatchingSettings


class DCSettings(GradientMatchingSettings):
    """Settings of DC."""


_CELLS = (*((name, ipc) for name in SMALL_SETS for ipc in (1, 10, 50)), ("cifar100", 1), ("cifar100", 10))

DC = Method(
    name="dc",
    title="DC",
    summary="Matches the gradients of real and synthetic images, class by class, while a network learns from the latter.",
    reference="Zhao, Mopuri and Bilen, Dataset Condensation with Gradient Matching, ICLR 2021",
    settings_model=DCSettings,
    algorithm="bacon.methods.dc.algorithm:DC",
    # From noise, as published, images need more iterations than a demonstration has.
    scales={"demo": {"distillation": {**DEMO, "init": "real"}}, "smoke": {"distillation": SMOKE}},
    published=published_loops(_CELLS),
    protocol="p-dc",
    cost=gradient_work,
    figure_place=4,
    term_titles={"distance": "Gradient distance"},
)
