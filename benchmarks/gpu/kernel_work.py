"""The kernels that are timed alone: each a piece of work on random numbers, and the least that it must move or compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.networks.arithmetic import arithmetic_of
from bacon.networks.build import build_network
from bacon.networks.kernels.block import InstanceNormReluPool
from bacon.networks.network import Network
from bacon.settings.network import NetworkSettings
from bacon.training.sgd import Sgd
from bacon.training.steps import training_step
from bacon.transforms.dsa import siamese_augment, siamese_draw
from bacon.transforms.partition import decode
from benchmarks.gpu.request import Scale

_STRATEGY = "color_crop_cutout_flip_scale_rotate"
_CLASSES = 10


@dataclass(frozen=True)
class Work:
    """One piece.

    Attributes:
        name: of the kernel and its sizes.
        run: does it once.
        bytes: that must be read and written, each number once.
        flop: that must be computed.
        first: what runs within :attr:`run` before the kernel and is timed too: the pass forward, of a pass backward.
    """

    name: str
    run: Callable[[], object]
    bytes: float = 0.0
    flop: float = 0.0
    first: Callable[[], object] | None = None


def all_work(scale: Scale, precision: str, device: torch.device) -> Iterator[Work]:
    """Every piece; each makes its tensors when it comes up."""
    torch.manual_seed(0)
    for count in scale.batches:
        yield from _first_block(scale, precision, device, count)
    yield from _networks(scale, precision, device)
    many = scale.batches[0]
    for count, side in dict.fromkeys(((many, 32), (many, 16), (many, 8), (scale.step, 32))):
        yield from _block(scale, precision, device, count, side)
    yield from _convolution(scale, precision, device)
    yield from _transforms(scale, device)
    yield from _larger_images(scale, precision, device)


def _element(precision: str) -> int:
    return 2 if precision == "bf16" else 4


def _images(count: int, device: torch.device, side: int = 32) -> Tensor:
    return torch.randn(count, 3, side, side, device=device)


def _network(scale: Scale, precision: str, device: torch.device, depth: int, side: int = 32) -> Network:
    settings = NetworkSettings(width=scale.width, depth=depth, precision=precision)
    return build_network(settings, channels=3, size=side, classes=_CLASSES, seed=0, device=device)


def _first_block(
    scale: Scale, precision: str, device: torch.device, count: int, side: int = 32, sized: str = ""
) -> Iterator[Work]:
    """A network of one block: convolution of the images, norm, ReLU, pooling; its maps need not be in memory.

    The pooled maps stay as the block leaves them, and the gradient comes as the next layer would give it: flattening them as an
    embedding copies them to float32, which takes longer than some of the kernels.
    """
    network, x = _network(scale, precision, device, 1, side), _images(count, device, side)
    parameters, learned = list(network.features.parameters()), x.clone().requires_grad_()
    pooled = count * scale.width * (side // 2) ** 2
    moved = x.nbytes + _element(precision) * pooled
    flop = 2.0 * 9 * 3 * scale.width * side**2 * count

    def kept(images: Tensor = x) -> Tensor:
        with arithmetic_of(network.precision, device):
            return network.maps(images)

    forward = torch.no_grad()(kept)
    given = torch.randn_like(forward())  # of the layout and the type of the maps

    def both() -> object:
        return torch.autograd.grad(kept(), parameters, given, allow_unused=True)

    def of_images() -> object:
        return torch.autograd.grad(frozen(), learned, given)

    def frozen() -> Tensor:
        for parameter in parameters:
            parameter.requires_grad_(False)
        return kept(learned)

    yield Work(f"first block forward {count}{sized}", forward, moved, flop)
    yield Work(f"first block backward {count}{sized}", both, moved, 2 * flop, kept)
    if sized:
        yield Work(f"first block, gradient of the images {count}{sized}", of_images, moved, 2 * flop, frozen)


def _block(scale: Scale, precision: str, device: torch.device, count: int, side: int) -> Iterator[Work]:
    """Norm, ReLU and pooling of maps that lie in memory, in the layout and the type of the precision's networks."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    layout = torch.contiguous_format if precision == "fp32" else torch.channels_last
    norm = InstanceNormReluPool(scale.width, device=device)
    x = torch.randn(count, scale.width, side, side, device=device).to(kind).to(memory_format=layout).requires_grad_()
    inputs = [x, *norm.parameters()]

    @torch.no_grad()
    def forward() -> Tensor:
        return norm.forward(x)

    def kept() -> Tensor:
        return norm.forward(x)

    given = torch.randn_like(forward())

    def both() -> object:
        return torch.autograd.grad(kept(), inputs, given)

    def twice() -> object:
        first = torch.autograd.grad(kept(), inputs, given, create_graph=True)
        return torch.autograd.grad(first, inputs, [torch.ones_like(each) for each in first], allow_unused=True)

    yield Work(f"block forward {count} of {side}x{side}", forward, 1.25 * x.nbytes)
    yield Work(f"block backward {count} of {side}x{side}", both, 2.25 * x.nbytes, first=kept)
    yield Work(f"block, first and second derivatives {count} of {side}x{side}", twice, 6 * x.nbytes)


def _convolution(scale: Scale, precision: str, device: torch.device) -> Iterator[Work]:
    """The second convolution, which is the library's."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    count, width = scale.batches[0], scale.width
    x = torch.randn(count, width, 16, 16, device=device, dtype=kind).to(memory_format=torch.channels_last)
    weight = torch.randn(width, width, 3, 3, device=device, dtype=kind).to(memory_format=torch.channels_last)
    flop = 2.0 * 9 * width**2 * 16**2 * count
    yield Work(f"convolution {count} of 16x16", lambda: F.conv2d(x, weight, padding=1), 2.0 * x.nbytes, flop)


def _networks(scale: Scale, precision: str, device: torch.device) -> Iterator[Work]:
    """Embedding of a chunk of real images, and a training step."""
    network, x = _network(scale, precision, device, 3), _images(scale.batches[0], device)

    @torch.no_grad()
    def embed() -> Tensor:
        return network.embed(x)

    yield Work(f"embedding {len(x)}", embed)
    student, few = _network(scale, precision, device, 3).train(), _images(scale.step, device)
    labels = torch.arange(scale.step, device=device) % _CLASSES
    optimiser = Sgd(student.parameters(), lr=0.0, momentum=0.9, weight_decay=5e-4)
    optimiser.keep_rate_in_place()  # as where a step is recorded
    optimiser.fill_momenta()
    step = training_step(student, optimiser, record=False)
    step.count()
    yield Work(f"training step {scale.step}", lambda: step(few, labels))


def _transforms(scale: Scale, device: torch.device) -> Iterator[Work]:
    """DSA of all classes with mixed operations, and the partition of stored images; each reads and writes once."""
    each = max(scale.batches[0] // _CLASSES, 1)
    images = torch.randn(_CLASSES, each, 3, 32, 32, device=device)
    draw = siamese_draw(_STRATEGY, 0, 0, _CLASSES)
    yield Work(f"augmentation {_CLASSES * each}", lambda: siamese_augment(draw, images), 2.0 * images.nbytes)
    stored = torch.randn(max(each // 4, 1) * _CLASSES, 3, 32, 32, device=device)
    yield Work(f"partition {len(stored)}", lambda: decode(stored, 2), 5.0 * stored.nbytes)


def _larger_images(scale: Scale, precision: str, device: torch.device) -> Iterator[Work]:
    """What TinyImageNet's images of 64x64 go through in kernels of the same names, and gradients that only images have."""
    count, side = max(scale.batches[0] // 4, _CLASSES), 64
    sized = f" of {side}x{side}"
    yield from _first_block(scale, precision, device, count, side, sized)
    images = torch.randn(_CLASSES, count // _CLASSES, 3, side, side, device=device, requires_grad=True)
    draw = siamese_draw(_STRATEGY, 0, 0, _CLASSES)
    number = images.shape[0] * images.shape[1]

    def augmented() -> Tensor:
        return siamese_augment(draw, images)

    given = torch.randn_like(images)

    def both() -> object:
        return torch.autograd.grad(augmented(), images, given)

    with_gradient = 2.0 * images.nbytes
    yield Work(f"augmentation, gradient of the images {number}{sized}", both, with_gradient, first=augmented)
