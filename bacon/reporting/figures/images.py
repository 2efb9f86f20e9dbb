"""The synthetic images of one distilled set with class names, beside those it started from and the nearest real ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bacon.reporting.collect.distilled_files import DisplayImages, read_images
from bacon.reporting.collect.evaluations import ExpectedDistilled
from bacon.reporting.collect.nearest import ExpectedDataset
from bacon.reporting.collect.protocol_text import TIMES
from bacon.reporting.collect.shown_snapshots import spread
from bacon.reporting.figures.canvas import (
    CAPTION_SIZE,
    FigurePage,
    add_caption,
    add_title,
    describe,
    keep_to_font,
    save,
)
from bacon.reporting.figures.class_labels import ClassLabels, class_labels
from bacon.reporting.figures.style import figure_style

MAX_CLASSES = 20
MAX_IMAGES = 10
MOST_LETTERS = 22  # of a class name beside its images
# With the nearest real images beside them, a third block.
MAX_IMAGES_BESIDE_REAL = 6
_DPI = 200
# Pixels that an image takes in the png: about, for it is a whole multiple of the image's own side.
_SMALLEST, _LARGEST = 96, 192
_MOST_WIDE, _MOST_HIGH = 1920, 1100  # pixels for a grid, unless its images would be too small
_GAP = 4
_LABEL_SIZE = 8.0
_TITLE_LETTERS = 80  # that a figure becomes wider for


@dataclass(frozen=True, kw_only=True)
class ImageGrid:
    """A block of images to be placed in the figure; positions and sizes in pixels."""

    heading: str
    pixels: npt.NDArray[np.float32]
    """(height, width, 3) in [0, 1]."""
    names: tuple[str, ...]
    """Class names at the left; empty for a block beside one that has them."""
    space: float = 0.14
    """Inches before a block without names."""


def plot_images(
    expected: ExpectedDistilled, *, fingerprint: str, outputs: Sequence[Path], real: ExpectedDataset | None = None
) -> None:
    """Write the grid of one distilled set's images.

    Args:
        expected: the distilled file; its fingerprint is checked.
        fingerprint: of the aggregate; goes into the files' metadata.
        outputs: ``.png``, ``.pdf`` and ``.json`` files.
        real: the data set; synthetic images are then shown beside the nearest real ones.

    Raises:
        BaconError: a file is missing, unreadable or of another fingerprint.
    """
    images = read_images(expected)
    title = f"{expected.dataset_title}, {expected.method_title}, IPC {expected.ipc}, seed {expected.seed}"
    with figure_style():
        save(images_figure(images, title=title, real=real), fingerprint=fingerprint, outputs=outputs)


def images_figure(images: DisplayImages, *, title: str, real: ExpectedDataset | None = None) -> FigurePage:
    """Rows: classes, with their names; columns: up to ten images of each (six with a block of real ones).

    Many classes are thinned evenly to twenty. Selected images are real: nothing stands beside them. Few images per class
    leave room beside them, so the classes then continue in further columns.
    """
    classes = shown_classes(len(images.class_names))
    beside = real if images.iterations > 0 else None
    blocks = 1 + (images.initial is not None) + (beside is not None)
    per_class = min(
        MAX_IMAGES if beside is None else MAX_IMAGES_BESIDE_REAL,
        int(np.count_nonzero(images.labels == images.labels[0])),
    )
    columns = _class_columns(len(classes), per_class * blocks)
    rows = math.ceil(len(classes) / columns)
    side = int(np.clip(min(_MOST_WIDE / (per_class * blocks * columns), _MOST_HIGH / rows), _SMALLEST, _LARGEST))
    parts = [classes[start : start + rows] for start in range(0, len(classes), rows)]
    labels = class_labels([images.class_names[label] for label in classes], classes, most=MOST_LETTERS)
    named = dict(zip(classes, labels.texts, strict=True))
    mosaics = [block for part in parts for block in _mosaics(images, part, side, per_class, beside, named)]
    caption = _caption(images, len(classes), per_class)
    if beside is not None:
        caption += " Nearest real: the training image of the class with the smallest Euclidean distance of pixels"
        caption += ", found for each part separately." if images.partition > 1 else "."
    return compose(mosaics, title=title, caption=caption, classes=[labels])


def shown_classes(count: int) -> list[int]:
    """All classes, or twenty of them evenly spaced."""
    return spread(range(count), MAX_CLASSES)


def mosaic(images: npt.NDArray[np.float32], *, columns: int, side: int) -> npt.NDArray[np.float32]:
    """Images side by side on white, row by row, each pixel enlarged by a whole factor.

    Args:
        images: (N, C, H, W) in [0, 1]; one channel is shown grey, three as colour, any other number by its mean, grey.
        columns: images per row.
        side: pixels that an image's longer side should take, about.

    Returns:
        (height, width, 3) in [0, 1].
    """
    count, channels, height, width = images.shape
    colour = images if channels == 3 else np.repeat(images.mean(axis=1, keepdims=True), 3, axis=1)
    factor = max(1, round(side / max(height, width)))
    large = colour.transpose(0, 2, 3, 1).repeat(factor, axis=1).repeat(factor, axis=2)  # (N, H', W', 3)
    rows = math.ceil(count / columns)
    tall, wide = height * factor, width * factor
    canvas = np.ones((rows * (tall + _GAP) - _GAP, columns * (wide + _GAP) - _GAP, 3), np.float32)
    for index, image in enumerate(large):
        top, left = (index // columns) * (tall + _GAP), (index % columns) * (wide + _GAP)
        canvas[top : top + tall, left : left + wide] = image
    return canvas


def _class_columns(classes: int, images_per_class: int) -> int:
    """Into how many columns of classes the grid is broken so that it is about as wide as high."""
    # A class name takes about the width of two images.
    candidates = range(1, classes + 1)
    return min(candidates, key=lambda n: abs(math.log(n * (images_per_class + 2) / (1.4 * math.ceil(classes / n)))))


def _mosaics(
    images: DisplayImages,
    classes: Sequence[int],
    side: int,
    per_class: int,
    real: ExpectedDataset | None,
    named: Mapping[int, str],
) -> list[ImageGrid]:
    order, columns = _order(images.labels, classes, per_class)
    names = tuple(named[label] for label in classes)
    final = f"iteration {images.iterations}" if images.iterations > 0 else "real images"
    grids = [ImageGrid(heading=final, pixels=mosaic(images.final[order], columns=columns, side=side), names=())]
    if images.initial is not None:
        first, width = _order(images.initial_labels, classes, per_class)
        grids.insert(
            0,
            ImageGrid(heading="iteration 0", pixels=mosaic(images.initial[first], columns=width, side=side), names=()),
        )
    if real is not None:
        nearest = real.nearest(images.final[order], images.labels[order], partition=images.partition)
        grids.append(ImageGrid(heading="nearest real", pixels=mosaic(nearest, columns=columns, side=side), names=()))
    grids[0] = ImageGrid(heading=grids[0].heading, pixels=grids[0].pixels, names=names)
    return grids


def _order(labels: npt.NDArray[np.int64], classes: Sequence[int], per_class: int) -> tuple[npt.NDArray[np.int64], int]:
    """Places of the first images of each class, class by class, and how many a class has at most."""
    chosen = [np.flatnonzero(labels == label)[:per_class] for label in classes]
    return np.concatenate(chosen), max(len(indices) for indices in chosen)


def compose(
    mosaics: Sequence[ImageGrid], *, title: str, caption: str, classes: Sequence[ClassLabels] = ()
) -> FigurePage:
    """Place the blocks side by side, each pixel of a block on one pixel of the png; ``classes`` whose keys the caption gets."""
    names = max((len(name) for block in mosaics for name in block.names), default=0) * _LABEL_SIZE * 0.62 / 72 + 0.2
    # Before each block room for its class names or a gap, and never less than its heading needs.
    before = [names if block.names else block.space for block in mosaics]
    widths = [max(block.pixels.shape[1] / _DPI, max(map(len, block.heading.split("\n"))) * 0.066) for block in mosaics]
    needed = sum(before) + sum(widths) + 0.2
    width = _whole_pixels(max(needed, min(len(title), _TITLE_LETTERS) * 0.093 + 0.3, 4.2))
    figure = FigurePage()
    text = describe(figure, title=title, caption=caption, classes=classes, width=width)
    heading = 0.14 * max(block.heading.count("\n") + 1 for block in mosaics)
    bottom = (text.count("\n") + 1) * CAPTION_SIZE * 1.35 / 72 + 0.16
    height = _whole_pixels(bottom + max(block.pixels.shape[0] for block in mosaics) / _DPI + 0.44 + heading)
    figure.set_size_inches(width, height)
    FigureCanvasAgg(figure)
    add_title(figure, title)
    left = (width - needed) / 2
    for block, room, block_width in zip(mosaics, before, widths, strict=True):
        left += room
        _place(figure, block, left=left + (block_width - block.pixels.shape[1] / _DPI) / 2, top=height - 0.40 - heading)
        left += block_width
    add_caption(figure, text)
    keep_to_font(figure)
    return figure


def _place(figure: FigurePage, block: ImageGrid, *, left: float, top: float) -> None:
    """Draw one block with its upper left corner at (left, top) inches, moved to whole pixels."""
    width, height = figure.get_size_inches()
    inner_width, inner_height = block.pixels.shape[1] / _DPI, block.pixels.shape[0] / _DPI
    x, y = _whole_pixels(left), _whole_pixels(top - inner_height)
    ax = figure.add_axes((x / width, y / height, inner_width / width, inner_height / height))
    ax.imshow(block.pixels, aspect="auto", interpolation="none")
    ax.set_xticks([])
    rows = len(block.names)
    centres = (np.arange(rows) + 0.5) * (block.pixels.shape[0] / max(rows, 1))
    ax.set_yticks(centres, block.names, fontsize=_LABEL_SIZE)
    ax.tick_params(length=0, pad=4)
    ax.spines[:].set_visible(False)
    ax.set_title(block.heading, fontsize=8.5, fontweight="normal", pad=4)


def _whole_pixels(inches: float) -> float:
    return round(inches * _DPI) / _DPI


def _caption(images: DisplayImages, classes: int, per_class: int) -> str:
    parts = ["Denormalised and clipped to [0, 1] for display."]
    if images.partition > 1:
        side = images.partition
        parts.append(f"Stored form: each image holds {side} {TIMES} {side} smaller ones.")
    stored = int(np.count_nonzero(images.labels == images.labels[0]))
    if classes < len(images.class_names):
        parts.append(f"{classes} of {len(images.class_names)} classes, evenly spaced.")
    if per_class < stored:
        parts.append(f"The first {per_class} of {stored} images per class.")
    if images.final.shape[1] not in (1, 3):
        parts.append(f"Mean of the {images.final.shape[1]} channels, as grey.")
    return " ".join([*parts, *([images.label_words] if images.label_words else [])])
