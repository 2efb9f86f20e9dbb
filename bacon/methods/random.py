"""Random coreset: real training images drawn per class, seeded; the baseline every method must beat."""

from bacon.methods.base import Method

RANDOM = Method(
    name="random",
    title="Random",
    family="selection",
    summary="Real training images drawn at random, the same number from each class; no distillation.",
    reference="DC-BENCH, Cui et al., NeurIPS 2022",
    selector="bacon.distillation.selectors.random",
    figure_place=0,
)
