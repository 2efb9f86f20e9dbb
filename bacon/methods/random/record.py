"""Random coreset: real training images drawn per class, seeded; the baseline every method must beat."""

from bacon.methods.base import Method
from bacon.settings.distillation import SelectionSettings

RANDOM = Method(
    name="random",
    title="Random",
    summary="Real training images drawn at random, the same number from each class; no distillation.",
    reference="DC-BENCH, Cui et al., NeurIPS 2022",
    settings_model=SelectionSettings,
    algorithm="bacon.methods.random.algorithm:Random",
    figure_place=0,
    is_control=True,
)
