"""Single operations that are written differently from the usual way, against that way, in turns (docs/speed.md)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bacon.networks.kernels.block import InstanceNormReluPool
from bacon.networks.kernels.first import first_block
from bacon.networks.kernels.pooling import AveragePool
from bacon.runtime import draws
from benchmarks.distillation import in_turns, summary
from benchmarks.machine import seconds_of

CPU = torch.device("cpu")
_BLOCK_IMAGES = 256  # of a training step
Work = Callable[[], tuple[Tensor, ...]]

_IMPORTS = {
    "ours": "from torch.optim.sgd import sgd",
    "usual": "torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)",
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation, computed both ways from the same random data on the CPU.

    Attributes:
        name: what is computed.
        data: sizes of what it is computed from.
        usual_name: what the usual way is.
        ours: this project's way; the outputs, and gradients where there are any.
        usual: the usual way; the same tensors, equal to rounding.
    """

    name: str
    data: str
    usual_name: str
    ours: Work
    usual: Work


def measure(rounds: int) -> list[dict[str, Any]]:
    """One row per operation: median seconds of both ways, and how many times as long the usual way takes."""
    rows = [_row(build(), rounds) for build in OPERATIONS]
    imports = in_turns({name: lambda code=code: _import_seconds(code) for name, code in _IMPORTS.items()}, rounds)
    label = {"operation": "SGD in a new process", "data": "", "usual": "torch.optim.SGD"}
    return [*rows, label | summary(imports)]


def line(row: dict[str, Any]) -> tuple[str, ...]:
    """A row as text: operation, data, milliseconds, the usual way, its milliseconds, ratio."""
    ours, usual = (f"{1000 * row[key]:.4g}" for key in ("seconds", "usual_seconds"))
    return row["operation"], row["data"], ours, row["usual"], usual, f"{row['usual_over_ours']:.3g}"


def _row(operation: Operation, rounds: int) -> dict[str, Any]:
    ways = {"ours": operation.ours, "usual": operation.usual}
    seconds = in_turns({name: lambda work=work: seconds_of(work, CPU) for name, work in ways.items()}, rounds)
    label = {"operation": operation.name, "data": operation.data, "usual": operation.usual_name}
    return label | summary(seconds)


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _forward_backward(function: Callable[[Tensor], Tensor], x: Tensor, *, also: tuple[Tensor, ...] = ()) -> Work:
    """Output and gradients of ``x``, where it needs one, and of the tensors in ``also``."""
    wanted = [tensor for tensor in (x, *also) if tensor.requires_grad]
    gradient = _normal(*function(x).shape, seed=1)

    def work() -> tuple[Tensor, ...]:
        output = function(x)
        return output.detach(), *torch.autograd.grad(output, wanted, gradient)

    return work


def _block() -> Operation:
    count, channels, side = _BLOCK_IMAGES, 128, 32
    x, norm = _normal(count, channels, side, side).requires_grad_(), InstanceNormReluPool(channels)
    weights = (norm.weight, norm.bias)
    return Operation(
        name="norm, ReLU and pooling, forward and backward",
        data=f"{count} maps of {channels}x{side}x{side}",
        usual_name="three PyTorch layers",
        ours=_forward_backward(norm, x, also=weights),
        usual=_forward_backward(_three_layers(norm), x, also=weights),
    )


def _three_layers(norm: InstanceNormReluPool) -> Callable[[Tensor], Tensor]:
    """What ``norm`` computes, by PyTorch's layers."""
    channels, eps = norm.num_channels, norm.eps
    return lambda maps: F.avg_pool2d(F.relu(F.group_norm(maps, channels, norm.weight, norm.bias, eps)), 2)


def _second_derivatives() -> Operation:
    count, channels, side = _BLOCK_IMAGES // 4, 128, 32
    x, norm = _normal(count, channels, side, side).requires_grad_(), InstanceNormReluPool(channels)
    wanted = (x, norm.weight)
    gradient = _normal(count, channels, side // 2, side // 2, seed=1)
    along = (_normal(*x.shape, seed=2), _normal(channels, seed=3))

    def way(function: Callable[[Tensor], Tensor]) -> Work:
        def work() -> tuple[Tensor, ...]:
            first = torch.autograd.grad(function(x), wanted, gradient, create_graph=True)
            return torch.autograd.grad(first, wanted, along)

        return work

    return Operation(
        name="norm, ReLU and pooling, first and second derivatives",
        data=f"{count} maps of {channels}x{side}x{side}",
        usual_name="three PyTorch layers",
        ours=way(norm),
        usual=way(_three_layers(norm)),
    )


def _first_block(case: str) -> Operation:
    images, convolution, norm = _normal(64, 3, 32, 32), nn.Conv2d(3, 128, 3, padding=1), InstanceNormReluPool(128)
    weights = (convolution.weight, *norm.parameters())
    with torch.no_grad():
        for parameter in convolution.parameters():
            parameter.copy_(_normal(*parameter.shape, seed=2))

    def way(function: Callable[[Tensor], Tensor]) -> Work:
        if case == "without gradients":
            return torch.no_grad()(lambda: (function(images),))
        of_images = case == "gradient of the images"
        x = images.clone().requires_grad_(of_images)
        return _forward_backward(function, x, also=() if of_images else weights)

    return Operation(
        name=f"first block, {case}",
        data="64 images of 3x32x32, 128 channels",
        usual_name="convolution, then the fused norm",
        ours=way(lambda x: first_block(x, convolution, norm)),
        usual=way(lambda x: norm(convolution(x))),
    )


def _pooling() -> Operation:
    x = _normal(400, 32, 16, 16).requires_grad_()
    return Operation(
        name="2x2 average pooling, forward and backward",
        data="400 maps of 32x16x16",
        usual_name="F.avg_pool2d",
        ours=_forward_backward(AveragePool(), x),
        usual=_forward_backward(lambda maps: F.avg_pool2d(maps, 2), x),
    )


def _instance_norm() -> Operation:
    x, norm = _normal(256, 32, 16, 16).requires_grad_(), nn.GroupNorm(32, 32)
    weights = (norm.weight, norm.bias)
    return Operation(
        name="instance norm as group norm, forward and backward",
        data="256 maps of 32x16x16",
        usual_name="F.instance_norm",
        ours=_forward_backward(norm, x, also=weights),
        usual=_forward_backward(
            lambda maps: F.instance_norm(maps, weight=norm.weight, bias=norm.bias, eps=norm.eps), x, also=weights
        ),
    )


def _standard_deviation() -> Operation:
    x = _normal(10, 64, 128)

    def two_passes() -> tuple[Tensor, ...]:
        squares = (x - x.mean(dim=1, keepdim=True)).square_().sum(dim=1)
        return (squares.div_(x.shape[1] - 1).sqrt_(),)

    return Operation(
        name="standard deviation over a batch, in two passes of whole rows",
        data="10 classes, 64 images, 128 dimensions",
        usual_name="x.std(dim=1)",
        ours=two_passes,
        usual=lambda: (x.std(dim=1),),
    )


def _gather() -> Operation:
    images = torch.randint(0, 256, (50_000, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    chosen = torch.randint(0, len(images), (640,), generator=torch.Generator().manual_seed(1))
    return Operation(
        name="gathering real images by index_select",
        data="640 of 50,000 images of 3x32x32, uint8",
        usual_name="images[indices]",
        ours=lambda: (images.index_select(0, chosen),),
        usual=lambda: (images[chosen],),
    )


def _random_words() -> Operation:
    key: dict[str, Any] = {"count": 1797, "lanes": torch.arange(4)}
    return Operation(
        name="random words on the CPU, by numpy",
        data="4 lanes of 1,797 words",
        usual_name="the same in PyTorch",
        ours=lambda: (draws.device_words(0, "benchmark", device=CPU, **key),),
        usual=lambda: (draws._words_in_torch(0, "benchmark", device=CPU, **key),),
    )


OPERATIONS: tuple[Callable[[], Operation], ...] = (
    _block,
    _second_derivatives,
    partial(_first_block, "without gradients"),
    partial(_first_block, "gradient of the weights"),
    partial(_first_block, "gradient of the images"),
    _pooling,
    _instance_norm,
    _standard_deviation,
    _gather,
    _random_words,
)
"""Makes each operation with its data, which lives as long as it is used."""


def _import_seconds(code: str) -> float:
    program = f"import time, torch; start = time.perf_counter(); {code}; print(time.perf_counter() - start)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)
