"""How synthetic images change during distillation: a strip of snapshots, and an animation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from bacon.reporting.collect.evaluations import ExpectedDistilled
from bacon.reporting.collect.protocol_text import TIMES
from bacon.reporting.collect.shown_snapshots import ShownSnapshots, read_snapshots, spread
from bacon.reporting.figures.canvas import FigurePage
from bacon.reporting.figures.class_labels import ClassLabels, class_labels
from bacon.reporting.figures.images import MOST_LETTERS, ImageGrid, compose, mosaic
from bacon.reporting.figures.style import MANY
from bacon.runtime.atomic import atomic_path

# Classes and snapshots in the strip, classes and images of each in the animation: what a page and a screen hold.
STRIP_CLASSES, STRIP_SNAPSHOTS = 6, 6
GIF_CLASSES, GIF_IMAGES = 10, 3
# More methods than stand side by side: shares of the iterations in percent, for methods may differ in their number.
STRIP_SHARES = (0, 33, 67, 100)
_SIDE, _MANY_SIDE = 96, 40
_WIDEST, _FRAME_WIDTH = 1800, 480  # pixels
_GIF_SECONDS, _LAST_SECONDS = 0.6, 2.0
_GIF_DPI = 200  # that of the sheets: each pixel of an image is a whole number of pixels


@dataclass(kw_only=True)
class _Shown:
    """Snapshots of one method, of some images."""

    title: str
    snapshots: ShownSnapshots

    @cached_property
    def labels(self) -> ClassLabels:
        """Of its classes."""
        names = self.snapshots.names
        return class_labels(names, spread(range(self.snapshots.classes), len(names)), most=MOST_LETTERS)


def evolution_pages(expected: Sequence[ExpectedDistilled], *, title: str) -> tuple[FigurePage, list[FigurePage]]:
    """The strip and the frames of the animation.

    Args:
        expected: one distilled set with snapshots per method, all of one data set and IPC.
        title: of both.

    Returns:
        (strip, frames): with up to ``MANY`` methods, in the strip the first image of some classes (down) at some snapshots
        (across), method beside method; each frame shows up to three images of up to ten classes of every method at one
        snapshot. More methods stand below each other, with one image of each class, by share of their iterations.
    """
    return _strip(expected, title), _frames(expected, title)


def _strip(expected: Sequence[ExpectedDistilled], title: str) -> FigurePage:
    if len(expected) > MANY:
        return _many_strip(
            [_Shown(title=one.method_title, snapshots=_read(one, STRIP_CLASSES, 1)) for one in expected], title
        )
    shown = [_Shown(title=one.method_title, snapshots=_read(one, STRIP_CLASSES, 1)) for one in expected]
    iterations = [spread(one.snapshots.iterations, STRIP_SNAPSHOTS) for one in shown]
    side = max(32, min(_SIDE, _WIDEST // sum(len(numbers) for numbers in iterations)))
    blocks = []
    for number, (one, chosen) in enumerate(zip(shown, iterations, strict=True)):
        for place, iteration in enumerate(chosen):
            heading = f"{one.title}\n{iteration}" if place == 0 else f"\n{iteration}"
            pixels = mosaic(one.snapshots.images[iteration], columns=1, side=side)
            names = one.labels.texts if number == 0 and place == 0 else ()
            space = 0.22 if place == 0 else 0.06
            blocks.append(ImageGrid(heading=heading, pixels=pixels, names=names, space=space))
    caption = f"Columns: snapshots, by distillation iteration. The first image of each class. {_caption(shown)}"
    return compose(blocks, title=title, caption=caption, classes=[shown[0].labels])


def _many_strip(shown: Sequence[_Shown], title: str) -> FigurePage:
    """Methods down; across the first image of some classes, at some shares of each method's iterations."""
    blocks = [
        ImageGrid(
            heading=f"{share} %",
            pixels=_rows_of_methods(shown, share),
            names=tuple(one.title for one in shown) if share == STRIP_SHARES[0] else (),
        )
        for share in STRIP_SHARES
    ]
    caption = (
        "Rows: methods. Columns: the last snapshot within a fraction of a method's iterations, and in each the "
        f"first image of the classes {', '.join(shown[0].labels.texts)}. {_caption(shown)}"
    )
    return compose(blocks, title=title, caption=caption, classes=[shown[0].labels])


def _rows_of_methods(shown: Sequence[_Shown], share: int) -> npt.NDArray[np.float32]:
    """(height, width, 3): a row of images per method, of the last snapshot within ``share`` percent of its iterations."""
    images = [one.snapshots.images[_within(one.snapshots.iterations, share)] for one in shown]
    return mosaic(np.concatenate(images), columns=len(shown[0].snapshots.names), side=_MANY_SIDE)


def _within(iterations: Sequence[int], share: int) -> int:
    """The last of ascending iterations within ``share`` percent of all; the first where none is."""
    return max([number for number in iterations if 100 * number <= share * iterations[-1]], default=iterations[0])


def _frames(expected: Sequence[ExpectedDistilled], title: str) -> list[FigurePage]:
    if len(expected) > MANY:
        many = [_Shown(title=one.method_title, snapshots=_read(one, GIF_CLASSES, 1)) for one in expected]
        return [_many_frame(many, share, title) for share in range(0, 101, 10)]
    shown = [_Shown(title=one.method_title, snapshots=_read(one, GIF_CLASSES, GIF_IMAGES)) for one in expected]
    iterations = sorted({number for one in shown for number in one.snapshots.iterations})
    return [_frame(shown, iteration, title) for iteration in iterations]


def _frame(shown: Sequence[_Shown], iteration: int, title: str) -> FigurePage:
    side = int(np.clip(_FRAME_WIDTH / sum(one.snapshots.per_class for one in shown), 32, 64))
    blocks = []
    for number, one in enumerate(shown):
        # Between two snapshots of a method its images are those of the earlier one.
        at = max(found for found in one.snapshots.iterations if found <= max(iteration, one.snapshots.iterations[0]))
        pixels = mosaic(one.snapshots.images[at], columns=one.snapshots.per_class, side=side)
        blocks.append(ImageGrid(heading=one.title, pixels=pixels, names=one.labels.texts if number == 0 else ()))
    return compose(blocks, title=f"{title}, iteration {iteration}", caption=_caption(shown), classes=[shown[0].labels])


def _many_frame(shown: Sequence[_Shown], share: int, title: str) -> FigurePage:
    names = tuple(one.title for one in shown)
    block = ImageGrid(heading="", pixels=_rows_of_methods(shown, share), names=names)
    return compose([block], title=f"{title}, {share} % of the iterations", caption=_caption(shown))


def _read(expected: ExpectedDistilled, classes: int, per_class: int) -> ShownSnapshots:
    return read_snapshots(expected, classes=classes, per_class=per_class)


def _caption(shown: Sequence[_Shown]) -> str:
    snapshots = shown[0].snapshots
    parts = ["First distillation seed; denormalised and clipped to [0, 1] for display."]
    for factor in sorted({one.snapshots.partition for one in shown if one.snapshots.partition > 1}):
        titles = [one.title for one in shown if one.snapshots.partition == factor]
        listed = " and ".join([", ".join(titles[:-1]), titles[-1]] if len(titles) > 1 else titles)
        parts.append(f"{listed} in stored form: {factor} {TIMES} {factor} smaller images in each.")
    if len(snapshots.names) < snapshots.classes:
        parts.append(f"{len(snapshots.names)} of {snapshots.classes} classes, evenly spaced.")
    return " ".join(parts)


def write_gif(frames: Sequence[FigurePage], output: Path, *, fingerprint: str) -> None:
    """Write frames as an endless animation; the fingerprint is the file's comment. The same frames give the same bytes."""
    images = [Image.fromarray(_pixels(frame)) for frame in frames]
    colours = [image.quantize(colors=256, dither=Image.Dither.NONE) for image in images]
    durations = [int(1000 * _GIF_SECONDS)] * (len(colours) - 1) + [int(1000 * _LAST_SECONDS)]
    with atomic_path(output) as temporary:
        colours[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=colours[1:],
            duration=durations,
            loop=0,
            comment=fingerprint.encode(),
        )


def _pixels(frame: FigurePage) -> npt.NDArray[np.uint8]:
    """(height, width, 3) of a sheet at the animation's resolution."""
    frame.set_dpi(_GIF_DPI)
    canvas: Any = FigureCanvasAgg(frame)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
