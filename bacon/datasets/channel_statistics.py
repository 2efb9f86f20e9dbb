"""Mean and standard deviation of images per channel, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bacon.runtime.errors import BaconError

_BLOCK = 2048
_LEVELS = np.arange(256, dtype=np.float64) / 255


def channel_statistics(
    images: NDArray[np.uint8], name: str, *, constant: float | None = None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and (population) standard deviation of each channel of images in [0, 1].

    From histograms of the 256 levels, so that the sums are exact and neither order nor block size matters.

    Args:
        images: (N, C, H, W) uint8, N > 0.
        name: the data set, for the message.
        constant: what a constant channel gets for its standard deviation of 0; ``None``: it is an error.

    Returns:
        Mean and standard deviation, each of C numbers in [0, 1], in float64.

    Raises:
        BaconError: a channel is constant, so that it cannot be normalised.
    """
    counts = level_counts(images)
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ _LEVELS
    std = np.sqrt((share * (_LEVELS - mean[:, None]) ** 2).sum(axis=1))
    if constant is not None:
        std = np.where(std == 0, constant, std)
    if (std == 0).any():
        raise BaconError(_constant(mean, std, name))
    return tuple(mean.tolist()), tuple(std.tolist())


def _constant(mean: NDArray[np.float64], std: NDArray[np.float64], name: str) -> str:
    """What to do about channels that cannot be scaled to a standard deviation of 1."""
    if (std == 0).all():
        return f"{name}: all training images are one and the same plain picture; nothing can be learned from them"
    channel = int(np.flatnonzero(std == 0)[0])
    given = [", ".join(f"{value:.4f}" for value in values) for values in (mean, np.where(std == 0, 1, std))]
    return (
        f"{name}: channel {channel} has the same value in every training image, so it cannot be scaled to a standard "
        f"deviation of "
        f"1. Set data.{name}.mean to [{given[0]}] and data.{name}.std to [{given[1]}], as measured, which leaves that "
        f"channel's "
        f"scale; or set data.{name}.channels to 1 for grey images"
    )


def level_counts(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each level occurs in each channel: (N, C, H, W) uint8 -> (C, 256) int64."""
    channels = images.shape[1]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        for channel in range(channels):
            counts[channel] += np.bincount(block[:, channel].ravel(), minlength=256)
    return counts
