"""What is found when a folder or file of the user's own data is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bacon.datasets.folder_layout import alike_names

_NAMED = 10
Format = Literal["imagefolder", "npz", "hdf5"]


@dataclass(frozen=True, kw_only=True)
class SourceSummary:
    """What was found at a path.

    Attributes:
        path: where.
        kind: what it is, in words: ``a folder of class folders``, ``NumPy arrays (.npz)``, ``a zip archive with 12 images``.
        format: the value for ``data.NAME.format``; ``None``: it cannot be used as it is, and ``problems`` say what to do.
        layout: image folder: ``train and test``, ``train alone`` or ``class folders``; of the last two, a share of each
            class becomes the test set. Arrays: ``train and test`` or ``train alone``. ``None``: not understood.
        classes: names in label order; numbers where the source names none.
        train_counts: training images per class, in label order.
        test_counts: test images per class; ``None``: the source has no test set.
        sizes: (height, width) in pixels -> number of images, of those looked at.
        modes: kind of pixels -> number of images, of those looked at: Pillow's modes, or the type of an array.
        channels: 1 where everything looked at is grey, else 3; ``None``: unknown.
        values: smallest and largest value where they are not known from the type: arrays, and images of more than 8 bits.
        value_range: what ``data.NAME.value_range`` should be, where it has to be set; ``warnings`` say why.
        probed: number of images looked at.
        unreadable: number of files, of those looked at, that cannot be read; what ``data.NAME.corrupt_limit`` must allow.
        skipped: suffix -> number of files that are not taken for images.
        problems: why it cannot be used as it is, each with what to do; empty: it can.
        warnings: what is odd but does not hinder.
    """

    path: Path
    kind: str
    format: Format | None = None
    layout: Literal["train and test", "train alone", "class folders"] | None = None
    classes: tuple[str, ...] = ()
    train_counts: tuple[int, ...] = ()
    test_counts: tuple[int, ...] | None = None
    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    channels: Literal[1, 3] | None = None
    values: tuple[float, float] | None = None
    value_range: tuple[float, float] | None = None
    probed: int = 0
    unreadable: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """Images in all."""
        return sum(self.train_counts) + sum(self.test_counts or ())

    def shorter_sides(self) -> tuple[int, int, int]:
        """Smallest, median and largest shorter side of the images looked at, in pixels; zeros when there are none."""
        sides = np.repeat([min(size) for size in self.sizes], list(self.sizes.values()))
        return (int(sides.min()), int(np.median(sides)), int(sides.max())) if len(sides) else (0, 0, 0)


def with_class_problems(summary: SourceSummary) -> SourceSummary:
    """The summary with what is wrong with its classes, and what is odd about them."""
    problems, warnings = [], alike_names(summary.classes)
    if len(summary.classes) < 2:
        problems.append(
            f"{summary.path}: there is only one class ({some_names(summary.classes)}); classification needs at least two. Add "
            "images of another class, or sort its images into one folder, or label, per class"
        )
    single = [name for name, count in zip(summary.classes, summary.train_counts, strict=False) if count == 1]
    if single and summary.test_counts is None:
        problems.append(
            f"{summary.path}: only one image of {some_names(single)}; at least 2 are needed to hold out a test set. "
            f"Add images, "
            "leave the class out, or bring a test set of your own"
        )
    elif single:
        warnings.append(f"only one training image of {named_classes(single)}")
    empty = [name for name, count in zip(summary.classes, summary.test_counts or (), strict=False) if count == 0]
    if empty:
        warnings.append(f"no test images of {named_classes(empty)}")
    return replace(summary, problems=(*summary.problems, *problems), warnings=(*summary.warnings, *warnings))


def some_names(names: Sequence[str]) -> str:
    """The first names in quotes, and how many more."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(repr, names[:5])) + more


def named_classes(names: Sequence[str]) -> str:
    """Classes in words, the first ten of them: ``class 'cat'``, ``3 classes: 'cat', 'dog', 'fish'``."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ("class " if len(names) == 1 else f"{len(names)} classes: ") + ", ".join(map(repr, names[:_NAMED])) + more
