"""Adapting torchvision's networks, made for colour images of 224x224 pixels, to other channels and to small images.

They halve images five times. Of small images little would be left, so the first two halvings are left out where the last maps
would be smaller than 4x4: both for images below 64 pixels, the first for those below 128.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

_LAST_MAPS = 4
_FURTHER_HALVINGS = 3


def halvings(size: int) -> int:
    """How many of the first two halvings stay for images of ``size`` x ``size`` pixels: 0, 1 or 2."""
    return sum(size >> (_FURTHER_HALVINGS + kept) >= _LAST_MAPS for kept in (1, 2))


def halve_at_most(kept: int, layers: Sequence[nn.Conv2d | nn.MaxPool2d]) -> None:
    """Leave the first of the two halving ``layers`` without stride unless ``kept`` of them stay, in place.

    A pooling without stride does nothing but blur, so it keeps its place with a window of one pixel.
    """
    for layer in layers[: len(layers) - kept]:
        if isinstance(layer, nn.MaxPool2d):
            layer.kernel_size, layer.stride, layer.padding = 1, 1, 0
        else:
            layer.stride = (1, 1)


def with_inputs(
    convolution: nn.Conv2d, channels: int, *, kernel: int | None = None, stride: int | None = None
) -> nn.Conv2d:
    """A first convolution like the given one for images with so many channels; with another kernel and stride where given."""
    side = kernel or int(convolution.kernel_size[0])
    return nn.Conv2d(
        channels,
        convolution.out_channels,
        side,
        stride or int(convolution.stride[0]),
        side // 2,
        bias=convolution.bias is not None,
    )


@contextmanager
def made_on(device: torch.device | str | None) -> Iterator[None]:
    """Parameters of networks that know no argument ``device`` are made there."""
    if device is None:
        yield
        return
    with torch.device(device):
        yield
