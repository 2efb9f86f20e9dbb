"""Which images an architecture takes, and what a forward pass costs, where its record says both. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.networks.registry import ForwardOperations
from bacon.runtime.errors import BaconError
from bacon.settings.architectures import ARCHITECTURES

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings


def check_fits(settings: NetworkSettings, size: int) -> None:
    """Raise :class:`BaconError` for images of ``size`` x ``size`` pixels that are smaller than the record's smallest."""
    architecture = ARCHITECTURES[settings.architecture]
    if size < architecture.smallest:
        smallest = f"{architecture.smallest}x{architecture.smallest}"
        raise BaconError(
            f"network.architecture: {architecture.name} {architecture.why_smallest}; {size}x{size} pixels are too "
            f"few; it needs at least {smallest}. Choose another architecture or raise the data set's size."
        )


def operations(settings: NetworkSettings, channels: int, size: int) -> ForwardOperations:  # noqa: ARG001
    """The record's figure for the next smaller images that it has one for, by the number of pixels."""
    known = ARCHITECTURES[settings.architecture].operations
    side = max((side for side in known if side <= size), default=min(known))
    return ForwardOperations(total=known[side] * (size / side) ** 2, first=0.0)
