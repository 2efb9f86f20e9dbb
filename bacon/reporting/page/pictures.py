"""Images as ``data:`` addresses, so that the page needs no other file: WebP, small."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence

from bacon.reporting.collect.distilled_files import DisplayImages, read_images
from bacon.reporting.collect.evaluations import RERUN, ExpectedDistilled, check_fingerprint
from bacon.reporting.collect.protocol_text import TIMES
from bacon.reporting.page.views import Picture
from bacon.runtime.errors import BaconError

MAX_FIGURE_WIDTH = 1800
"""Pixels: twice the width of the page's column."""
SHOWN_WIDTH = 680
"""Pixels that a cell's picture may take in the page; it is enlarged by a whole factor."""
MAX_CLASSES = 10
MAX_IMAGES = 10
MAX_HEIGHT = 240
"""Pixels of a cell's picture, which bounds its size in bytes; at least one image per class is shown."""
_GAP = 1
_FULL_HEIGHT = 200  # pictures that all have the full height
# Noise of synthetic images does not compress; at this quality the loss is not seen at three times the size.
_QUALITY = 75


def figure_picture(path: Path, fingerprint: str) -> Picture:
    """A figure's png, without loss, at most ``MAX_FIGURE_WIDTH`` pixels wide.

    Raises:
        BaconError: the file is missing, not an image, or has another fingerprint.
    """
    try:
        with Image.open(path) as opened:
            check_fingerprint(path, expected=fingerprint, found=opened.info.get("Fingerprint"))
            image = opened.convert("RGB")
    except FileNotFoundError as error:
        raise BaconError(f"{path}: the figure is missing. {RERUN}") from error
    except OSError as error:
        raise BaconError(f"{path}: not a readable image ({error}). Delete it and run `snakemake` again.") from error
    if image.width > MAX_FIGURE_WIDTH:
        height = round(image.height * MAX_FIGURE_WIDTH / image.width)
        image = image.resize((MAX_FIGURE_WIDTH, height), Image.Resampling.LANCZOS)
    return _picture([image], lossless=True, factor=1)


def animation(path: Path, fingerprint: str) -> Picture:
    """An animated figure's frames, of its gif, without loss and in its own size: a third of the gif's bytes.

    Raises:
        BaconError: the file is missing, not an animation, or has another fingerprint.
    """
    try:
        with Image.open(path) as opened:
            comment = bytes(opened.info.get("comment", b""))
            check_fingerprint(path, expected=fingerprint, found=comment.decode(errors="replace"))
            shown = [(frame.convert("RGB"), int(frame.info["duration"])) for frame in ImageSequence.Iterator(opened)]
    except FileNotFoundError as error:
        raise BaconError(f"{path}: the animation is missing. {RERUN}") from error
    except (OSError, KeyError, EOFError) as error:
        raise BaconError(
            f"{path}: not a readable animation ({error!r}). Delete it and run `snakemake` again."
        ) from error
    frames, milliseconds = zip(*shown, strict=True)
    return _picture(frames, lossless=True, factor=1, duration=milliseconds)


def picture_height(pictures: int) -> int:
    """Pixels of each of so many cells' pictures, which bounds what all of them take."""
    return max(1, min(MAX_HEIGHT, MAX_HEIGHT * _FULL_HEIGHT // max(1, pictures)))


def cell_picture(expected: ExpectedDistilled, *, height: int = MAX_HEIGHT) -> tuple[Picture, str]:
    """A few images of a distilled set, one column per class, and the words beneath them.

    Args:
        expected: the distilled file.
        height: pixels that the picture may have; it always has one image per class.

    Raises:
        BaconError: the file is missing, unreadable or of another fingerprint.
    """
    images = read_images(expected, choose=partial(_chosen, most_pixels=height))
    image = Image.fromarray(_columns_of_classes(images))
    factor = max(1, SHOWN_WIDTH // image.width)
    return _picture([image], lossless=False, factor=factor), _caption(images, expected.ipc)


def _chosen(labels: npt.NDArray[np.int64], height: int, *, most_pixels: int) -> npt.NDArray[np.int64]:
    """Indices of the images to show: the first few of at most ten classes, evenly spaced; increasing."""
    count = int(labels.max()) + 1
    classes = np.unique(np.linspace(0, count - 1, min(count, MAX_CLASSES)).round().astype(np.int64))
    most = max(1, min(MAX_IMAGES, (most_pixels + _GAP) // (height + _GAP)))
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:most] for label in classes]))


def _columns_of_classes(images: DisplayImages) -> npt.NDArray[np.uint8]:
    """The images on grey, (height, width, 3): each column is a class."""
    _, channels, height, width = images.final.shape
    colour = images.final if channels == 3 else np.repeat(images.final.mean(axis=1, keepdims=True), 3, axis=1)
    pixels = (255 * colour.transpose(0, 2, 3, 1)).round().astype(np.uint8)
    columns = [pixels[images.labels == label] for label in np.unique(images.labels)]
    rows = max(len(column) for column in columns)
    canvas = np.full((rows * (height + _GAP) - _GAP, len(columns) * (width + _GAP) - _GAP, 3), 128, np.uint8)
    for place, column in enumerate(columns):
        for row, image in enumerate(column):
            top, left = row * (height + _GAP), place * (width + _GAP)
            canvas[top : top + height, left : left + width] = image
    return canvas


def _caption(images: DisplayImages, ipc: int) -> str:
    shown = np.unique(images.labels)
    per_class = int(np.count_nonzero(images.labels == shown[0]))
    names = ", ".join(images.class_names[label] for label in shown)
    parts = [f"Columns, left to right: {names}."]
    if len(shown) < len(images.class_names):
        parts.append(f"{len(shown)} of {len(images.class_names)} classes, evenly spaced.")
    if per_class < ipc:
        parts.append(f"The first {per_class} of {ipc} images per class.")
    parts.append(f"Iteration {images.iterations}." if images.iterations else "Real images.")
    if images.partition > 1:
        parts.append(f"Each stored image holds {images.partition} {TIMES} {images.partition} smaller ones.")
    if images.label_words:
        parts.append(images.label_words)
    return " ".join([*parts, "Clipped to [0, 1] and compressed for display."])


def _picture(images: Sequence[Image.Image], *, lossless: bool, factor: int, duration: Sequence[int] = (0,)) -> Picture:
    """One image, or the frames of an endless animation with the milliseconds of each."""
    buffer, first = io.BytesIO(), images[0]
    moving = {"save_all": True, "append_images": images[1:], "duration": list(duration), "loop": 0}
    options: dict[str, Any] = moving if len(images) > 1 else {}
    first.save(buffer, "WEBP", lossless=lossless, quality=_QUALITY, method=4, **options)
    uri = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return Picture(uri=uri, shown_width=factor * first.width, shown_height=factor * first.height)
