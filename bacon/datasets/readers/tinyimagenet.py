"""TinyImageNet: a zip of JPEG files, read member by member so that it needs little more memory than its images.

The public test images have no labels; as everywhere in the field, the validation images are the test split.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bacon.datasets.archives import open_zip, zip_member
from bacon.datasets.raw import RawDataset, ReadRequest
from bacon.datasets.resize import from_pillow
from bacon.runtime.errors import BaconError
from bacon.runtime.progress import Progress

ARCHIVE = "tiny-imagenet-200.zip"
_ROOT = "tiny-imagenet-200"
_SIDE = 64
_MAX_BYTES = 16 * 1024 * 1024

Labelled = tuple[str, int]


def read(request: ReadRequest) -> RawDataset:
    """The training and validation images, (3, 64, 64) uint8, grey ones as colour.

    Labels follow the sorted identifiers (wnids) of the classes; class names are the words that the archive gives for them.
    """
    archive = request.files[ARCHIVE]
    with open_zip(archive) as file:
        wnids = sorted(_text(file, "wnids.txt").split())
        labels = {wnid: label for label, wnid in enumerate(wnids)}
        train = _train_members(file, labels)
        test = _validation_members(file, labels, archive)
        with Progress(f"reading {ARCHIVE}", len(train) + len(test)) as progress:
            train_images = _images(file, train, archive, progress)
            test_images = _images(file, test, archive, progress)
        names = _class_names(file, wnids)
    return RawDataset(
        train_images=train_images,
        train_labels=np.array([label for _, label in train], dtype=np.int64),
        test_images=test_images,
        test_labels=np.array([label for _, label in test], dtype=np.int64),
        class_names=names,
    )


def _text(file: zipfile.ZipFile, name: str) -> str:
    return zip_member(file, f"{_ROOT}/{name}", limit=_MAX_BYTES).decode("utf-8")


def _train_members(file: zipfile.ZipFile, labels: dict[str, int]) -> list[Labelled]:
    """train/<wnid>/images/<wnid>_<number>.JPEG, ordered by class, then by number."""
    found = []
    for name in file.namelist():
        parts = PurePosixPath(name).parts
        if len(parts) == 5 and parts[:2] == (_ROOT, "train") and parts[3] == "images" and parts[2] in labels:
            number = PurePosixPath(name).stem.rpartition("_")[2]
            found.append((labels[parts[2]], int(number) if number.isdigit() else 0, name))
    return [(name, label) for label, _, name in sorted(found)]


def _validation_members(file: zipfile.ZipFile, labels: dict[str, int], archive: Path) -> list[Labelled]:
    """val/images/<file>, labelled by the first two columns of val/val_annotations.txt, in its order."""
    found = []
    for line in _text(file, "val/val_annotations.txt").splitlines():
        name, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0]
        if wnid not in labels:
            raise BaconError(
                f"{archive}: val_annotations.txt gives {name!r} the class {wnid!r}, which wnids.txt does not list"
            )
        found.append((f"{_ROOT}/val/images/{name}", labels[wnid]))
    return found


def _images(file: zipfile.ZipFile, members: Sequence[Labelled], archive: Path, progress: Progress) -> NDArray[np.uint8]:
    images = np.empty((len(members), 3, _SIDE, _SIDE), dtype=np.uint8)
    for index, (name, _) in enumerate(members):
        images[index] = _decode(zip_member(file, name, limit=_MAX_BYTES), f"{archive}: {name}")
        progress.advance()
    return images


def _decode(content: bytes, what: str) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            if image.size != (_SIDE, _SIDE):
                raise BaconError(f"{what}: {image.size[0]} x {image.size[1]} pixels; expected {_SIDE} x {_SIDE}")
            return from_pillow(image.convert("RGB"))
    except OSError as error:
        raise BaconError(f"{what}: not a JPEG image, or a damaged one: {error}") from None


def _class_names(file: zipfile.ZipFile, wnids: Sequence[str]) -> tuple[str, ...]:
    """The first word given for each class; the identifier behind it where two classes share the word."""
    words = dict(line.split("\t", 1) for line in _text(file, "words.txt").splitlines() if "\t" in line)
    first = [words.get(wnid, wnid).split(",")[0].strip() for wnid in wnids]
    return tuple(
        word if first.count(word) == 1 else f"{word} ({wnid})" for word, wnid in zip(first, wnids, strict=True)
    )
