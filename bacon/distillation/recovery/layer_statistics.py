"""What the layers of a network see of batches of images: means and variances of their inputs, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bacon.networks.network import Network


def batch_norms(network: Network) -> list[nn.BatchNorm2d]:
    """The layers of a network with running statistics, in the order in which its modules are listed."""
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@contextmanager
def seen(layers: Sequence[nn.Module], note: Callable[[int, Tensor], None]) -> Iterator[None]:
    """``note`` gets the number of each of ``layers`` that runs meanwhile, and its input, in no lower precision than float32."""

    def hook(number: int, given: tuple[Tensor, ...]) -> None:
        x = given[0]
        note(number, x.float() if x.dtype in (torch.bfloat16, torch.float16) else x)

    handles = [
        layer.register_forward_pre_hook(lambda _, given, number=number: hook(number, given))
        for number, layer in enumerate(layers)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def channel_moments(maps: Tensor, batches: int) -> tuple[Tensor, Tensor]:
    """Mean and variance (divided by the count) of each channel in each batch.

    Args:
        maps: (batches * B, C, H, W) float, batch after batch.
        batches: how many batches there are.

    Returns:
        Two tensors (batches, C).
    """
    each = maps.unflatten(0, (batches, -1))
    return each.mean(dim=(1, 3, 4)), each.var(dim=(1, 3, 4), correction=0)


def distance(found: Tensor, wanted: Tensor) -> Tensor:
    """(G,) Euclidean distances of the rows of (G, D) from (D,)."""
    distances: Tensor = torch.linalg.vector_norm(found - wanted, dim=1)
    return distances
