"""How many images of a class a share is; plain arithmetic, read while the workflow parses."""

from __future__ import annotations


def held_out_count(members: int, fraction: float) -> int:
    """Images of a class of ``members`` (at least 2) that a share in (0, 1) holds out: at least one, and never all."""
    return min(max(1, round(fraction * members)), members - 1)
