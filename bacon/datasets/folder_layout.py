"""Which folders of a folder of images are classes, and which are training and test set; what could mean two things is an error.

No torch. The decision is made from names and from where images lie; no file is opened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bacon.datasets.folder_splits import Reading, check_stray, loose, quoted, some_of, splits, unwrapped
from bacon.datasets.image_files import Folder, advice_on, counted, readable_suffixes, scan_folder, suffix_counts
from bacon.runtime.errors import BaconError

Layout = Literal["train and test", "train alone", "class folders"]


@dataclass(frozen=True, kw_only=True)
class FolderLayout:
    """A folder of images, understood.

    Attributes:
        layout: which of the layouts it has.
        classes: names of the classes, sorted.
        train: per class, its image files in the order of their paths.
        test: per class likewise; ``None``: there is no test folder.
        skipped: suffix -> number of files that are not taken.
        warnings: what is odd about it, in words.
    """

    layout: Layout
    classes: tuple[str, ...]
    train: tuple[tuple[Path, ...], ...]
    test: tuple[tuple[Path, ...], ...] | None
    skipped: dict[str, int]
    warnings: tuple[str, ...]


def find_layout(root: Path, key: str) -> FolderLayout:
    """Understand a folder of images.

    Args:
        root: the folder.
        key: the settings of the data set, such as ``data.pictures``, for advice.

    Raises:
        BaconError: it holds no image, its layout is none of those accepted or could be two of them, or it cannot be read.
    """
    reading = Reading(root, key)
    try:
        tree = scan_folder(root)
    except OSError as error:
        raise BaconError(f"{error.filename or root}: cannot be read: {error.strerror or error}") from None
    skipped = suffix_counts(tree.all_others())
    if not tree.holds_images:
        raise BaconError(_nothing_found(root, skipped))
    if skipped:
        advice = advice_on(skipped)
        reading.warnings.append(f"{root}: files not taken: {counted(skipped)}" + (f"; {advice}" if advice else ""))
    top = unwrapped(tree, reading)
    train, test = splits(top, reading)
    layout: Layout = "class folders" if train is top else "train alone" if test is None else "train and test"
    classes = _classes(train, reading)
    return FolderLayout(
        layout=layout,
        classes=tuple(classes),
        train=tuple(tuple(folder.all_images()) for folder in classes.values()),
        test=None if test is None else _test_files(test, train, classes, reading),
        skipped=skipped,
        warnings=tuple(reading.warnings),
    )


def _nothing_found(root: Path, skipped: dict[str, int]) -> str:
    advice = advice_on(skipped)
    return (
        f"{root}: no folder in it holds an image file. Found: {counted(skipped) or 'no files at all'}. Read are "
        f"{readable_suffixes()}, in one folder per class" + (f"; {advice}" if advice else "")
    )


def _classes(train: Folder, reading: Reading) -> dict[str, Folder]:
    """Class name -> folder, sorted by name."""
    check_stray(train, reading)
    found: dict[str, list[Folder]] = defaultdict(list)
    for folder in train.folders:
        found[folder.name].append(folder)
    for name, folders in found.items():
        if len(folders) > 1:
            spelt = " and ".join(ascii(folder.path.name) for folder in folders)
            raise BaconError(
                f"{train.path}: two folders have the name {name!r}, spelt {spelt} (spaces around a name and Unicode forms do "
                "not count); move their images into one of them"
            )
        if not folders[0].holds_images:
            held = counted(suffix_counts(folders[0].all_others())) or "nothing"
            raise BaconError(
                f"{train.path}: no training image of class {name!r}: the folder {folders[0].path.name!r} holds {held}. Put "
                f"images of the class into it ({readable_suffixes()}), or, if it is no class, move it out of {train.path}"
            )
    _warn_of_classes(found, reading)
    return {name: found[name][0] for name in sorted(found)}


def _warn_of_classes(found: dict[str, list[Folder]], reading: Reading) -> None:
    for name, (folder,) in found.items():
        inner = [inner for inner in folder.folders if inner.holds_images]
        if len(inner) > 1 and not folder.images:
            reading.warnings.append(
                f"{folder.path}: all images in its folders {quoted(*inner)} are of the class {name!r}; if those folders are "
                "the classes, move them one level up"
            )


def alike_names(names: Iterable[str]) -> list[str]:
    """A warning for each group of classes whose names differ by letter case or separators only."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[loose(name)].append(name)
    return [
        f"{len(group)} classes have the name {group[0]!r}"
        if len(set(group)) == 1
        else f"classes {' and '.join(map(repr, group))} differ by letter case or separators only; they are read as "
        f"{len(group)} classes"
        for group in alike.values()
        if len(group) > 1
    ]


def _test_files(
    test: Folder, train: Folder, classes: dict[str, Folder], reading: Reading
) -> tuple[tuple[Path, ...], ...]:
    check_stray(test, reading)
    files: dict[str, list[Path]] = {name: [] for name in classes}
    for folder in test.folders:
        if folder.holds_images:
            files[_class_of(folder, test, train, classes, reading)] += folder.all_images()
    return tuple(tuple(found) for found in files.values())


def _class_of(folder: Folder, test: Folder, train: Folder, classes: Iterable[str], reading: Reading) -> str:
    """The training class of a test folder: of the same name, or of the only one that differs by case or separators."""
    name = folder.name
    if name in classes:
        return name
    near = [known for known in classes if loose(known) == loose(name)]
    rivals = [other for other in test.folders if loose(other.name) == loose(name)]
    if len(near) == 1 and len(rivals) == 1:
        reading.warnings.append(f"{folder.path}: read as test images of the class {near[0]!r}")
        return near[0]
    raise BaconError(
        f"{test.path}: the folder {folder.path.name!r} is not a class of the training folder {train.path}, whose classes are "
        f"{some_of(list(classes))}. Rename it to the class that it holds, put training images of it into "
        f"{train.path / name}, or move it out of {test.path}"
    )
