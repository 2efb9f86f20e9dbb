"""Which image sizes an architecture takes. No torch: a configuration is checked while the workflow parses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

PADDED_SIZE = 28
"""MNIST-like images: the first convolution pads by two more on each side, so that they are treated as 32x32."""

GROUPS = 4
"""Of norm ``group``, as in DC's code."""

_LENET_SMALLEST = 16


def check_fits(settings: NetworkSettings, size: int) -> None:
    """Raise :class:`BaconError` unless the network takes images of ``size`` x ``size`` pixels.

    The message names the key to change, what was found and what this size allows.
    """
    if settings.architecture == "lenet" and size < _LENET_SMALLEST:
        raise BaconError(
            f"network.architecture: lenet takes its two 5x5 convolutions without padding, which leave nothing of "
            f"{size}x{size} pixels; it needs at least {_LENET_SMALLEST}x{_LENET_SMALLEST}. "
            "Choose another architecture or raise the data set's size."
        )
    if settings.architecture == "alexnet" and size < 8:
        raise BaconError(
            f"network.architecture: alexnet halves images three times; {size}x{size} pixels leave nothing, it needs at "
            "least 8x8. Choose another architecture or raise the data set's size."
        )
    if settings.architecture == "convnet":
        _check_convnet(settings, size)


def first_side(size: int) -> int:
    """Side of a ConvNet's first maps: images of 28x28 pixels are padded by 3."""
    return size + 4 if size == PADDED_SIZE else size


def _check_convnet(settings: NetworkSettings, size: int) -> None:
    first = first_side(size)
    if settings.pooling != "none" and first >> settings.depth < 1:
        raise BaconError(
            f"network.depth: {settings.depth} blocks halve images of {size}x{size} pixels to nothing; "
            f"allowed for this size: 1 to {first.bit_length() - 1}. Lower network.depth or raise the data set's size."
        )
    if settings.norm == "group" and settings.width % GROUPS:
        raise BaconError(
            f"network.width: {settings.width} channels do not divide into the {GROUPS} groups of network.norm 'group'; "
            f"give a multiple of {GROUPS}, or another norm."
        )
