"""The patches that a vision transformer cuts images into, and what it costs. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.networks.limits import operations as operations
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

_IMAGENET_SIDE, _IMAGENET_PATCH = 224, 16
_PATCHES_PER_SIDE = 8


def patch_side(size: int) -> int | None:
    """Side in pixels of the square patches of images of ``size`` x ``size`` pixels.

    16 from 224 pixels on, as published; of smaller images about an eighth of the side: 4 at 28 and at 32 pixels, 8 at 64, 16 at
    128. ``None`` where no side near that divides the images.
    """
    wanted = _IMAGENET_PATCH if size >= _IMAGENET_SIDE else max(size // _PATCHES_PER_SIDE, 1)
    near = range(wanted // 2 + 1, 2 * wanted + 1)
    return min((side for side in near if size % side == 0), key=lambda side: (abs(side - wanted), -side), default=None)


def check_fits(settings: NetworkSettings, size: int) -> None:
    """Raise :class:`BaconError` unless patches divide images of ``size`` x ``size`` pixels."""
    if patch_side(size) is None:
        raise BaconError(
            f"network.architecture: {settings.architecture} cuts images into square patches, about "
            f"{_PATCHES_PER_SIDE} per side, and no patch size divides {size}x{size} pixels. Choose another "
            f"architecture or another size of the data set, for example {size - size % 4 or 4}."
        )
