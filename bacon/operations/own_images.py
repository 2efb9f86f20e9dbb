"""What was found in a folder or file of own data, in words for its owner: counts, sizes, and what is odd. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bacon.datasets.shares import held_out_count
from bacon.operations.configuration_text import readable
from bacon.operations.first_configuration import TEST_FRACTION, OwnImages
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.datasets.source_summary import SourceSummary

_ALL_CLASSES = 12
_SOME_CLASSES = 8
_FEW_IMAGES = 10
_UNBALANCED = 10
_ELONGATED = 2
_SMALL_SIDE = 28


def own_images(summary: SourceSummary, *, path: str, title: str, unreadable: int) -> OwnImages:
    """The facts that a configuration depends on.

    Args:
        summary: what was found.
        path: the path as the configuration is to name it.
        title: name in tables and figures.
        unreadable: files that cannot be read as images.

    Raises:
        BaconError: the data cannot be used as they are; the message says what to do.
    """
    if summary.problems or not summary.classes:
        raise BaconError("\n".join(summary.problems) or f"{summary.path}: {summary.kind}, without classes")
    (square,) = summary.sizes if len(summary.sizes) == 1 else ((0, 1),)
    return OwnImages(
        format=str(summary.format),
        path=path,
        title=title,
        classes=summary.classes,
        train=summary.train_counts,
        test=summary.test_counts,
        sides=summary.shorter_sides(),
        square=square[0] if square[0] == square[1] else None,
        channels=summary.channels or 3,
        unreadable=unreadable,
        value_range=summary.value_range,
    )


def some(names: Sequence[str]) -> str:
    """Names in quotes, the first few of them."""
    more = f" and {len(names) - _SOME_CLASSES} more" if len(names) > _SOME_CLASSES else ""
    return ", ".join(f"'{readable(name)}'" for name in names[:_SOME_CLASSES]) + more


def described(own: OwnImages, summary: SourceSummary) -> Iterator[tuple[str, str]]:
    """(what, how it is) of own data, a line each."""
    yield "what", summary.kind
    names = [readable(name) for name in own.classes]
    shown = names if len(names) <= _ALL_CLASSES else [*names[:_SOME_CLASSES], "..."]
    yield "classes", f"{len(names)}: {', '.join(shown)}"
    yield "training", _counts(own.train)
    if own.test is None:
        yield "test", f"no test set: {TEST_FRACTION:.0%} of each class, {own.tested} images, will be held out"
    else:
        yield "test", _counts(own.test)
    yield "size", _sizes(summary)
    yield "pixels", ", ".join(f"{mode} ({count})" for mode, count in summary.modes.items())


def _counts(counts: Sequence[int]) -> str:
    total, low, high = sum(counts), min(counts), max(counts)
    return f"{total} images, {low} per class" if low == high else f"{total} images, {low} to {high} per class"


def _sizes(summary: SourceSummary) -> str:
    """Width x height, as people say it."""
    if len(summary.sizes) == 1:
        ((height, width),) = summary.sizes
        return f"all {width} x {height} pixels"
    widths, heights = [width for _, width in summary.sizes], [height for height, _ in summary.sizes]
    low, middle, high = summary.shorter_sides()
    return (
        f"{min(widths)} to {max(widths)} pixels wide, {min(heights)} to {max(heights)} high; shorter side {low} to {high}, "
        f"half of them below {middle}"
    )


def remarks(own: OwnImages, summary: SourceSummary, found: Sequence[str]) -> Iterator[str]:
    """What is odd about own data, and what follows from it.

    Args:
        own: the data.
        summary: what inspecting them found.
        found: what reading them found besides; empty where they were not read.
    """
    known = [each for each in summary.warnings if not any(other.startswith(each) for other in found)]
    left_out = f"{own.path}: {own.unreadable} unreadable"  # said with the files' names
    yield from dict.fromkeys((*known, *(each for each in found if not each.startswith(left_out))))
    counts = dict(zip(own.classes, own.kept, strict=True))
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[most] >= _UNBALANCED * counts[least]:
        yield (
            f"unbalanced: {some([most])} has {counts[most]} training images, {some([least])} {counts[least]}. Every class "
            "gets the same number of distilled images, and accuracy counts every test image alike"
        )
    few = [name for name, count in counts.items() if count < _FEW_IMAGES]
    if few:
        yield f"few training images (fewer than {_FEW_IMAGES}): {some(few)}; they limit how many images a set can have"
    tested = own.test or [held_out_count(count, TEST_FRACTION) for count in own.train]
    if max(tested) < _FEW_IMAGES:
        yield f"no class has more than {_count(max(tested), 'test image')}: accuracies will be coarse"
    yield from _size_remarks(own, summary)
    if own.value_range is not None:
        low, high = own.value_range
        yield f"{low:g} is taken for black and {high:g} for white, as the values suggest: value_range, if that is wrong"
    if own.unreadable > summary.unreadable:
        yield f"{_count(own.unreadable, 'file')} in all cannot be read as images"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size_remarks(own: OwnImages, summary: SourceSummary) -> Iterator[str]:
    images = sum(summary.sizes.values())
    long = sum(count for size, count in summary.sizes.items() if max(size) > _ELONGATED * min(size))
    if long:
        yield (
            f"{long} of {images} images are more than twice as long as wide; the centre is cropped to a square, the rest is "
            "lost"
        )
    if own.sides[1] < _SMALL_SIDE:
        yield f"the images are small: half of them have fewer than {own.sides[1] + 1} pixels on the shorter side"
