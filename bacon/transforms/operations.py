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

from bacon.transforms.augmentation import integers, sent
from bacon.transforms.sampling import affine_sample, pixel_map, reach_of_rotations
from bacon.transforms.separable import pixels

CUTOUT_RATIO = 0.5
ROTATE_DEGREES = 15.0
_CROP_RATIO = 0.125
_FLIP_PROBABILITY = 0.5
_SCALE_RATIO = 1.2

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
        index = sent(torch.from_numpy(groups), images.device)
        parts.append(_apply(table, name, parameters.index_select(0, index), images.index_select(0, index)))
    # Groups back in their order: position of group g in the concatenated parts.
    order = sent(torch.from_numpy(np.argsort(np.concatenate(members))), images.device)
    return torch.cat(parts).index_select(0, order)


def select_each(
    table: Mapping[str, Operation], operations: npt.NDArray[np.object_], parameters: Tensor, images: Tensor
) -> Tensor:
    """:func:`apply_each`, to the bit, by all operations of the table on all groups: shapes depend on no drawn value."""
    listed = tuple(table)
    codes = np.array([listed.index(name) if name != "none" else -1 for name in operations], dtype=np.int64)
    code = sent(torch.from_numpy(codes), images.device).view(-1, 1, 1, 1, 1)
    chosen = images
    for place, name in enumerate(listed):
        chosen = torch.where(code == place, _apply(table, name, parameters, images), chosen)
    return chosen


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
    reach_y, reach_x = crop_reach(height), crop_reach(width)
    padded = F.pad(images, (reach_x, reach_x, reach_y, reach_y))
    top, left = integers(drawn[0], 2 * reach_y + 1), integers(drawn[1], 2 * reach_x + 1)
    return window(padded, top, left, height, width)


def crop_reach(side: int) -> int:
    """Pixels that a crop shifts by at the most."""
    return math.floor(_CROP_RATIO * side + 0.5)


def window(images: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """The window of each group (G, n, C, H, W) whose corner is at pixel (``top``, ``left``), both (G,) int64."""
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    return at_pixels(images, rows, columns)


def at_pixels(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels of groups (G, n, C, H, W) at ``rows`` (G, h) and ``columns`` (G, w) int64: (G, n, C, h, w)."""
    found = pixels(images.flatten(1, 2), rows, columns)
    return found.view(*images.shape[:-2], rows.shape[1], columns.shape[1])


def cutout(images: Tensor, drawn: Sequence[Tensor], ratio: float = CUTOUT_RATIO) -> Tensor:
    """Zero a square of half the side (``ratio``); its centre is uniform over the image, so the border may clip it."""
    rows, columns = (_in_span(number, side, ratio) for number, side in zip(drawn[:2], images.shape[-2:], strict=True))
    keep = ~(rows[:, :, None] & columns[:, None, :])  # (G, H, W)
    return images * keep[:, None, None].to(images.dtype)


def _in_span(number: Tensor, side: int, ratio: float) -> Tensor:
    """(G, side) bool: the pixels of one side that the cutout square covers."""
    start, size = cutout_span(number, side, ratio)
    position = torch.arange(side, device=number.device)
    return (position >= start[:, None]) & (position < start[:, None] + size)


def cutout_span(number: Tensor, side: int, ratio: float) -> tuple[Tensor, int]:
    """Where the cutout square begins along one side, (G,) int64, and its size; either end may lie outside the image.

    A square of even size is centred between pixels: one position more than there are pixels.
    """
    size = math.floor(ratio * side + 0.5)
    return integers(number, side + 1 - size % 2) - size // 2, size


def flip(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Mirror left and right with probability one half."""
    return torch.where(is_mirrored(drawn[0]).view(-1, 1, 1, 1, 1), images.flip(-1), images)


def is_mirrored(number: Tensor) -> Tensor:
    """Whether each number in [0, 1) mirrors."""
    return number < _FLIP_PROBABILITY


def scale(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Stretch each axis: sampling steps s_x, s_y ~ U(1/1.2, 1.2)."""
    x, y = scale_steps(drawn)
    zero = torch.zeros_like(x)
    return affine(images, torch.stack([x, zero, zero, zero, y, zero], dim=1).view(-1, 2, 3))


def scale_steps(drawn: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Steps of sampling along x and y."""
    low = 1 / _SCALE_RATIO
    x, y = (number * (_SCALE_RATIO - low) + low for number in drawn[:2])
    return x, y


def rotate(images: Tensor, drawn: Sequence[Tensor], *, edge: bool = False) -> Tensor:
    """Rotate about the centre by U(-15, 15) degrees; ``edge`` as for :func:`affine`."""
    angle = rotation(drawn[0])
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    theta = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
    return affine(images, theta, reach=reach_of_rotations(ROTATE_DEGREES, *images.shape[-2:]), edge=edge)


def rotation(number: Tensor) -> Tensor:
    """Angle of each number in [0, 1), in radians."""
    return (number * 2 - 1) * math.radians(ROTATE_DEGREES)


def affine(images: Tensor, theta: Tensor, *, reach: int = 1, edge: bool = False) -> Tensor:
    """Sample groups (G, n, C, H, W) at affine positions ``theta`` (G, 2, 3), bilinearly, zeros outside.

    On a GPU the gradient is gathered, since that of ``F.grid_sample`` adds atomically there, in no fixed order; ``reach`` is as
    for :func:`bacon.transforms.sampling.affine_sample`. ``edge``: outside is the nearest pixel of the border, instead of zero;
    for images that take no gradient.
    """
    # One grid serves every image of a group when its images are laid side by side as channels.
    stacked = images.flatten(1, 2)  # (G, nC, H, W)
    if images.device.type != "cpu" and not edge:
        return affine_sample(stacked, pixel_map(theta, *images.shape[-2:]), reach=reach).view_as(images)
    grid = F.affine_grid(theta, [len(images), 1, *images.shape[-2:]], align_corners=False)  # (G, H, W, 2)
    outside = "border" if edge else "zeros"
    return F.grid_sample(stacked, grid, mode="bilinear", padding_mode=outside, align_corners=False).view_as(images)
