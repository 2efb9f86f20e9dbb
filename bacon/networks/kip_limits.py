"""Which images KIP's ConvNet takes, those that a ConvNet of its depth takes, and what it costs. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.networks import convnet_limits
from bacon.networks.convnet_limits import check_fits
from bacon.networks.padding import first_side
from bacon.networks.registry import ForwardOperations

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

__all__ = ["check_fits", "operations"]


def operations(settings: NetworkSettings, channels: int, size: int) -> ForwardOperations:
    """Those of the convolutions: a ConvNet's behind one more, at full size."""
    blocks = convnet_limits.operations(settings, settings.width, size).total
    first = 2.0 * 9 * channels * settings.width * first_side(size) ** 2
    return ForwardOperations(total=first + blocks, first=first)
