"""Networks with explicit randomness: PyTorch's default initialisation, drawn from ``bacon.runtime.draws``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bacon.networks.classic import classic_network
from bacon.networks.convnet import ConvNet
from bacon.networks.network import Network
from bacon.runtime.draws import Seed, device_uniform

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings


def build_network(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,
    classes: int,
    seed: Seed,
    purpose: str = "network",
    index: int = 0,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Network:
    """A freshly initialised network in training mode, the same on every device; torch's global generator is untouched.

    Args:
        settings: the architecture; precision tf32 is set by process (``bacon.runtime.devices.set_up_arithmetic``).
        channels: channels of the images.
        size: height and width of the images in pixels.
        classes: number of classes.
        seed: seed, or tuple of seeds, of the initialisation.
        purpose: name of the stream of networks.
        index: number of the network in that stream.
        device: where the network lives.
        dtype: float32 or float64.

    Returns:
        Convolutions and linear layers ~ U(-b, b) with b = fan_in^-1/2, PyTorch's default; norms 1 and 0.

    Raises:
        BaconError: the architecture does not fit the image size.
    """
    make = ConvNet if settings.architecture == "convnet" else classic_network
    network = make(settings, channels=channels, size=size, classes=classes, device="meta", dtype=dtype)
    network.bf16 = settings.precision == "bf16"
    network.to_empty(device=device)
    initialise(network, seed=seed, purpose=purpose, index=index)
    if device.type == "cuda" and settings.precision != "fp32":
        # Tensor cores read channels-last maps; convolutions of other maps turn them around and back.
        network.to(memory_format=torch.channels_last)
    return network


@torch.no_grad()
def initialise(network: nn.Module, *, seed: Seed, purpose: str, index: int) -> None:
    """Fill every parameter and buffer of ``network`` in place, as :func:`build_network` says; one draw for all."""
    drawn: list[tuple[Tensor, float]] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1.0 / math.sqrt(module.weight[0].numel())
            drawn += [(module.weight, bound), *([] if module.bias is None else [(module.bias, bound)])]
        elif isinstance(module, nn.GroupNorm | nn.LayerNorm | nn.BatchNorm2d):
            module.reset_parameters()
        elif next(module.parameters(recurse=False), None) is not None:
            raise TypeError(f"no initialisation is known for {type(module).__name__}")
    first = drawn[0][0]
    count = sum(parameter.numel() for parameter, _ in drawn)
    uniform = device_uniform(seed, purpose, count=count, device=first.device, dtype=first.dtype, iteration=index)
    start = 0
    for parameter, bound in drawn:
        part = uniform[start : start + parameter.numel()].view_as(parameter)
        parameter.copy_(part * (2 * bound) - bound)
        start += parameter.numel()
