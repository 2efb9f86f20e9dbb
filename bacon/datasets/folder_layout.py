"""Which folders of a folder of images are classes, and which are training and test set; what could mean two things is an error.

No torch. The decision is made from names and from where images lie; no file is opened.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bacon.datasets.image_files import Folder, advice_on, counted, readable_suffixes, scan_folder, suffix_counts
from bacon.runtime.errors import BaconError

Layout = Literal["train and test", "train alone", "class folders"]
Role = Literal["train", "test", "validation"]

ACCEPTED = (
    "train or training beside test, testing, val, valid, validation, eval or evaluation (any letter case), each with one "
    "folder per class; or one folder per class alone"
)
_ENDING = "(set|data|split|images|dataset)?$"
_ROLES: dict[Role, re.Pattern[str]] = {
    "train": re.compile(f"^(train|training){_ENDING}"),
    "test": re.compile(f"^(test|testing){_ENDING}"),
    "validation": re.compile(f"^(val|valid|validation|eval|evaluation|holdout){_ENDING}"),
}
_NAMED = 5


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


@dataclass
class _Reading:
    """One attempt: the folder, the key that names it, and what is odd so far."""

    root: Path
    key: str
    warnings: list[str] = field(default_factory=list)


def find_layout(root: Path, key: str) -> FolderLayout:
    """Understand a folder of images.

    Args:
        root: the folder.
        key: the settings of the data set, such as ``data.pictures``, for advice.

    Raises:
        BaconError: it holds no image, its layout is none of those accepted or could be two of them, or it cannot be read.
    """
    reading = _Reading(root, key)
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
    top = _unwrapped(tree, reading)
    train, test = _splits(top, reading)
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


def _role(folder: Folder) -> Role | None:
    """What a folder is by its name."""
    return next((role for role, pattern in _ROLES.items() if pattern.match(_loose(folder.name))), None)


def _unwrapped(tree: Folder, reading: _Reading, *, in_split: bool = False) -> Folder:
    """The first folder, going down, that holds more than one folder or, but in a split, a training or test set alone."""
    while not tree.images and len(tree.folders) == 1 and tree.folders[0].holds_folders:
        if tree.folders[0].images or (_role(tree.folders[0]) is not None and not in_split):
            break
        tree = tree.folders[0]
        reading.warnings.append(f"{reading.root}: its only folder is read in its place: {tree.path}")
    return tree


def _splits(top: Folder, reading: _Reading) -> tuple[Folder, Folder | None]:
    """The folder of training classes, and that of test classes unless they are to be split off."""
    named = [folder for folder in top.folders if _role(folder) is not None]
    if not any(folder.holds_folders for folder in named):
        _check_class_folders(top, named, reading)
        return top, None
    _check_stray(top, reading)
    train = _train_folder(top, named, reading)
    test = _test_folder(top, train, [folder for folder in named if _role(folder) != "train"], reading)
    unused = [folder for folder in top.folders if folder not in (train, test) and folder.holds_images]
    if test is None and unused:
        raise BaconError(
            f"{top.path}: holds {_quoted(train)} beside {_quoted(*unused)}, which may be a test set or classes. Accepted "
            f"are {ACCEPTED}. Rename the test set to 'test'; or set {reading.key}.path to {train.path}, of which a share is "
            f"held out for testing; or, if {train.path.name!r} is a class, move the images in its folders directly into it"
        )
    if unused and test is not None:
        counts = ", ".join(f"{folder.name} ({len(folder.all_images())} images)" for folder in unused)
        reading.warnings.append(f"{top.path}: {test.name} is the test set; not used: {counts}")
    inner = _inner(train, reading)
    if test is not None and _is_unsorted(test, inner):
        raise BaconError(_without_classes(test, train, reading))
    return inner, test if test is None else _inner(test, reading, inner)


def _is_unsorted(test: Folder, train: Folder) -> bool:
    """Whether all test images lie in one folder that is no class."""
    known = {_loose(folder.name) for folder in train.folders}
    return (
        len(test.folders) == 1
        and len(known) > 1
        and bool(test.folders[0].images)
        and _loose(test.folders[0].name) not in known
    )


def _without_classes(test: Folder, train: Folder, reading: _Reading) -> str:
    what = "images without class folders, so they have no class" if test.holds_images else "no image"
    return (
        f"{test.path}: holds {what}. Sort test images into one folder per class, named as those of {train.path}; or set "
        f"{reading.key}.path to {train.path}, of which a share is held out for testing"
    )


def _check_class_folders(top: Folder, named: Sequence[Folder], reading: _Reading) -> None:
    """Whether the folders of ``top`` are classes and nothing else, though some may have the name of a split."""
    filled = [folder for folder in top.folders if folder.holds_images]
    flat = [folder for folder in named if folder.images]
    others = [folder for folder in filled if folder not in flat]
    if flat and not others:
        raise BaconError(
            f"{top.path}: {_quoted(*flat)} hold images directly, without class folders, so no image has a class. Make one "
            f"folder per class in each, such as {flat[0].path / 'cat' / flat[0].images[0].name}"
        )
    tests = [folder for folder in flat if _role(folder) != "train"]
    if tests and len(others) > 1:
        raise BaconError(
            f"{top.path}: {_quoted(*tests)} holds images directly beside the folders {_quoted(*others)}: it may be a class, "
            f"or a test set whose images have no class. If it is a class, move all class folders into a new folder "
            f"{top.path / 'train'}; if it is a test set, move those into {top.path / 'train'} and sort the images of "
            f"{tests[0].name!r} into class folders as well, or move it out of {top.path}"
        )
    if flat:
        reading.warnings.append(f"{top.path}: {_quoted(*flat)} is read as a class, because it holds images directly")
    _check_stray(top, reading)
    _check_inverted(filled, top, reading)


def _check_inverted(classes: Sequence[Folder], top: Folder, reading: _Reading) -> None:
    """Training and test folders inside of each folder: classes turned inside out, or several data sets."""
    inverted = [folder for folder in classes if any(_role(inner) and inner.holds_images for inner in folder.folders)]
    if inverted:
        first = inverted[0]
        inner = [folder for folder in first.folders if _role(folder)]
        raise BaconError(
            f"{top.path}: the folders {_quoted(*inverted)} hold {_quoted(*inner)}. If they are classes, move the images to "
            f"{top.path / inner[0].name / first.name} and so on; if they are data sets, set {reading.key}.path to one of them, "
            f"such as {first.path}. Accepted are {ACCEPTED}"
        )


def _train_folder(top: Folder, named: Sequence[Folder], reading: _Reading) -> Folder:
    trains = [folder for folder in named if _role(folder) == "train" and folder.holds_images]
    if len(trains) > 1:
        raise BaconError(
            f"{top.path}: {_quoted(*trains)} are all names of a training set; keep one of them, or set {reading.key}.path to "
            "the one that is meant"
        )
    if not trains:
        first = next(folder for folder in named if folder.holds_folders)
        raise BaconError(
            f"{top.path}: holds {_quoted(*(folder for folder in top.folders if folder.holds_images))} but no training set. "
            f"Accepted are {ACCEPTED}. Rename the folder of training images to 'train', or set {reading.key}.path to "
            f"{first.path}, of which a share is held out for testing"
        )
    if not trains[0].holds_folders:
        raise BaconError(
            f"{trains[0].path}: holds images directly, without class folders, so they have no class; make one folder per "
            f"class in it, such as {trains[0].path / 'cat' / trains[0].images[0].name}"
        )
    return trains[0]


def _test_folder(top: Folder, train: Folder, named: Sequence[Folder], reading: _Reading) -> Folder | None:
    for role in ("test", "validation"):
        found = [folder for folder in named if _role(folder) == role and folder.holds_folders]
        if len(found) > 1:
            raise BaconError(
                f"{top.path}: {_quoted(*found)} are all names of a {role} set; rename the one that is meant to 'test', and "
                f"move the others out of {top.path}"
            )
        if found:
            return found[0]
    if named:
        raise BaconError(_without_classes(named[0], train, reading))
    return None


def _inner(split: Folder, reading: _Reading, train: Folder | None = None) -> Folder:
    """The folder that holds a split's class folders: itself, or one below an extra level."""
    known = {folder.name for folder in train.folders} if train is not None else set()
    if len(split.folders) == 1 and split.folders[0].name not in known:
        return _unwrapped(split, reading, in_split=True)
    return split


def _check_stray(folder: Folder, reading: _Reading) -> None:
    if not folder.images:
        return
    names = ", ".join(path.name for path in folder.images[:_NAMED])
    more = f" and {len(folder.images) - _NAMED} more" if len(folder.images) > _NAMED else ""
    verb = "is" if len(folder.images) == 1 else "are"
    if folder.holds_folders:
        advice = f"move each into the folder of its class, or out of {reading.root}"
    else:
        example = folder.path / "cat" / folder.images[0].name
        advice = (
            f"there are no class folders. Make one folder per class in {folder.path} and move the images of the class into "
            f"it, such as {example}"
        )
    raise BaconError(f"{folder.path}: {names}{more} {verb} outside the class folders, without a class: {advice}")


def _classes(train: Folder, reading: _Reading) -> dict[str, Folder]:
    """Class name -> folder, sorted by name."""
    _check_stray(train, reading)
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


def _warn_of_classes(found: dict[str, list[Folder]], reading: _Reading) -> None:
    for name, (folder,) in found.items():
        inner = [inner for inner in folder.folders if inner.holds_images]
        if len(inner) > 1 and not folder.images:
            reading.warnings.append(
                f"{folder.path}: all images in its folders {_quoted(*inner)} are of the class {name!r}; if those folders are "
                "the classes, move them one level up"
            )


def alike_names(names: Iterable[str]) -> list[str]:
    """A warning for each group of classes whose names differ by letter case or separators only."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[_loose(name)].append(name)
    return [
        f"{len(group)} classes have the name {group[0]!r}"
        if len(set(group)) == 1
        else f"classes {' and '.join(map(repr, group))} differ by letter case or separators only; they are read as "
        f"{len(group)} classes"
        for group in alike.values()
        if len(group) > 1
    ]


def _loose(name: str) -> str:
    return re.sub(r"[\s_.-]+", "", name.casefold())


def _test_files(
    test: Folder, train: Folder, classes: dict[str, Folder], reading: _Reading
) -> tuple[tuple[Path, ...], ...]:
    _check_stray(test, reading)
    files: dict[str, list[Path]] = {name: [] for name in classes}
    for folder in test.folders:
        if folder.holds_images:
            files[_class_of(folder, test, train, classes, reading)] += folder.all_images()
    return tuple(tuple(found) for found in files.values())


def _class_of(folder: Folder, test: Folder, train: Folder, classes: Iterable[str], reading: _Reading) -> str:
    """The training class of a test folder: of the same name, or of the only one that differs by case or separators."""
    name = folder.name
    if name in classes:
        return name
    near = [known for known in classes if _loose(known) == _loose(name)]
    rivals = [other for other in test.folders if _loose(other.name) == _loose(name)]
    if len(near) == 1 and len(rivals) == 1:
        reading.warnings.append(f"{folder.path}: read as test images of the class {near[0]!r}")
        return near[0]
    raise BaconError(
        f"{test.path}: the folder {folder.path.name!r} is not a class of the training folder {train.path}, whose classes are "
        f"{_some(list(classes))}. Rename it to the class that it holds, put training images of it into "
        f"{train.path / name}, or move it out of {test.path}"
    )


def _quoted(*folders: Folder) -> str:
    return _some([folder.path.name for folder in folders])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
