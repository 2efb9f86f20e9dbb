"""Names of DSA's operations and of evaluation's augmentations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

DSA_OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")


PAPER_DSA_STRATEGY = "_".join(DSA_OPERATIONS)


Augmentation = Literal[
    "dsa", "none", "auto", "rand", "imagenet", "cifar", "idc", "dc", "frepo", "crop_flip", "random_resized_crop"
]


def check_dsa_strategy(value: str) -> str:
    """The strategy in canonical order, or ``none``; raises ``ValueError`` naming an unknown operation."""
    return "none" if value in ("none", "") else check_strategy(value, DSA_OPERATIONS, "DSA")


def check_strategy(value: str, operations: Sequence[str], family: str) -> str:
    """``value``, names of ``operations`` joined by _, in their order; raises ``ValueError`` naming an unknown one."""
    chosen = value.split("_")
    for operation in chosen:
        if operation not in operations:
            raise ValueError(
                f"unknown {family} operation {operation!r}; allowed are {', '.join(operations)} joined by _"
            )
    return "_".join(operation for operation in operations if operation in chosen)
