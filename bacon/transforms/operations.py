"""Operations on groups of images that share their parameters; DSA's, which IDC, DC and FRePo use too.

A group is (n, C, H, W): all images of a class with one draw in distillation, or a single image in training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.transforms.augmentation import integers

_CROP_RATIO = 0.125
_CUTOUT_RATIO = 0.5
_FLIP_PROBABILITY = 0.5
_SCALE_RATIO = 1.2
_ROTATE_DEGREES = 15.0

Operation = Callable[[Tensor, Sequence[Tensor]], Tensor]
"""Groups (G, n, C, H, W) and the numbers in [0, 1) of each, every one (G,), to groups of the same shape."""


def apply_each(
    table: Mapping[str, Operation], operations: npt.NDArray[np.object_], parameters: Tensor, images: Tensor
) -> Tensor:
    """Augment every group with its own operation.

    Args:
        table: name -> operation; "none" leaves images unchanged and need not be among them.
        operations: (G,) names, as objects.
        parameters: (G, P) numbers in [0, 1), of which an operation takes the first ones.
        images: (G, n, C, H, W) float.

    Returns:
        (G, n, C, H, W), differentiable in ``images``.
    """
    names = sorted(set(operations.tolist()))
    if len(names) == 1:
        return _apply(table, names[0], parameters, images)
    members = [np.flatnonzero(operations == name) for name in names]
    parts = []
    for name, groups in zip(names, members, strict=True):
        index = torch.from_numpy(groups).to(images.device, non_blocking=True)
        parts.append(_apply(table, name, parameters.index_select(0, index), images.index_select(0, index)))
    # Groups back in their order: position of group g in the concatenated parts.
    order = torch.from_numpy(np.argsort(np.concatenate(members))).to(images.device, non_blocking=True)
    return torch.cat(parts).index_select(0, order)


def _apply(table: Mapping[str, Operation], name: str, parameters: Tensor, images: Tensor) -> Tensor:
    return images if name == "none" else table[name](images, parameters.unbind(dim=1))


def color(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Brightness, then saturation, then contrast, with a fresh number each."""
    brightness, saturation, contrast = (number.view(-1, 1, 1, 1, 1) for number in drawn)
    images = images + (brightness - 0.5)
    mean = images.mean(dim=2, keepdim=True)
    images = (images - mean) * (2 * saturation) + mean
    mean = images.mean(dim=(2, 3, 4), keepdim=True)
    return (images - mean) * (contrast + 0.5) + mean


def crop(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Shift by whole pixels, up to an eighth of the side each way, zeros moving in."""
    height, width = images.shape[-2:]
    reach_y, reach_x = (math.floor(_CROP_RATIO * side + 0.5) for side in (height, width))
    padded = F.pad(images, (reach_x, reach_x, reach_y, reach_y))
    top, left = integers(drawn[0], 2 * reach_y + 1), integers(drawn[1], 2 * reach_x + 1)
    return window(padded, top, left, height, width)


def window(images: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """The window of each group (G, n, C, H, W) whose corner is at pixel (``top``, ``left``), both (G,) int64."""
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    return at_pixels(images, rows, columns)


def at_pixels(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels of groups (G, n, C, H, W) at ``rows`` (G, h) and ``columns`` (G, w) int64: (G, n, C, h, w)."""
    flat = images.flatten(-2).flatten(1, 2)  # (G, nC, pixels)
    index = (rows[:, :, None] * images.shape[-1] + columns[:, None, :]).view(len(images), 1, -1)
    found = flat.gather(2, index.expand(-1, flat.shape[1], -1))
    return found.view(*images.shape[:-2], rows.shape[1], columns.shape[1])


def cutout(images: Tensor, drawn: Sequence[Tensor], ratio: float = _CUTOUT_RATIO) -> Tensor:
    """Zero a square of half the side (``ratio``); its centre is uniform over the image, so the border may clip it."""
    rows, columns = (_in_span(number, side, ratio) for number, side in zip(drawn[:2], images.shape[-2:], strict=True))
    keep = ~(rows[:, :, None] & columns[:, None, :])  # (G, H, W)
    return images * keep[:, None, None].to(images.dtype)


def _in_span(number: Tensor, side: int, ratio: float) -> Tensor:
    """(G, side) bool: the pixels of one side that the cutout square covers.

    A square of even size is centred between pixels: one position more than there are pixels.
    """
    size = math.floor(ratio * side + 0.5)
    start = integers(number, side + 1 - size % 2)[:, None] - size // 2
    position = torch.arange(side, device=number.device)
    return (position >= start) & (position < start + size)


def flip(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Mirror left and right with probability one half."""
    mirrored = drawn[0].view(-1, 1, 1, 1, 1) < _FLIP_PROBABILITY
    return torch.where(mirrored, images.flip(-1), images)


def scale(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Stretch each axis: sampling steps s_x, s_y ~ U(1/1.2, 1.2)."""
    low = 1 / _SCALE_RATIO
    x, y = (number * (_SCALE_RATIO - low) + low for number in drawn[:2])
    zero = torch.zeros_like(x)
    return affine(images, torch.stack([x, zero, zero, zero, y, zero], dim=1).view(-1, 2, 3))


def rotate(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Rotate about the centre by U(-15, 15) degrees."""
    angle = (drawn[0] * 2 - 1) * math.radians(_ROTATE_DEGREES)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return affine(images, torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3))


def affine(images: Tensor, theta: Tensor) -> Tensor:
    """Sample groups (G, n, C, H, W) at affine positions ``theta`` (G, 2, 3), bilinearly, zeros outside."""
    # One grid serves every image of a group when its images are laid side by side as channels.
    stacked = images.flatten(1, 2)  # (G, nC, H, W)
    grid = F.affine_grid(theta, [len(images), 1, *images.shape[-2:]], align_corners=False)  # (G, H, W, 2)
    return sample(stacked, grid).view_as(images)


def sample(images: Tensor, grid: Tensor, padding: str = "zeros") -> Tensor:
    """``F.grid_sample`` of (G, M, H, W) at (G, h, w, 2), bilinear, with a gradient whose sums have one order.

    ``padding``: ``zeros``, or ``border`` for a grid that never leaves the centres of the outer pixels.
    """
    if images.is_cuda and images.requires_grad and torch.are_deterministic_algorithms_enabled():
        # The CUDA gradient of grid_sample adds atomically, in no fixed order; that of gather has a deterministic form.
        return _sample_by_gather(images, grid)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _sample_by_gather(images: Tensor, grid: Tensor) -> Tensor:
    """:func:`sample` by four gathers."""
    height, width = images.shape[-2:]
    x = ((grid[..., 0] + 1) * width - 1) / 2
    y = ((grid[..., 1] + 1) * height - 1) / 2
    left, top = x.floor(), y.floor()
    flat = images.flatten(-2)
    sampled = flat.new_zeros(*flat.shape[:2], grid.shape[1] * grid.shape[2])
    for column, weight_x in ((left, left + 1 - x), (left + 1, x - left)):
        for row, weight_y in ((top, top + 1 - y), (top + 1, y - top)):
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            tap = flat.gather(2, index.flatten(1)[:, None].expand_as(sampled))
            sampled = sampled + tap * (weight_x * weight_y * inside).flatten(1)[:, None]
    return sampled.view(*images.shape[:2], *grid.shape[1:3])
