"""Networks with explicit randomness: initialised from ``bacon.runtime.draws``, the same on every device."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bacon.networks.arithmetic import is_native
from bacon.networks.convolution import own_convolutions
from bacon.networks.initial_weights import initialise
from bacon.networks.network import Network
from bacon.networks.registry import check_fits
from bacon.runtime.draws import Seed
from bacon.settings.architectures import ARCHITECTURES

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings


FIXED_NETWORK = "fixed-network"
"""Purpose whose network 0 is the one fixed network of a distillation seed: DD distils for it and tests on it."""


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
        settings: the architecture, the only one whose module is imported, and the network's precision.
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
    network = empty_network(settings, channels=channels, size=size, classes=classes, device=device, dtype=dtype)
    initialise(network, seed=seed, purpose=purpose, index=index)
    return _laid_out(network, settings, device)


def loaded_network(
    settings: NetworkSettings,
    weights: Mapping[str, Tensor],
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Network:
    """A network in training mode with the parameters and buffers ``weights``, all of them; nothing is drawn.

    Arguments besides ``weights`` are those of :func:`build_network`.
    """
    network = empty_network(settings, channels=channels, size=size, classes=classes, device=device, dtype=dtype)
    assert {name for name, _ in network.named_buffers()} <= weights.keys(), "a buffer is not part of the state"
    network.load_state_dict(weights)
    return _laid_out(network, settings, device)


def empty_network(
    settings: NetworkSettings, *, channels: int, size: int, classes: int, device: torch.device, dtype: torch.dtype
) -> Network:
    """A network whose parameters are not set; arguments as :func:`build_network`."""
    check_fits(settings, size)
    module, _, function = ARCHITECTURES[settings.architecture].builder.partition(":")
    make = getattr(import_module(module), function)
    network: Network = make(settings, channels=channels, size=size, classes=classes, device="meta", dtype=dtype)
    network.precision = settings.precision
    own_convolutions(network)
    _allocate(network, device)
    return network


def _laid_out(network: Network, settings: NetworkSettings, device: torch.device) -> Network:
    if device.type == "cuda" and settings.precision != "fp32" and is_native(settings.precision):
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
