"""The full training set: the upper reference of every table, not a distillation."""

from bacon.methods.base import Method

_SETTLED = {"evaluation": {"epochs": 200, "epochs_plain": None}}  # its accuracy has settled by then

FULL = Method(
    name="full",
    title="Full data set",
    summary="A network trained on every real training image; the upper bound in every table.",
    reference="-",
    settings_model=None,
    algorithm=None,
    # A network stands for it where sets are judged by regression: the kernel of all images is too large.
    settings={"evaluation": {"regression": "none"}},
    scales={
        "paper": _SETTLED,
        "demo": {"evaluation": {"epochs": 40, "epochs_plain": None}},
        "fast": _SETTLED,
    },
    published_name="Whole dataset",
    is_control=True,
)
