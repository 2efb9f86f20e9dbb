"""Own data as a folder of class folders of image files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.decoding import UnreadableImageError, probe, read_image
from bacon.datasets.raw import RawDataset, ReadRequest
from bacon.datasets.source import image_files
from bacon.datasets.splits import held_out
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger
from bacon.runtime.progress import Progress

log = get_logger(__name__)

_TRAIN = ("train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")
_NAMED_IN_ERROR = 10


@dataclass(frozen=True)
class _File:
    path: Path
    label: int
    test: bool


class _Unreadable:
    """Files that cannot be read; raises as soon as there are more than the limit, at the end of a pass."""

    def __init__(self, request: ReadRequest) -> None:
        self.request = request
        self.found: list[str] = []

    def add(self, file: _File, error: UnreadableImageError) -> None:
        log.warning("%s: %s", file.path, error)
        self.found.append(f"{file.path.relative_to(self.request.path)}: {error}")

    def check(self) -> None:
        limit = self.request.corrupt_limit
        if len(self.found) > limit:
            named = "".join(f"\n  {text}" for text in self.found[:_NAMED_IN_ERROR])
            more = f"\n  and {len(self.found) - _NAMED_IN_ERROR} more" if len(self.found) > _NAMED_IN_ERROR else ""
            raise BaconError(
                f"{self.request.path}: {len(self.found)} files cannot be read as images, "
                f"data.{self.request.name}.corrupt_limit allows {limit}; repair or delete them, or raise the "
                f"limit:{named}{more}"
            )


def read(request: ReadRequest) -> RawDataset:
    """Read a folder.

    Either ``train`` beside ``test`` (or ``val``), each with one folder per class, or one folder per class alone, of which
    ``request.test_fraction`` of each class is held out for testing. Images may have any size when ``request.size`` is given:
    the shorter side is resized to it, then the centre is cropped. They are turned as their EXIF orientation says;
    transparency is dropped. Classes are the sorted folder names; images are in the order of their paths.

    Raises:
        BaconError: the layout is another one, sizes are mixed and none was given, or more than ``request.corrupt_limit``
            files cannot be read.
    """
    try:
        train, test = _splits(request.path)
        classes = tuple(_folders(train))
        files = _listed(train, classes, test=False) + (_listed(test, classes, test=True) if test is not None else [])
    except OSError as error:
        raise BaconError(f"{error.filename or request.path}: cannot be read: {error.strerror or error}") from None
    if not files:
        raise BaconError(f"{train}: no folder in it holds an image file; there must be one folder of images per class")
    return _dataset(files, classes, request, split=test is None)


def _splits(root: Path) -> tuple[Path, Path | None]:
    """The folder of training classes, and that of test classes unless they are to be split off."""
    found = {name.lower(): root / name for name in _folders(root)}
    train = [found[name] for name in _TRAIN if name in found]
    test = [found[name] for name in _TEST if name in found]
    if not train or not test:
        if len(found) == 1 and train:
            return train[0], None
        return root, None
    unused = sorted(set(found.values()) - {train[0], test[0]})
    if unused:
        log.warning("%s: %s is the test set; not used: %s", root, test[0].name, ", ".join(path.name for path in unused))
    return train[0], test[0]


def _folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _listed(folder: Path, classes: Sequence[str], *, test: bool) -> list[_File]:
    """Every image file in a folder of class folders, in the order of their paths."""
    unknown = sorted(set(_folders(folder)) - set(classes))
    if unknown:
        raise BaconError(f"{folder}: {', '.join(unknown[:_NAMED_IN_ERROR])} is not a class of the training folder")
    stray = [path.name for path in image_files(folder) if path.parent == folder]
    if stray:
        raise BaconError(
            f"{folder}: {', '.join(stray[:_NAMED_IN_ERROR])} is outside the class folders, so it has no class; "
            "move it into one or delete it"
        )
    present = [(label, folder / name) for label, name in enumerate(classes) if (folder / name).is_dir()]
    return [_File(path, label, test) for label, place in present for path in image_files(place)]


def _dataset(files: Sequence[_File], classes: tuple[str, ...], request: ReadRequest, *, split: bool) -> RawDataset:
    unreadable = _Unreadable(request)
    files, channels, size = _probed(files, request, unreadable)
    files, images = _read(files, channels, size, request, unreadable)
    labels = np.array([file.label for file in files], dtype=np.int64)
    if split:
        test = held_out(labels, request.test_fraction, seed=request.split_seed, purpose="test split", name=request.name)
    else:
        test = np.array([file.test for file in files], dtype=bool)
    return RawDataset(
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        class_names=classes,
    )


def _probed(
    files: Sequence[_File], request: ReadRequest, unreadable: _Unreadable
) -> tuple[list[_File], int, tuple[int, int]]:
    """The files that are images, their channels, and the (height, width) that they are brought to."""
    kept, grey, sizes = [], True, dict[tuple[int, int], Path]()
    for file in files:
        try:
            facts = probe(file.path)
        except UnreadableImageError as error:
            unreadable.add(file, error)
            continue
        kept.append(file)
        grey = grey and facts.grey
        sizes.setdefault(facts.size, file.path)
    unreadable.check()
    if not kept:
        raise BaconError(f"{request.path}: holds no image that can be read")
    size = _common_size(sizes, request) if request.size is None else (request.size, request.size)
    return kept, request.channels or (1 if grey else 3), size


def _common_size(sizes: dict[tuple[int, int], Path], request: ReadRequest) -> tuple[int, int]:
    if len(sizes) > 1:
        examples = ", ".join(f"{path} has {height} x {width}" for (height, width), path in list(sizes.items())[:2])
        raise BaconError(
            f"{request.path}: images have {len(sizes)} different sizes (pixels, height x width: {examples}); set "
            f"data.{request.name}.size: the shorter side is resized to it, then the centre is cropped"
        )
    return next(iter(sizes))


def _read(
    files: Sequence[_File], channels: int, size: tuple[int, int], request: ReadRequest, unreadable: _Unreadable
) -> tuple[list[_File], NDArray[np.uint8]]:
    images = _allocated((len(files), channels, *size), request)
    kept: list[_File] = []
    with Progress(f"reading {request.path}", len(files)) as progress:
        for file in files:
            try:
                images[len(kept)] = read_image(file.path, channels=channels, size=request.size)
                kept.append(file)
            except UnreadableImageError as error:
                unreadable.add(file, error)
            progress.advance()
    unreadable.check()
    if not kept:
        raise BaconError(f"{request.path}: holds no image that can be read")
    return kept, images[: len(kept)]


def _allocated(shape: tuple[int, ...], request: ReadRequest) -> NDArray[np.uint8]:
    try:
        return np.empty(shape, dtype=np.uint8)
    except MemoryError:
        raise BaconError(
            f"{request.path}: {shape[0]} images of {shape[1:]} do not fit into memory; set a smaller data.{request.name}.size"
        ) from None
