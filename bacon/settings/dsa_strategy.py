"""Names of DSA's operations and of evaluation's augmentations."""

from __future__ import annotations

from typing import Literal

DSA_OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")


PAPER_DSA_STRATEGY = "_".join(DSA_OPERATIONS)


Augmentation = Literal["dsa", "none", "auto", "rand", "imagenet", "cifar"]


def check_dsa_strategy(value: str) -> str:
    """The strategy in canonical order, or ``none``; raises ``ValueError`` naming an unknown operation."""
    if value in ("none", ""):
        return "none"
    chosen = value.split("_")
    for operation in chosen:
        if operation not in DSA_OPERATIONS:
            raise ValueError(
                f"unknown DSA operation {operation!r}; allowed are {', '.join(DSA_OPERATIONS)} joined by _"
            )
    return "_".join(operation for operation in DSA_OPERATIONS if operation in chosen)
