"""Images of 28x28 pixels, MNIST's: the first convolution pads them by two more on each side, to be treated as 32x32."""

from __future__ import annotations

PADDED_SIZE = 28
"""Side of the images that are padded."""
EXTRA_PADDING = 2
"""On each side."""


def extra_padding(size: int) -> int:
    """By how much the first convolution pads images of ``size`` x ``size`` pixels besides its usual padding."""
    return EXTRA_PADDING if size == PADDED_SIZE else 0


def first_side(size: int) -> int:
    """Side of the maps of a first convolution that keeps the size of what it is given: 32 for images of 28x28 pixels."""
    return size + 2 * extra_padding(size)
