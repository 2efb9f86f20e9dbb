"""Which distribution each parameter of a network starts from, and drawing them all from ``bacon.runtime.draws``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from bacon.runtime.draws import Seed, device_normal, device_uniform

if TYPE_CHECKING:
    from bacon.networks.network import Network


@dataclass(frozen=True)
class Draw:
    """A parameter and what it starts from: U(-spread, spread) or N(0, spread^2)."""

    parameter: Tensor
    distribution: Literal["uniform", "normal"]
    spread: float


Initialisation = Callable[[nn.Module], list[Draw]]
"""Of a module's own parameters: sets those that are constant, in place, and returns those that are drawn."""


def pytorch_default(module: nn.Module) -> list[Draw]:
    """What PyTorch's constructors do.

    Convolutions and linear layers, biases included, ~ U(-b, b) with b = fan_in^-1/2; norms 1 and 0, their running statistics 0
    and 1.

    Raises:
        TypeError: the module has parameters of its own and is none of these.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        bound = 1.0 / math.sqrt(module.weight[0].numel())
        return [
            Draw(parameter, "uniform", bound) for parameter in (module.weight, module.bias) if parameter is not None
        ]
    if isinstance(module, nn.GroupNorm | nn.LayerNorm | nn.BatchNorm2d):
        module.reset_parameters()
    elif next(module.parameters(recurse=False), None) is not None:
        raise TypeError(f"no initialisation is known for {type(module).__name__}")
    return []


def he_normal_by_outputs(module: nn.Module) -> list[Draw]:
    """Convolutions ~ N(0, 2 / fan_out), biases 0 (He et al., ICCV 2015, backward); others PyTorch's default."""
    if not isinstance(module, nn.Conv2d):
        return pytorch_default(module)
    if module.bias is not None:
        module.bias.zero_()
    fan_out = module.weight[:, 0].numel()
    return [Draw(module.weight, "normal", math.sqrt(2.0 / fan_out))]


@torch.no_grad()
def initialise(network: Network, *, seed: Seed, purpose: str, index: int) -> None:
    """Fill every parameter and buffer of ``network`` in place, the classifier's by a rule of its own.

    Args:
        network: says how they start (``Network.initialisation``, ``Network.classifier_initialisation``).
        seed: seed, or tuple of seeds, of the draws.
        purpose: name of the stream; normal numbers have their own beside it.
        index: number of the network in that stream.
    """
    drawn: list[Draw] = []
    for module in network.modules():
        drawn += (network.classifier_initialisation if module is network.classifier else network.initialisation)(module)
    _fill_uniform([draw for draw in drawn if draw.distribution == "uniform"], seed, purpose, index)
    _fill_normal([draw for draw in drawn if draw.distribution == "normal"], seed, f"{purpose} normal", index)


def _fill_uniform(draws: list[Draw], seed: Seed, purpose: str, index: int) -> None:
    """One draw for all parameters, because networks are small and created often."""
    if not draws:
        return
    first = draws[0].parameter
    count = sum(draw.parameter.numel() for draw in draws)
    uniform = device_uniform(seed, purpose, count=count, device=first.device, dtype=first.dtype, iteration=index)
    start = 0
    for draw in draws:
        part = uniform[start : start + draw.parameter.numel()].view_as(draw.parameter)
        draw.parameter.copy_(part * (2 * draw.spread) - draw.spread)
        start += draw.parameter.numel()


def _fill_normal(draws: list[Draw], seed: Seed, purpose: str, index: int) -> None:
    """One draw for each parameter, in a lane of its own: these networks are large."""
    for lane, draw in enumerate(draws):
        parameter = draw.parameter
        shape = {"count": parameter.numel(), "iteration": index, "lanes": lane}
        normal = device_normal(seed, purpose, device=parameter.device, dtype=parameter.dtype, **shape)
        parameter.copy_(normal.view_as(parameter) * draw.spread)
