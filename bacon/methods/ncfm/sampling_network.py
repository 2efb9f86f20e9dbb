"""NCFM's sampling network: frequencies that tell real from synthetic images apart, found by gradient ascent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.runtime.draws import Seed, device_normal, device_uniform

_SLOPE = 0.2
_LAYERS = 3
_RATE, _MOMENTUM = 1e-3, 0.5
ROWS_REPEATED = 16
"""The published code repeats each row of noise so often, which changes no mean over the frequencies: they are made once."""


class SamplingNetwork:
    """Three linear layers from noise to frequencies, each with batch norm, then leaky ReLU twice and tanh; SGD upwards.

    Args:
        dimensions: D, of noise and frequencies.
        seed: distillation seed.
        device: where it lives.
        dtype: float32 or float64.
        width: of the layers between.
    """

    def __init__(self, dimensions: int, *, seed: Seed, device: torch.device, dtype: torch.dtype, width: int) -> None:
        self._dimensions, self._seed = dimensions, seed
        sizes = [dimensions, width, width, dimensions]
        self.parameters: list[Tensor] = []
        for layer in range(_LAYERS):
            inputs, outputs = sizes[layer], sizes[layer + 1]
            bound = 1 / math.sqrt(inputs)  # PyTorch's default
            drawn = device_uniform(
                seed, "sampling-network", count=(inputs + 1) * outputs, device=device, dtype=dtype, iteration=layer
            )
            drawn = drawn * (2 * bound) - bound
            self.parameters += [drawn[outputs:].view(outputs, inputs).clone(), drawn[:outputs].clone()]
        for outputs in sizes[1:]:
            self.parameters += [fill(outputs, device=device, dtype=dtype) for fill in (torch.ones, torch.zeros)]
        self._momenta = [torch.zeros_like(parameter) for parameter in self.parameters]

    def leaves(self) -> list[Tensor]:
        """The parameters as leaves that take a gradient."""
        return [parameter.detach().requires_grad_() for parameter in self.parameters]

    def frequencies(self, count: int, iteration: int, parameters: list[Tensor]) -> Tensor:
        """(count, D) float in (-1, 1), of new noise."""
        first = parameters[0]
        noise = device_normal(
            self._seed,
            "sampling-noise",
            count=count * self._dimensions,
            device=first.device,
            dtype=first.dtype,
            iteration=iteration,
        ).view(count, self._dimensions)
        layers, norms = parameters[: 2 * _LAYERS], parameters[2 * _LAYERS :]
        made = noise
        for layer in range(_LAYERS):
            place = slice(2 * layer, 2 * layer + 2)
            made = F.linear(made, *layers[place])
            scale, shift = norms[place]
            made = F.batch_norm(made, None, None, scale, shift, training=True)
            made = F.leaky_relu(made, _SLOPE) if layer + 1 < _LAYERS else made.tanh()
        return made

    @torch.no_grad()
    def ascend(self, gradients: list[Tensor]) -> None:
        """One SGD step with momentum along the gradients of the loss, which grows."""
        torch._foreach_mul_(self._momenta, _MOMENTUM)
        torch._foreach_add_(self._momenta, gradients)
        torch._foreach_add_(self.parameters, self._momenta, alpha=_RATE)

    def state_dict(self) -> dict[str, Any]:
        """Parameters and momenta."""
        return {"parameters": self.parameters, "momenta": self._momenta}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over parameters and momenta."""
        self.parameters, self._momenta = list(state["parameters"]), list(state["momenta"])


class SampledFrequencies:
    """The frequencies of an iteration and the ascent that follows it.

    Args:
        network: makes the frequencies.
        count: how many.
    """

    def __init__(self, network: SamplingNetwork, count: int) -> None:
        self.network, self._count = network, max(2, count)
        self._leaves: list[Tensor] = []
        self._made = self._gradient = torch.empty(0)
        self._upwards = [torch.zeros_like(parameter) for parameter in network.parameters]

    @torch.enable_grad()
    def begin(self, iteration: int) -> Tensor:
        """(count, D) frequencies as a leaf that takes a gradient; nothing is collected yet."""
        self._leaves = self.network.leaves()
        self._made = self.network.frequencies(self._count, iteration, self._leaves)
        self._gradient = torch.zeros_like(self._made.detach())
        return self._made.detach().requires_grad_()

    def collect(self, gradient: Tensor) -> None:
        """Add a chunk's gradient of the frequencies."""
        self._gradient = self._gradient + gradient

    @torch.no_grad()
    def end(self) -> None:
        """The gradients of the network, of all that was collected, in places of their own."""
        found = torch.autograd.grad(self._made, self._leaves, self._gradient)
        torch._foreach_copy_(self._upwards, list(found))

    def ascend(self) -> None:
        """One step of the network upwards along the gradients."""
        self.network.ascend(self._upwards)
