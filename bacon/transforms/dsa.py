"""DSA, differentiable Siamese augmentation (Zhao and Bilen, ICML 2021), batched, with explicit randomness.

One operation of the strategy is drawn uniformly, with up to three numbers in [0, 1) as its parameters. Distillation
draws operation and parameters once per (iteration, class) and uses them for every real and synthetic image of the class;
evaluation draws one operation per batch and parameters per image. Both reduce to one thing: groups of images that share
their parameters. On a CPU they are sorted by operation, and each operation takes its own; on a GPU all of them are one pass
(:mod:`bacon.transforms.affine_pass`). Neither waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bacon.runtime.draws import Seed, device_uniform, uniform
from bacon.runtime.errors import BaconError
from bacon.transforms import affine_pass, operations, pass_numbers
from bacon.transforms.augmentation import BatchAugmentation, Stream, choices, integers, sent
from bacon.transforms.operations import Operation, apply_each
from bacon.transforms.sampling import reach_of_rotations

if TYPE_CHECKING:
    from bacon.settings.augmentations import Dsa

_PARAMETERS = 3  # numbers in [0, 1) per group; colour needs all three


@dataclass(frozen=True, kw_only=True)
class SiameseDraw:
    """Operation and parameters of each class of one iteration.

    Attributes:
        operations: (K,) names of operations, as objects; "none" leaves the images unchanged.
        parameters: (K, 3) float64 in [0, 1), multiples of 2^-24.
    """

    operations: npt.NDArray[np.object_]
    parameters: npt.NDArray[np.float64]

    def numbers(self, images: Tensor) -> Tensor:
        """(K, 14) for :func:`augment_by_numbers`, on the device and in the dtype of ``images``; sent there once."""
        height, width = images.shape[-2:]
        key = (height, width, images.device, images.dtype)
        if key not in self._sent:
            codes = torch.from_numpy(operation_codes(self.operations))
            made = numbers_of_codes(codes, torch.from_numpy(self.parameters), height, width)
            self._sent[key] = sent(made, images.device, images.dtype)
        return self._sent[key]

    @cached_property
    def _sent(self) -> dict[tuple[int, int, torch.device, torch.dtype], Tensor]:
        return {}

    def select(self, classes: slice) -> SiameseDraw:
        """The draw of a chunk of the classes."""
        return SiameseDraw(operations=self.operations[classes], parameters=self.parameters[classes])


def siamese_draw(strategy: str, seed: Seed, iteration: int, classes: Sequence[int] | int) -> SiameseDraw:
    """Draw an operation and its parameters for every class of one distillation iteration.

    Args:
        strategy: names of operations joined by "_", or "none".
        seed: distillation seed.
        iteration: distillation iteration.
        classes: the K classes, or K for classes 0..K-1; a class's draw does not depend on which others are drawn.

    Raises:
        BaconError: the strategy names an unknown operation.
    """
    return _siamese_draw(strategy, seed, iteration, tuple(range(classes) if isinstance(classes, int) else classes))


@lru_cache(maxsize=16)  # an iteration asks for the draws of its classes several times
def _siamese_draw(strategy: str, seed: Seed, iteration: int, classes: tuple[int, ...]) -> SiameseDraw:
    lanes = np.asarray(classes, dtype=np.int64)
    drawn = uniform(seed, "dsa", count=1 + _PARAMETERS, iteration=iteration, lanes=lanes)
    return SiameseDraw(operations=_choose(strategy, drawn[:, 0]), parameters=drawn[:, 1:])


def siamese_augment(draw: SiameseDraw, images: Tensor) -> Tensor:
    """Augment every image of a class with the class's operation and parameters.

    Args:
        draw: of the K classes.
        images: (K, n, C, H, W) float32 or float64.

    Returns:
        (K, n, C, H, W), differentiable in ``images``.
    """
    if len(draw.operations) != len(images):
        raise ValueError(f"a draw of {len(draw.operations)} classes for images of {len(images)} classes")
    if affine_pass.is_preferred(images) and draw.operations[0] != "none":
        return augment_by_numbers(images, draw.numbers(images))
    return augment_groups(draw.operations, torch.from_numpy(draw.parameters), images)


def augment_groups(names: npt.NDArray[np.object_], parameters: Tensor, images: Tensor) -> Tensor:
    """Augment groups of images that share an operation and its parameters.

    Args:
        names: (G,) operations, as objects; all are "none" or none is.
        parameters: (G, 3) in [0, 1), multiples of 2^-24, float32 or float64, on the host or on the device.
        images: (G, n, C, H, W) float32 or float64.

    Returns:
        (G, n, C, H, W), differentiable in ``images``.
    """
    if len(names) and names[0] == "none":
        return images
    if not affine_pass.is_preferred(images):
        return apply_each(_OPERATIONS, names, sent(parameters, images.device, images.dtype), images)
    codes = sent(torch.from_numpy(operation_codes(names)), parameters.device)
    numbers = numbers_of_codes(codes, parameters, *images.shape[-2:])
    return augment_by_numbers(images, sent(numbers, images.device, images.dtype))


def operation_codes(names: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
    """The place of each operation in the list of all."""
    return np.array([_CODES[name] for name in names], dtype=np.int64)


def siamese_numbers(
    strategy: str, seed: Seed, iteration: int | Tensor, classes: Tensor, *, height: int, width: int
) -> Tensor:
    """The draw of :func:`siamese_draw` for :func:`augment_by_numbers`, made on the device of ``classes``.

    Args:
        strategy: names of operations joined by "_"; not "none".
        seed: distillation seed.
        iteration: distillation iteration; 0-d int64 on the device where the draw is recorded.
        classes: (K,) int64.
        height: of the images.
        width: of the images.

    Returns:
        (K, 14) float64.
    """
    drawn = device_uniform(
        seed,
        "dsa",
        count=1 + _PARAMETERS,
        device=classes.device,
        dtype=torch.float64,
        iteration=iteration,
        lanes=classes,
    )
    names = strategy.split("_")
    return pass_numbers.pass_numbers(
        pass_numbers.DSA, names, integers(drawn[:, 0], len(names)), drawn[:, 1:], height=height, width=width
    )


def numbers_of_codes(codes: Tensor, parameters: Tensor, height: int, width: int) -> Tensor:
    """(G, 14) numbers of the pass, in the dtype of ``parameters`` (G, 3); ``codes`` (G,) as :func:`operation_codes`."""
    return pass_numbers.pass_numbers(pass_numbers.DSA, tuple(_CODES), codes, parameters, height=height, width=width)


def augment_by_numbers(images: Tensor, numbers: Tensor) -> Tensor:
    """One pass over groups (G, n, C, H, W) of mixed operations; ``numbers`` (G, 14) on their device and in their dtype.

    Its kernels and their shapes depend on no drawn value, so that it may be recorded and replayed with other numbers.
    """
    reach = reach_of_rotations(operations.ROTATE_DEGREES, *images.shape[-2:])
    return affine_pass.affine_pass(images, numbers, reach=reach)


def augment_batch(strategy: str, images: Tensor, seed: Seed, purpose: str, iteration: int) -> Tensor:
    """Augment one training batch: one operation, parameters per image.

    Args:
        strategy: names of operations joined by "_", or "none".
        images: (N, C, H, W) float32 or float64.
        seed: seed, or tuple of seeds, of the draw.
        purpose: name of the stream.
        iteration: number of the batch in the stream.

    Returns:
        (N, C, H, W), differentiable in ``images``.

    Raises:
        BaconError: the strategy names an unknown operation.
    """
    return augment_batches(strategy, images, [len(images)], seed, purpose, first_iteration=iteration)


def augment_batches(
    strategy: str, images: Tensor, sizes: Sequence[int], seed: Seed, purpose: str, *, first_iteration: int
) -> Tensor:
    """:func:`augment_batch` for consecutive batches at once, which is much cheaper for small ones; the same draws.

    Args:
        strategy: names of operations joined by "_", or "none".
        images: (sum(sizes), C, H, W) float32 or float64, one batch after the other.
        sizes: images of each batch.
        seed: seed, or tuple of seeds, of the draw.
        purpose: name of the stream.
        first_iteration: number of the first batch in the stream.

    Returns:
        (sum(sizes), C, H, W), differentiable in ``images``.
    """
    return augmentation_of(strategy)(images, sizes, Stream(seed=seed, purpose=purpose, first_iteration=first_iteration))


def augmentation(settings: Dsa) -> BatchAugmentation:
    """DSA of training batches: one operation for each batch, parameters for each image."""
    by_stream = augmentation_of(settings.strategy)
    return lambda images, sizes, stream: by_stream(images, sizes, replace(stream, purpose=f"{stream.purpose}-dsa"))


def augmentation_of(strategy: str) -> BatchAugmentation:
    """:func:`augment_batches` as a function of images, sizes and stream."""

    def augment(images: Tensor, sizes: Sequence[int], stream: Stream) -> Tensor:
        if strategy == "none":
            return images
        draw = batch_draws(strategy, sizes, stream, images)
        if affine_pass.is_preferred(images):
            return augment_by_numbers(images[:, None], draw.numbers_of_all(images))[:, 0]
        return augment_groups(np.repeat(draw.operations, sizes), torch.cat(draw.parameters), images[:, None])[:, 0]

    return augment


@dataclass(frozen=True, kw_only=True)
class BatchDraws:
    """Operation of each of consecutive batches, and the parameters of its images.

    Attributes:
        operations: (batches,) names of operations, as objects.
        parameters: for each batch (size, 3) in [0, 1), on the device.
    """

    operations: npt.NDArray[np.object_]
    parameters: tuple[Tensor, ...]

    def augment(self, batch: int, images: Tensor) -> Tensor:
        """The images (size, C, H, W) of a batch with its draws, differentiable in them; any number of times the same."""
        operation = self.operations[batch : batch + 1]
        return augment_groups(np.repeat(operation, len(images)), self.parameters[batch], images[:, None])[:, 0]

    def numbers(self, images: Tensor) -> list[Tensor]:
        """What :func:`augment_by_numbers` takes for each batch (size, 14), on the device and in the dtype of ``images``."""
        return list(self.numbers_of_all(images).split([len(drawn) for drawn in self.parameters]))

    def numbers_of_all(self, images: Tensor) -> Tensor:
        """:meth:`numbers` of one batch after the other, (sum of sizes, 14)."""
        codes = np.repeat(operation_codes(self.operations), [len(drawn) for drawn in self.parameters])
        on_device = sent(torch.from_numpy(codes), images.device)
        return numbers_of_codes(on_device, torch.cat(self.parameters), *images.shape[-2:])


def batch_draws(strategy: str, sizes: Sequence[int], stream: Stream, like: Tensor) -> BatchDraws:
    """The draws of :func:`augment_batches`, for batches that are not augmented together.

    Args:
        strategy: names of operations joined by "_", or "none".
        sizes: images of each batch.
        stream: where the numbers come from.
        like: a tensor of the device and dtype of the images.
    """
    chosen = _choose(strategy, stream.per_batch("operation", sizes)[:, 0])
    parameters = stream.per_image("parameters", sizes, _PARAMETERS, like)
    return BatchDraws(operations=chosen, parameters=parameters.split(list(sizes)))


def _choose(strategy: str, drawn: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
    """The operation that each number in [0, 1) stands for."""
    names = strategy.split("_") if strategy != "none" else ["none"]
    for name in names:
        if name not in _OPERATIONS and name != "none":
            raise BaconError(
                f"dsa_strategy: unknown operation {name!r}; allowed are {', '.join(_OPERATIONS)} joined by _, or none."
            )
    return choices(names, drawn)


_OPERATIONS: dict[str, Operation] = {
    "color": operations.color,
    "crop": operations.crop,
    "cutout": operations.cutout,
    "flip": operations.flip,
    "scale": operations.scale,
    "rotate": operations.rotate,
}

_CODES = {name: code for code, name in enumerate((*_OPERATIONS, "none"))}
