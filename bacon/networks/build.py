"""Networks with explicit randomness: initialised from ``bacon.runtime.draws``, the same on every device."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import torch
from torch import nn

from bacon.networks.initial_weights import initialise
from bacon.networks.network import Network
from bacon.networks.registry import check_fits
from bacon.runtime.draws import Seed
from bacon.settings.architectures import ARCHITECTURES

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
        settings: the architecture, the only one whose module is imported; precision tf32 is set by process
            (``bacon.runtime.devices.set_up_arithmetic``).
        channels: channels of the images.
        size: height and width of the images in pixels.
        classes: number of classes.
        seed: seed, or tuple of seeds, of the initialisation.
        purpose: name of the stream of networks.
        index: number of the network in that stream.
        device: where the network lives.
        dtype: float32 or float64.

    Returns:
        The network, its parameters drawn as its architecture says (``Network.initialisation``).

    Raises:
        BaconError: the architecture does not fit the image size.
    """
    check_fits(settings, size)
    module, _, function = ARCHITECTURES[settings.architecture].builder.partition(":")
    make = getattr(import_module(module), function)
    network: Network = make(settings, channels=channels, size=size, classes=classes, device="meta", dtype=dtype)
    network.bf16 = settings.precision == "bf16"
    _allocate(network, device)
    initialise(network, seed=seed, purpose=purpose, index=index)
    if device.type == "cuda" and settings.precision != "fp32":
        # Tensor cores read channels-last maps; convolutions of other maps turn them around and back.
        network.to(memory_format=torch.channels_last)
    return network


def _allocate(network: nn.Module, device: torch.device) -> None:
    """Give the parameters and buffers of a network on "meta" memory on a device, with nothing in it.

    ``nn.Module.to_empty`` does the same, but through decompositions in Python that import SymPy: a sixth of a short job.
    """
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(_empty(parameter, device), requires_grad=parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, _empty(buffer, device))


def _empty(like: torch.Tensor, device: torch.device) -> torch.Tensor:
    return torch.empty(like.shape, dtype=like.dtype, device=device)
