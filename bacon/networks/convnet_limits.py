"""Which images a ConvNet takes, which depends on its depth, pooling and norm, and what it costs. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.networks.padding import first_side
from bacon.networks.registry import ForwardOperations
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

GROUPS = 4
"""Of norm ``group``, as in DC's code."""


def check_fits(settings: NetworkSettings, size: int) -> None:
    """Raise :class:`BaconError` unless a ConvNet's blocks leave something of images of ``size`` x ``size`` pixels."""
    first = first_side(size)
    if settings.pooling != "none" and first >> settings.depth < 1:
        raise BaconError(
            f"network.depth: {settings.depth} blocks halve images of {size}x{size} pixels until nothing is left; "
            f"allowed for this size: 1 to {first.bit_length() - 1}. Lower network.depth or raise the data set's "
            "size."
        )
    if settings.norm == "group" and settings.width % GROUPS:
        raise BaconError(
            f"network.width: {settings.width} channels cannot be divided into the {GROUPS} groups of network.norm "
            f"'group'; give a multiple of {GROUPS}, or another norm."
        )


def operations(settings: NetworkSettings, channels: int, size: int) -> ForwardOperations:
    """Those of the convolutions: 0.1014e9 for ConvNet-3 on 32x32 colour images."""
    blocks, inputs = [], channels
    for side in map_sizes(settings, size):
        blocks.append(2.0 * 9 * inputs * settings.width * max(side, 1) ** 2)
        inputs = settings.width
    return ForwardOperations(total=sum(blocks), first=blocks[0])


def map_sizes(settings: NetworkSettings, size: int) -> list[int]:
    """Side of the maps that each block's convolution makes; pooling halves them, rounding down."""
    sizes = [first_side(size)]
    halve = settings.pooling != "none"
    for _ in range(settings.depth - 1):
        sizes.append(sizes[-1] // 2 if halve else sizes[-1])
    return sizes
