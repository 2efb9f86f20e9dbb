"""DSA, dataset condensation with differentiable Siamese augmentation (Zhao and Bilen, ICML 2021)."""

from __future__ import annotations

from bacon.methods.base import Method
from bacon.methods.gradient_work import DEMO, SMALL_SETS, SMOKE, gradient_work, published_loops
from bacon.settings.gradient_matching import SiameseSettings


class DSASettings(SiameseSettings):
    """Settings of DSA."""


_CELLS = [(name, ipc) for name in (*SMALL_SETS, "cifar100") for ipc in (1, 10, 50) if name != "svhn"]
# The authors advise against mirrored digits; for MNIST the data set's settings say so already.
_SVHN = published_loops([("svhn", ipc) for ipc in (1, 10, 50)], dsa_strategy="color_crop_cutout_scale_rotate")

DSA = Method(
    name="dsa",
    title="DSA",
    summary="DC with differentiable Siamese augmentation: real and synthetic images of a class are augmented alike.",
    reference="Zhao and Bilen, Dataset Condensation with Differentiable Siamese Augmentation, ICML 2021",
    settings_model=DSASettings,
    algorithm="bacon.methods.dsa.algorithm:DSA",
    scales={"demo": {"distillation": DEMO}, "smoke": {"distillation": SMOKE}},
    published={**published_loops(_CELLS), **_SVHN},
    protocol="p-dsa",
    cost=gradient_work,
    figure_place=5,
    term_titles={"distance": "Gradient distance"},
)
