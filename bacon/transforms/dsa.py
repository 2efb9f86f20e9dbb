"""DSA, differentiable Siamese augmentation (Zhao and Bilen, ICML 2021), batched, with explicit randomness.

One operation of the strategy is drawn uniformly, with up to three numbers in [0, 1) as its parameters. Distillation
draws operation and parameters once per (iteration, class) and uses them for every real and synthetic image of the class;
evaluation draws one operation per batch and parameters per image. Both reduce to one thing: groups of images that share
their parameters, sorted by operation on the host, so that no step waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.runtime.draws import Seed, device_uniform, uniform
from bacon.runtime.errors import BaconError

_CROP_RATIO = 0.125
_CUTOUT_RATIO = 0.5
_FLIP_PROBABILITY = 0.5
_SCALE_RATIO = 1.2
_ROTATE_DEGREES = 15.0
_PARAMETERS = 3  # numbers in [0, 1) per group; colour needs all three


@dataclass(frozen=True, kw_only=True)
class SiameseDraw:
    """Operation and parameters of each class of one iteration.

    Attributes:
        operations: (K,) names of operations, as objects; "none" leaves the images as they are.
        parameters: (K, 3) float64 in [0, 1), multiples of 2^-24.
    """

    operations: npt.NDArray[np.object_]
    parameters: npt.NDArray[np.float64]

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
    lanes = np.arange(classes) if isinstance(classes, int) else np.asarray(classes, dtype=np.int64)
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
    parameters = torch.from_numpy(draw.parameters).to(images.device, images.dtype, non_blocking=True)
    return _augment(draw.operations, parameters, images)


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
    if strategy == "none":
        return images
    lanes = np.arange(first_iteration, first_iteration + len(sizes))
    operations = _choose(strategy, uniform(seed, f"{purpose}-operation", count=1, lanes=lanes)[:, 0])
    drawn = device_uniform(
        seed,
        f"{purpose}-parameters",
        count=_PARAMETERS * max(sizes),
        lanes=torch.from_numpy(lanes).to(images.device, non_blocking=True),
        device=images.device,
        dtype=images.dtype,
    ).view(len(sizes), -1, _PARAMETERS)
    parameters = torch.cat([drawn[batch, :size] for batch, size in enumerate(sizes)])
    return _augment(np.repeat(operations, sizes), parameters, images[:, None])[:, 0]


def _choose(strategy: str, drawn: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
    """The operation that each number in [0, 1) stands for."""
    names = strategy.split("_") if strategy != "none" else ["none"]
    for name in names:
        if name not in _OPERATIONS and name != "none":
            raise BaconError(
                f"dsa_strategy: unknown operation {name!r}; allowed are {', '.join(_OPERATIONS)} joined by _, or none."
            )
    return np.array(names, dtype=object)[(drawn * len(names)).astype(np.int64)]


def _augment(operations: npt.NDArray[np.object_], parameters: Tensor, images: Tensor) -> Tensor:
    """Augment groups (G, n, C, H, W) with their operations (G,) and parameters (G, 3)."""
    names = sorted(set(operations.tolist()))
    if len(names) == 1:
        return _apply(names[0], parameters, images)
    members = [np.flatnonzero(operations == name) for name in names]
    parts = []
    for name, groups in zip(names, members, strict=True):
        index = torch.from_numpy(groups).to(images.device, non_blocking=True)
        parts.append(_apply(name, parameters.index_select(0, index), images.index_select(0, index)))
    # Groups back in their order: position of group g in the concatenated parts.
    order = torch.from_numpy(np.argsort(np.concatenate(members))).to(images.device, non_blocking=True)
    return torch.cat(parts).index_select(0, order)


def _apply(name: str, parameters: Tensor, images: Tensor) -> Tensor:
    if name == "none":
        return images
    return _OPERATIONS[name](images, parameters.unbind(dim=1))


def _color(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Brightness, then saturation, then contrast, with a fresh number each."""
    brightness, saturation, contrast = (number.view(-1, 1, 1, 1, 1) for number in drawn)
    images = images + (brightness - 0.5)
    mean = images.mean(dim=2, keepdim=True)
    images = (images - mean) * (2 * saturation) + mean
    mean = images.mean(dim=(2, 3, 4), keepdim=True)
    return (images - mean) * (contrast + 0.5) + mean


def _crop(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Shift by whole pixels, up to an eighth of the side each way, zeros moving in."""
    height, width = images.shape[-2:]
    reach_y, reach_x = (math.floor(_CROP_RATIO * side + 0.5) for side in (height, width))
    padded = F.pad(images, (reach_x, reach_x, reach_y, reach_y)).flatten(-2).flatten(1, 2)  # (G, nC, padded pixels)
    top = _integers(drawn[0], 2 * reach_y + 1)[:, None] + torch.arange(height, device=images.device)
    left = _integers(drawn[1], 2 * reach_x + 1)[:, None] + torch.arange(width, device=images.device)
    index = (top[:, :, None] * (width + 2 * reach_x) + left[:, None, :]).view(len(images), 1, -1)
    return padded.gather(2, index.expand(-1, padded.shape[1], -1)).view_as(images)


def _cutout(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Zero a square of half the side; its centre is uniform over the image, so the border may clip it."""
    rows, columns = (_in_span(number, side) for number, side in zip(drawn[:2], images.shape[-2:], strict=True))
    keep = ~(rows[:, :, None] & columns[:, None, :])  # (G, H, W)
    return images * keep[:, None, None].to(images.dtype)


def _in_span(number: Tensor, side: int) -> Tensor:
    """(G, side) bool: the pixels of one side that the cutout square covers.

    A square of even size is centred between pixels: one position more than there are pixels.
    """
    size = math.floor(_CUTOUT_RATIO * side + 0.5)
    start = _integers(number, side + 1 - size % 2)[:, None] - size // 2
    position = torch.arange(side, device=number.device)
    return (position >= start) & (position < start + size)


def _flip(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Mirror left and right with probability one half."""
    mirrored = drawn[0].view(-1, 1, 1, 1, 1) < _FLIP_PROBABILITY
    return torch.where(mirrored, images.flip(-1), images)


def _scale(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Stretch each axis: sampling steps s_x, s_y ~ U(1/1.2, 1.2)."""
    low = 1 / _SCALE_RATIO
    x, y = (number * (_SCALE_RATIO - low) + low for number in drawn[:2])
    zero = torch.zeros_like(x)
    return _affine(images, torch.stack([x, zero, zero, zero, y, zero], dim=1).view(-1, 2, 3))


def _rotate(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Rotate about the centre by U(-15, 15) degrees."""
    angle = (drawn[0] * 2 - 1) * math.radians(_ROTATE_DEGREES)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _affine(images, torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3))


_OPERATIONS: dict[str, Callable[[Tensor, Sequence[Tensor]], Tensor]] = {
    "color": _color,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
}


def _affine(images: Tensor, theta: Tensor) -> Tensor:
    """Sample groups (G, n, C, H, W) at affine positions ``theta`` (G, 2, 3), bilinearly, zeros outside."""
    # One grid serves every image of a group when its images are laid side by side as channels.
    stacked = images.flatten(1, 2)  # (G, nC, H, W)
    grid = F.affine_grid(theta, [len(images), 1, *images.shape[-2:]], align_corners=False)  # (G, H, W, 2)
    if images.is_cuda and images.requires_grad and torch.are_deterministic_algorithms_enabled():
        # The CUDA gradient of grid_sample adds atomically, in no fixed order; that of gather has a deterministic form.
        return _sample_by_gather(stacked, grid).view_as(images)
    return F.grid_sample(stacked, grid, mode="bilinear", padding_mode="zeros", align_corners=False).view_as(images)


def _sample_by_gather(images: Tensor, grid: Tensor) -> Tensor:
    """``F.grid_sample`` (bilinear, zeros, corners not aligned) of (G, M, H, W) at (G, H, W, 2), by four gathers."""
    height, width = images.shape[-2:]
    x = ((grid[..., 0] + 1) * width - 1) / 2
    y = ((grid[..., 1] + 1) * height - 1) / 2
    left, top = x.floor(), y.floor()
    flat = images.flatten(-2)
    sampled = torch.zeros_like(flat)
    for column, weight_x in ((left, left + 1 - x), (left + 1, x - left)):
        for row, weight_y in ((top, top + 1 - y), (top + 1, y - top)):
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            tap = flat.gather(2, index.flatten(1)[:, None].expand_as(flat))
            sampled = sampled + tap * (weight_x * weight_y * inside).flatten(1)[:, None]
    return sampled.view_as(images)


def _integers(number: Tensor, count: int) -> Tensor:
    """Integers uniform over 0..count-1 from multiples of 2^-24 in [0, 1), in exact arithmetic: every dtype agrees."""
    return ((number * 2**24).long() * count) >> 24
