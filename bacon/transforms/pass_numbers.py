"""The numbers that :func:`bacon.transforms.affine_pass.affine_pass` takes, from an operation of each group and what was drawn.

Everything here has shapes that depend on no drawn value and may be recorded with the pass, or be computed on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from bacon.transforms import operations
from bacon.transforms.affine_pass import COLUMNS
from bacon.transforms.augmentation import integers

Columns = dict[str, Tensor]
"""Some of the columns of the pass: name -> (G,)."""

Numbers = Callable[[Sequence[Tensor], int, int], Columns]
"""The columns of an operation: from the numbers in [0, 1) of each group, every one (G,), and the images' height and width."""

_NEUTRAL = {"saturation": 1.0, "contrast": 1.0, "xx": 1.0, "yy": 1.0}


def pass_numbers(
    table: Mapping[str, Numbers], names: Sequence[str], operation: Tensor, drawn: Tensor, *, height: int, width: int
) -> Tensor:
    """The numbers of groups that each have one operation.

    Args:
        table: name -> columns; "none" leaves images unchanged and need not be among them.
        names: what ``operation`` counts.
        operation: (G,) int64, position of each group's operation in ``names``.
        drawn: (G, P) numbers in [0, 1), of which an operation takes the first ones.
        height: of the images.
        width: of the images.

    Returns:
        (G, 14) in the dtype of ``drawn``.
    """
    unchanged, numbers = neutral(drawn), drawn.unbind(dim=1)
    made = [unchanged | (table[name](numbers, height, width) if name != "none" else {}) for name in names]
    # Chosen row by row: a choice for each operation and column would be three times the kernels.
    each = torch.stack([packed(columns) for columns in made])  # (operations, G, 14)
    return each.gather(0, operation[None, :, None].expand(1, -1, each.shape[2]))[0]


def neutral(drawn: Tensor) -> Columns:
    """The columns of groups that stay as they are, like ``drawn`` (G, P)."""
    filled = {value: drawn.new_full((1,), value).expand(len(drawn)) for value in (0.0, 1.0)}
    return {name: filled[_NEUTRAL.get(name, 0.0)] for name in COLUMNS}


def replaced(columns: Columns, where: Tensor, values: Columns) -> Columns:
    """``columns`` with ``values`` in their place where ``where`` (G,) says so."""
    return columns | {name: torch.where(where, value, columns[name]) for name, value in values.items()}


def packed(columns: Columns) -> Tensor:
    """(G, 14), in the order of the pass."""
    return torch.stack([columns[name] for name in COLUMNS], dim=1)


def color(drawn: Sequence[Tensor], height: int, width: int) -> Columns:
    """As :func:`bacon.transforms.operations.color`."""
    del height, width
    brightness, saturation, contrast = drawn[:3]
    return {
        "colored": torch.ones_like(brightness),
        "brightness": brightness - 0.5,
        "saturation": 2 * saturation,
        "contrast": contrast + 0.5,
    }


def crop(drawn: Sequence[Tensor], height: int, width: int) -> Columns:
    """As :func:`bacon.transforms.operations.crop`."""
    shifts = {}
    for name, number, side in (("dy", drawn[0], height), ("dx", drawn[1], width)):
        reach = operations.crop_reach(side)
        shifts[name] = (integers(number, 2 * reach + 1) - reach).to(number.dtype)
    return shifts


def cutout(drawn: Sequence[Tensor], height: int, width: int, ratio: float = operations.CUTOUT_RATIO) -> Columns:
    """As :func:`bacon.transforms.operations.cutout`."""
    edges = {}
    names = ("top", "bottom"), ("left", "right")
    for (first, last), number, side in zip(names, drawn[:2], (height, width), strict=True):
        start, size = operations.cutout_span(number, side, ratio)
        edges[first], edges[last] = start.to(number.dtype), (start + size).to(number.dtype)
    return edges


def flip(drawn: Sequence[Tensor], height: int, width: int) -> Columns:
    """As :func:`bacon.transforms.operations.flip`."""
    del height, width
    return {"xx": torch.where(operations.is_mirrored(drawn[0]), -1.0, 1.0).to(drawn[0].dtype)}


def scale(drawn: Sequence[Tensor], height: int, width: int) -> Columns:
    """As :func:`bacon.transforms.operations.scale`."""
    del height, width
    x, y = operations.scale_steps(drawn)
    return {"xx": x, "yy": y}


def rotate(drawn: Sequence[Tensor], height: int, width: int) -> Columns:
    """As :func:`bacon.transforms.operations.rotate`, which turns in coordinates from -1 to 1."""
    angle = operations.rotation(drawn[0])
    cos, sin = angle.cos(), angle.sin()
    return {"xx": cos, "xy": -sin * (width / height), "yx": sin * (height / width), "yy": cos}


def mirrored(columns: Columns, number: Tensor) -> Columns:
    """``columns`` whose positions are in an image that was mirrored before, where the number in [0, 1) says so."""
    mirror = operations.is_mirrored(number)
    return columns | {name: torch.where(mirror, -columns[name], columns[name]) for name in ("xx", "xy", "dx")}


DSA: dict[str, Numbers] = {
    "color": color,
    "crop": crop,
    "cutout": cutout,
    "flip": flip,
    "scale": scale,
    "rotate": rotate,
}
"""The columns of DSA's operations."""
