"""Which images a ResNet takes and what it costs, which depend on its stem. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.networks import limits
from bacon.networks.registry import ForwardOperations
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings


_IMAGENET_HALVINGS = 5


def check_fits(settings: NetworkSettings, size: int) -> None:
    """Raise :class:`BaconError` where instance norm would make zeros of the last maps, for they are single pixels."""
    if settings.stem == "7x7" and settings.norm == "instance" and size <= 2**_IMAGENET_HALVINGS:
        raise BaconError(
            f"network.stem: ImageNet's 7x7 stem reduces {size}x{size} images to one pixel, which instance norm "
            "turns into zero; set network.stem to 3x3 or network.norm to batch."
        )


def operations(settings: NetworkSettings, channels: int, size: int) -> ForwardOperations:
    """The record's figure, which is the 3x3 stem's; ImageNet's leaves a sixteenth of the pixels."""
    total = limits.operations(settings, channels, size).total
    return ForwardOperations(total=total / 16 if settings.stem == "7x7" else total, first=0.0)
