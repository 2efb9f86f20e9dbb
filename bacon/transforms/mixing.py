"""Mixup and CutMix: each image of a batch is combined with another one of the batch, all by one share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bacon.runtime.draws import Seed, device_words, uniform
from bacon.transforms.augmentation import Stream, equal_batches, sent

if TYPE_CHECKING:
    from bacon.settings.recipe import MixingSettings

_TRIES = 64


def mix(
    settings: MixingSettings, images: Tensor, sizes: Sequence[int], stream: Stream
) -> tuple[Tensor, Tensor, Tensor]:
    """Mix consecutive batches.

    Args:
        settings: Mixup or CutMix.
        images: (sum(sizes), C, H, W) float, one batch after the other.
        sizes: images of each batch.
        stream: where the random numbers come from.

    Returns:
        The mixed images; the place in ``images`` of the other image of each, (sum(sizes),) int64; and the share of its own
        image in each, (sum(sizes),) float: 1 in batches that are not mixed. For CutMix it is the exact share of the pixels.
    """
    parameter = settings.alpha if settings.kind == "mixup" else settings.beta
    lanes = range(stream.first_iteration, stream.first_iteration + len(sizes))
    shares = beta_draws(parameter, stream.seed, f"{stream.purpose}-mixing-share", lanes)
    shares[stream.per_batch("mixing", sizes)[:, 0] >= settings.probability] = 1.0
    partner = _partners(sizes, stream, images.device)
    if settings.kind == "mixup":
        share = _per_image(shares, sizes, images)
        mixed = torch.lerp(images.index_select(0, partner), images, share[:, None, None, None])
        return mixed, partner, share
    boxes = cut_boxes(shares, stream.per_batch("mixing-box", sizes, count=2), *images.shape[-2:])
    inside = _inside(boxes, sizes, images)
    mixed = torch.where(inside[:, None], images.index_select(0, partner), images)
    top, bottom, left, right = boxes.T
    return mixed, partner, _per_image(1 - (bottom - top) * (right - left) / images[0, 0].numel(), sizes, images)


def beta_draws(parameter: float, seed: Seed, purpose: str, lanes: Sequence[int]) -> npt.NDArray[np.float64]:
    """(lanes,) ~ Beta(parameter, parameter), one of each lane of a stream, by Johnk's rejection: X / (X + Y) of X + Y <= 1."""
    found, waiting, attempt = np.empty(len(lanes)), np.arange(len(lanes)), 0
    while len(waiting):
        tried = np.asarray(lanes)[waiting]
        drawn = uniform(seed, purpose, count=2 * _TRIES, iteration=attempt, lanes=tried).reshape(-1, _TRIES, 2)
        x, y = np.moveaxis(drawn ** (1 / parameter), -1, 0)  # (waiting, tries) each
        accepted = (x + y <= 1) & (x + y > 0)
        first, done = accepted.argmax(axis=1)[:, None], accepted.any(axis=1)
        x, y = (np.take_along_axis(part, first, axis=1)[done, 0] for part in (x, y))
        found[waiting[done]] = x / (x + y)
        waiting, attempt = waiting[~done], attempt + 1
    return found


def cut_boxes(
    shares: npt.NDArray[np.float64], centres: npt.NDArray[np.float64], height: int, width: int
) -> npt.NDArray[np.int64]:
    """The box of each batch that another image fills: (batches, 4) rows top..bottom - 1 and columns left..right - 1.

    Its sides are floor(side * sqrt(1 - share)), its centre is uniform over the pixels, and the border clips it.
    """
    boxes = []
    for share, (row, column) in zip(shares.tolist(), centres.tolist(), strict=True):
        box = []
        for centre, side in ((row, height), (column, width)):
            size, middle = int(side * math.sqrt(1 - share)), int(centre * side)
            box += [max(middle - size // 2, 0), min(middle + size // 2, side)]
        boxes.append(box)
    return np.array(boxes, dtype=np.int64).reshape(-1, 4)


def _partners(sizes: Sequence[int], stream: Stream, device: torch.device) -> Tensor:
    """(sum(sizes),) int64: a random permutation of each batch's images, as places in all of them."""
    lanes = torch.arange(stream.first_iteration, stream.first_iteration + len(sizes), device=device)
    drawn = device_words(stream.seed, f"{stream.purpose}-mixing-partner", count=max(sizes), lanes=lanes, device=device)
    orders, start = [], 0
    for batches, size in equal_batches(sizes):
        count = batches.stop - batches.start
        starts = torch.arange(start, start + count * size, size, device=device)
        orders.append((drawn[batches, :size].argsort(dim=1, stable=True) + starts[:, None]).flatten())
        start += count * size
    return torch.cat(orders)


def _per_image(values: npt.NDArray[np.float64], sizes: Sequence[int], images: Tensor) -> Tensor:
    """A number of each batch for each of its images, on the device and in the dtype of ``images``."""
    return sent(torch.from_numpy(np.repeat(values, sizes)), images.device, images.dtype)


def _inside(boxes: npt.NDArray[np.int64], sizes: Sequence[int], images: Tensor) -> Tensor:
    """(N, H, W) bool: the pixels within the box of each image's batch."""
    edges = sent(torch.from_numpy(np.repeat(boxes, sizes, axis=0)), images.device)[:, :, None]
    rows, columns = (torch.arange(side, device=images.device) for side in images.shape[-2:])
    vertical = (rows >= edges[:, 0]) & (rows < edges[:, 1])
    horizontal = (columns >= edges[:, 2]) & (columns < edges[:, 3])
    return vertical[:, :, None] & horizontal[:, None, :]
