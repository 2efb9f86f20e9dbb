"""Which folders of a folder of images are training and test set, by their names; what could mean two things is an error."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bacon.datasets.image_files import Folder
from bacon.runtime.errors import BaconError

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


@dataclass
class Reading:
    """One attempt: the folder, the key that names it, and what is odd so far."""

    root: Path
    key: str
    warnings: list[str] = field(default_factory=list)


def unwrapped(tree: Folder, reading: Reading, *, in_split: bool = False) -> Folder:
    """The first folder, going down, that holds more than one folder or, but in a split, a training or test set alone."""
    while not tree.images and len(tree.folders) == 1 and tree.folders[0].holds_folders:
        if tree.folders[0].images or (_role(tree.folders[0]) is not None and not in_split):
            break
        tree = tree.folders[0]
        reading.warnings.append(f"{reading.root}: its only folder is read in its place: {tree.path}")
    return tree


def splits(top: Folder, reading: Reading) -> tuple[Folder, Folder | None]:
    """The folder of training classes, and that of test classes unless they are to be split off."""
    named = [folder for folder in top.folders if _role(folder) is not None]
    if not any(folder.holds_folders for folder in named):
        _check_class_folders(top, named, reading)
        return top, None
    check_stray(top, reading)
    train = _train_folder(top, named, reading)
    test = _test_folder(top, train, [folder for folder in named if _role(folder) != "train"], reading)
    unused = [folder for folder in top.folders if folder not in (train, test) and folder.holds_images]
    if test is None and unused:
        raise BaconError(
            f"{top.path}: holds {quoted(train)} beside {quoted(*unused)}, which may be a test set or classes. Accepted "
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


def _role(folder: Folder) -> Role | None:
    """What a folder is by its name."""
    return next((role for role, pattern in _ROLES.items() if pattern.match(loose(folder.name))), None)


def _is_unsorted(test: Folder, train: Folder) -> bool:
    """Whether all test images lie in one folder that is no class."""
    known = {loose(folder.name) for folder in train.folders}
    return (
        len(test.folders) == 1
        and len(known) > 1
        and bool(test.folders[0].images)
        and loose(test.folders[0].name) not in known
    )


def _without_classes(test: Folder, train: Folder, reading: Reading) -> str:
    what = "images without class folders, so they have no class" if test.holds_images else "no image"
    return (
        f"{test.path}: holds {what}. Sort test images into one folder per class, named as those of {train.path}; or set "
        f"{reading.key}.path to {train.path}, of which a share is held out for testing"
    )


def _check_class_folders(top: Folder, named: Sequence[Folder], reading: Reading) -> None:
    """Whether the folders of ``top`` are classes and nothing else, though some may have the name of a split."""
    filled = [folder for folder in top.folders if folder.holds_images]
    flat = [folder for folder in named if folder.images]
    others = [folder for folder in filled if folder not in flat]
    if flat and not others:
        raise BaconError(
            f"{top.path}: {quoted(*flat)} hold images directly, without class folders, so no image has a class. Make one "
            f"folder per class in each, such as {flat[0].path / 'cat' / flat[0].images[0].name}"
        )
    tests = [folder for folder in flat if _role(folder) != "train"]
    if tests and len(others) > 1:
        raise BaconError(
            f"{top.path}: {quoted(*tests)} holds images directly beside the folders {quoted(*others)}: it may be a class, "
            f"or a test set whose images have no class. If it is a class, move all class folders into a new folder "
            f"{top.path / 'train'}; if it is a test set, move those into {top.path / 'train'} and sort the images of "
            f"{tests[0].name!r} into class folders as well, or move it out of {top.path}"
        )
    if flat:
        reading.warnings.append(f"{top.path}: {quoted(*flat)} is read as a class, because it holds images directly")
    check_stray(top, reading)
    _check_inverted(filled, top, reading)


def _check_inverted(classes: Sequence[Folder], top: Folder, reading: Reading) -> None:
    """Training and test folders inside of each folder: classes turned inside out, or several data sets."""
    inverted = [folder for folder in classes if any(_role(inner) and inner.holds_images for inner in folder.folders)]
    if inverted:
        first = inverted[0]
        inner = [folder for folder in first.folders if _role(folder)]
        raise BaconError(
            f"{top.path}: the folders {quoted(*inverted)} hold {quoted(*inner)}. If they are classes, move the images to "
            f"{top.path / inner[0].name / first.name} and so on; if they are data sets, set {reading.key}.path to one of them, "
            f"such as {first.path}. Accepted are {ACCEPTED}"
        )


def _train_folder(top: Folder, named: Sequence[Folder], reading: Reading) -> Folder:
    trains = [folder for folder in named if _role(folder) == "train" and folder.holds_images]
    if len(trains) > 1:
        raise BaconError(
            f"{top.path}: {quoted(*trains)} are all names of a training set; keep one of them, or set {reading.key}.path to "
            "the one that is meant"
        )
    if not trains:
        first = next(folder for folder in named if folder.holds_folders)
        raise BaconError(
            f"{top.path}: holds {quoted(*(folder for folder in top.folders if folder.holds_images))} but no training set. "
            f"Accepted are {ACCEPTED}. Rename the folder of training images to 'train', or set {reading.key}.path to "
            f"{first.path}, of which a share is held out for testing"
        )
    if not trains[0].holds_folders:
        raise BaconError(
            f"{trains[0].path}: holds images directly, without class folders, so they have no class; make one folder per "
            f"class in it, such as {trains[0].path / 'cat' / trains[0].images[0].name}"
        )
    return trains[0]


def _test_folder(top: Folder, train: Folder, named: Sequence[Folder], reading: Reading) -> Folder | None:
    for role in ("test", "validation"):
        found = [folder for folder in named if _role(folder) == role and folder.holds_folders]
        if len(found) > 1:
            raise BaconError(
                f"{top.path}: {quoted(*found)} are all names of a {role} set; rename the one that is meant to 'test', and "
                f"move the others out of {top.path}"
            )
        if found:
            return found[0]
    if named:
        raise BaconError(_without_classes(named[0], train, reading))
    return None


def _inner(split: Folder, reading: Reading, train: Folder | None = None) -> Folder:
    """The folder that holds a split's class folders: itself, or one below an extra level."""
    known = {folder.name for folder in train.folders} if train is not None else set()
    if len(split.folders) == 1 and split.folders[0].name not in known:
        return unwrapped(split, reading, in_split=True)
    return split


def check_stray(folder: Folder, reading: Reading) -> None:
    """Raise :class:`BaconError` for images beside the class folders."""
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


def loose(name: str) -> str:
    """A name without letter case and separators, by which folders are compared."""
    return re.sub(r"[\s_.-]+", "", name.casefold())


def quoted(*folders: Folder) -> str:
    """The names of folders in quotes, cut to the first few."""
    return some_of([folder.path.name for folder in folders])


def some_of(names: Sequence[str]) -> str:
    """Names in quotes, cut to the first few."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
