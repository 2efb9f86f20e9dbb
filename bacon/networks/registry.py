"""What a configuration asks of an architecture: its module, the image sizes that it takes, its operations. No torch.

The records are in ``bacon.settings.architectures``; this module follows the dotted names in them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from bacon.settings.architectures import ARCHITECTURES

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings


class ForwardOperations(NamedTuple):
    """Operations of one image's forward pass, a multiplication and an addition counted as two."""

    total: float
    """Of all convolutions and linear layers."""
    first: float
    """Of the first layer, whose maps' gradient training does not need; 0 where it is a small part."""


def architecture_module(settings: NetworkSettings) -> str:
    """Dotted module that computes networks of these settings; with what it imports, their code."""
    return ARCHITECTURES[settings.architecture].module


def check_fits(settings: NetworkSettings, size: int) -> None:
    """Raise :class:`BaconError` unless the network takes images of ``size`` x ``size`` pixels.

    The message names the key to change, what was found and what this size allows.
    """
    import_module(ARCHITECTURES[settings.architecture].limits).check_fits(settings, size)


def forward_operations(settings: NetworkSettings, channels: int, size: int) -> ForwardOperations:
    """Operations of one image (channels, size, size) through a network.

    Raises:
        BaconError: never; a network that does not fit the images is counted as if it did.
    """
    limits = import_module(ARCHITECTURES[settings.architecture].limits)
    operations: ForwardOperations = limits.operations(settings, channels, size)
    return operations
