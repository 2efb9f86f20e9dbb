"""Own data as a folder of class folders of image files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.decoding import (
    EIGHT_BITS,
    Decoding,
    ImageFacts,
    PixelRangeError,
    UnreadableImageError,
    probe,
    read_image,
)
from bacon.datasets.deep_images import deep_scale
from bacon.datasets.folder_layout import FolderLayout, find_layout
from bacon.datasets.raw import RawDataset, ReadRequest
from bacon.datasets.splits import held_out
from bacon.datasets.value_ranges import check_levels
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger
from bacon.runtime.progress import Progress

log = get_logger(__name__)

_NAMED_IN_ERROR = 10


@dataclass(frozen=True)
class _File:
    path: Path
    label: int
    test: bool


@dataclass
class _FolderReading:
    """Files that cannot be read, which are an error as soon as there are more than the limit, and what is odd."""

    request: ReadRequest
    warnings: list[str]
    unreadable: list[str] = field(default_factory=list)

    def skip(self, path: Path, error: UnreadableImageError) -> None:
        log.warning("%s: %s", path, error)
        self.unreadable.append(f"{path.relative_to(self.request.path)}: {error}")

    def check(self) -> None:
        """At the end of a pass over the files."""
        found, limit = self.unreadable, self.request.corrupt_limit
        if len(found) > limit:
            named = "".join(f"\n  {text}" for text in found[:_NAMED_IN_ERROR])
            more = f"\n  and {len(found) - _NAMED_IN_ERROR} more" if len(found) > _NAMED_IN_ERROR else ""
            raise BaconError(
                f"{self.request.path}: {len(found)} files cannot be read as images, {self.request.key}.corrupt_limit allows "
                f"{limit}; repair them, move them out of the folder, or set the limit to {len(found)}:{named}{more}"
            )


def read(request: ReadRequest) -> RawDataset:
    """Read a folder.

    Either ``train`` beside ``test`` (or another name of :mod:`bacon.datasets.folder_layout`), each with one folder per
    class, or one folder per class alone, of which ``request.test_fraction`` of each class is held out for testing. Images
    may have any size when ``request.size`` is given: the shorter side is resized to it, then the centre is cropped. They
    are turned as their EXIF orientation says; transparent ones are laid on ``request.background``; of animations the first
    frame is read. Classes are the sorted folder names; images are in the order of their paths.

    Raises:
        BaconError: the layout is another one, sizes are mixed and none was given, the range of pixels is not known, or
            more than ``request.corrupt_limit`` files cannot be read.
    """
    layout = find_layout(request.path, request.key)
    reading = _FolderReading(request, list(layout.warnings))
    files = _probed(_listed(layout), reading)
    images, kept = _read(files, _decoding(files, reading), reading)
    if reading.unreadable:
        reading.warnings.append(f"{request.path}: {len(reading.unreadable)} unreadable files were left out")
    labels = np.array([file.label for file in kept], dtype=np.int64)
    return _dataset(layout, images, labels, np.array([file.test for file in kept], dtype=bool), reading)


def _listed(layout: FolderLayout) -> list[_File]:
    """Every image file in the order of classes and paths, training images first."""
    splits = [(False, layout.train)] + ([(True, layout.test)] if layout.test is not None else [])
    return [
        _File(path, label, test) for test, classes in splits for label, paths in enumerate(classes) for path in paths
    ]


def _dataset(
    layout: FolderLayout,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    test: NDArray[np.bool_],
    reading: _FolderReading,
) -> RawDataset:
    request = reading.request
    if layout.test is None:
        test = held_out(
            labels,
            request.test_fraction,
            seed=request.split_seed,
            purpose="test split",
            name=request.name,
            class_names=layout.classes,
        )
    return RawDataset(
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        class_names=layout.classes,
        warnings=tuple(reading.warnings),
    )


def _probed(files: Sequence[_File], reading: _FolderReading) -> dict[_File, ImageFacts]:
    """The files that are images, with their facts."""
    found: dict[_File, ImageFacts] = {}
    for file in files:
        try:
            found[file] = probe(file.path)
        except UnreadableImageError as error:
            reading.skip(file.path, error)
    reading.check()
    if not found:
        raise _no_image(reading.request)
    animated = sum(facts.animated for facts in found.values())
    if animated:
        reading.warnings.append(f"{reading.request.path}: of {animated} animated images the first frame is read")
    return found


def _no_image(request: ReadRequest) -> BaconError:
    return BaconError(
        f"{request.path}: holds no image that can be read, and {request.key}.corrupt_limit = {request.corrupt_limit} lets "
        "all of them be left out; replace them by undamaged copies"
    )


def _decoding(files: dict[_File, ImageFacts], reading: _FolderReading) -> Decoding:
    """How the images are decoded, from the facts of all of them."""
    request = reading.request
    if request.size is None:
        _check_sizes({facts.size: file.path for file, facts in reversed(files.items())}, request)
    deep = deep_scale({file.path: facts for file, facts in files.items() if facts.bits > 8}, request)
    if deep is not None and request.value_range is None:
        reading.warnings.append(
            f"{request.path}: 16-bit images are read as values in {deep}, the fewest bits that hold their largest value; "
            f"{request.key}.value_range says otherwise"
        )
    only_deep = deep is not None or request.value_range is None
    return Decoding(
        background=request.background,
        scale=EIGHT_BITS if only_deep or request.value_range is None else request.value_range,
        deep_scale=deep,
    )


def _stays_grey(facts: ImageFacts, request: ReadRequest) -> bool:
    """Whether an image has no colour, nor gets one from the background."""
    return facts.grey and (not facts.transparent or len(set(request.background)) == 1)


def _check_sizes(sizes: dict[tuple[int, int], Path], request: ReadRequest) -> None:
    if len(sizes) > 1:
        examples = ", ".join(f"{path} has {height} x {width}" for (height, width), path in list(sizes.items())[:-3:-1])
        raise BaconError(
            f"{request.path}: images have {len(sizes)} different sizes (pixels, height x width: {examples}); set "
            f"{request.key}.size: the shorter side is resized to it, then the centre is cropped"
        )


def _read(
    files: dict[_File, ImageFacts], decoding: Decoding, reading: _FolderReading
) -> tuple[NDArray[np.uint8], list[_File]]:
    request, first = reading.request, next(iter(files.values()))
    size = first.size if request.size is None else (request.size, request.size)
    channels = request.channels or (1 if all(_stays_grey(facts, request) for facts in files.values()) else 3)
    images = _allocated((len(files), channels, *size), request)
    kept: list[_File] = []
    with Progress(f"reading {request.path}", len(files)) as progress:
        for file in files:
            try:
                images[len(kept)] = read_image(file.path, channels=channels, size=request.size, decoding=decoding)
                kept.append(file)
            except PixelRangeError as error:
                raise BaconError(f"{file.path}: {error}; change {request.key}.value_range to hold them") from None
            except UnreadableImageError as error:
                reading.skip(file.path, error)
            progress.advance()
    reading.check()
    if not kept:
        raise _no_image(request)
    images = images[: len(kept)]
    if decoding.scale == EIGHT_BITS and request.value_range is None:
        reading.warnings += check_levels(images, f"{request.path}: every image", request.key)
    return images, kept


def _allocated(shape: tuple[int, ...], request: ReadRequest) -> NDArray[np.uint8]:
    try:
        return np.empty(shape, dtype=np.uint8)
    except MemoryError:
        smaller = "set a smaller" if request.size is not None else "set"
        raise BaconError(
            f"{request.path}: {shape[0]} images of {shape[1:]} do not fit into memory; {smaller} {request.key}.size, the side "
            "that they are resized to"
        ) from None
