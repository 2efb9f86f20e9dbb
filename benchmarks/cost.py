"""What a piece of work must cost: floating-point operations and bytes, counted from the network's shape (docs/speed.md)."""

from __future__ import annotations

from dataclasses import dataclass

from bacon.networks.padding import first_side
from bacon.settings.distillation import MatchingSettings
from bacon.settings.network import NetworkSettings


@dataclass(frozen=True)
class Cost:
    """FLOP and bytes."""

    flop: float
    bytes: float

    def __add__(self, other: Cost) -> Cost:
        """Cost of both."""
        return Cost(self.flop + other.flop, self.bytes + other.bytes)

    def __mul__(self, count: float) -> Cost:
        """Cost of doing it ``count`` times."""
        return Cost(self.flop * count, self.bytes * count)

    def seconds(self, flop_per_second: float, bytes_per_second: float) -> float:
        """The roofline: the larger of arithmetic and memory time."""
        return max(self.flop / flop_per_second, self.bytes / bytes_per_second)


def forward(network: NetworkSettings, channels: int, size: int, *, element: int = 4) -> Cost:
    """One image through the convolutional part, each map written once and read once, norm, ReLU and pooling fused."""
    total = Cost(0, 0)
    side = first_side(size)
    width_in = channels
    for _ in range(network.depth):
        pixels = side * side
        pooled = pixels // 4 if network.pooling != "none" else pixels
        flop = 2 * 9 * width_in * network.width * pixels
        moved = width_in * pixels + 2 * network.width * pixels + network.width * pooled
        total += Cost(flop, moved * element)
        side, width_in = (side // 2 if network.pooling != "none" else side), network.width
    return total


def forward_backward(network: NetworkSettings, channels: int, size: int, *, element: int = 4, image: bool) -> Cost:
    """Forward and backward of one image.

    Two more convolutions per block (towards weights or, for a frozen network, the image alone, hence one) and about
    twice the maps.

    Args:
        network: the architecture.
        channels: channels of the image.
        size: side of the image.
        element: bytes of a number.
        image: gradient of the image through a frozen network; else gradient of the weights.
    """
    once = forward(network, channels, size, element=element)
    first = 2 * 9 * channels * network.width * first_side(size) ** 2
    flop = 2 * once.flop if image else 3 * once.flop - first
    return Cost(flop, 3 * once.bytes)


def iteration(
    settings: MatchingSettings, network: NetworkSettings, shape: tuple[int, int, int], counts: list[int], ipc: int
) -> dict[str, Cost]:
    """Cost of one distillation iteration by part: ``real``, ``synthetic``, ``queue``.

    Args:
        settings: distillation settings.
        network: architecture of the embedding networks.
        shape: (C, H, W) of an image.
        counts: training images of each class.
        ipc: stored images per class.
    """
    channels, size, _ = shape
    real = sum(min(settings.batch_real, count) for count in counts)
    synthetic = len(counts) * ipc * settings.partition**2
    queue = settings.networks
    trained = (
        queue.networks_trained * queue.model_train_steps * min(queue.batch_train, sum(counts))
        if queue.source == "queue"
        else 0
    )
    element = 2 if network.precision == "bf16" else 4
    return {
        "real": forward(network, channels, size, element=element) * real,
        "synthetic": forward_backward(network, channels, size, element=element, image=True) * synthetic,
        "queue": forward_backward(network, channels, size, element=element, image=False) * trained,
    }
