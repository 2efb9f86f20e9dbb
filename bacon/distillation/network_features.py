"""Features of frozen networks as what a kernel compares, and the way back to the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from bacon.networks.network import Network


class Representation(Protocol):
    """What a kernel sees of images."""

    def of(self, images: Tensor) -> Tensor:
        """(N, P) float64 of images (N, C, H, W), without a graph."""

    def traced(self, images: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """:meth:`of` images, and what pulls gradients back to them; in between the graph is kept where memory allows it.

        It is called once, with the gradient (N, P) of a function by the representation, and gives that by the images.
        """


class FlatImages:
    """The images themselves, flattened."""

    def of(self, images: Tensor) -> Tensor:
        """(N, C H W) float64."""
        return images.detach().flatten(1).double()

    def traced(self, images: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """A gradient is brought into the form and the precision of the images."""
        return self.of(images), lambda cotangent: cotangent.view_as(images).to(images.dtype)


class NetworkFeatures:
    """Embeddings of images in one or several networks, side by side, a few images at a time.

    Args:
        networks: frozen and in evaluation mode, so that no image's features depend on the others.
        at_once: images that are computed at a time.
        mean: the kernel of the features is the mean over networks and features, as that of an infinitely wide network is;
            otherwise the sum.
    """

    def __init__(self, networks: Sequence[Network], *, at_once: int, mean: bool = False) -> None:
        self._networks, self._at_once, self._mean = networks, at_once, mean

    @torch.no_grad()
    def of(self, images: Tensor) -> Tensor:
        """(N, P) float64."""
        return torch.cat([self._features(some) for some in images.split(self._at_once)])

    def _pull_back(self, images: Tensor, cotangent: Tensor) -> Tensor:
        """(N, C, H, W), in the precision of the images; features are computed once more, with their graph."""
        found = []
        for some, theirs in zip(images.split(self._at_once), cotangent.split(self._at_once), strict=True):
            leaf = some.detach().requires_grad_()
            found += torch.autograd.grad(self._features(leaf), leaf, theirs)
        return torch.cat(found)

    def traced(self, images: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """With the graph of at most half as many images as are computed at a time, and then without computing them again."""
        if len(images) > self._at_once // 2:
            return self.of(images), partial(self._pull_back, images)
        leaf = images.detach().requires_grad_()
        features = self._features(leaf)
        return features.detach(), lambda cotangent: torch.autograd.grad(features, leaf, cotangent)[0]

    def _features(self, images: Tensor) -> Tensor:
        features = torch.cat([network.embed(images) for network in self._networks], dim=1).double()
        return features / features.shape[1] ** 0.5 if self._mean else features
