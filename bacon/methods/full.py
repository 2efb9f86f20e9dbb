"""The full training set: the upper reference of every table, not a distillation."""

from bacon.methods.base import Method

FULL = Method(
    name="full",
    title="Full data set",
    family="reference",
    summary="A network trained on every real training image; the upper row of every table.",
    reference="-",
    published_name="Whole dataset",
)
