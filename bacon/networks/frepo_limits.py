"""Which images FRePo's ConvNet takes, those that a ConvNet of its depth takes, and what it costs. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.networks.convnet_limits import check_fits, map_sizes
from bacon.networks.registry import ForwardOperations

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

__all__ = ["check_fits", "operations", "widths"]


def widths(settings: NetworkSettings) -> list[int]:
    """Channels of each block's maps: twice those of the block before."""
    return [settings.width * 2**block for block in range(settings.depth)]


def operations(settings: NetworkSettings, channels: int, size: int) -> ForwardOperations:
    """Those of the convolutions: 0.31e9 with three blocks from 128 channels on 32x32 colour images."""
    own = widths(settings)
    sides = map_sizes(settings, size)
    blocks = [
        2.0 * 9 * inputs * outputs * max(side, 1) ** 2
        for inputs, outputs, side in zip([channels, *own], own, sides, strict=False)
    ]
    return ForwardOperations(total=sum(blocks), first=blocks[0])
