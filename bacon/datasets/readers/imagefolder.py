"""Own data as a folder of class folders of image files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bacon.datasets.raw import RawDataset, ReadRequest
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger

log = get_logger(__name__)

_TRAIN = ("train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")
_GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"})
_NAMED_IN_ERROR = 10


@dataclass(frozen=True)
class _File:
    path: Path
    label: int


def read(request: ReadRequest) -> RawDataset:
    """Read a folder.

    Either ``train`` beside ``test`` (or ``val``), each with one folder per class, or one folder per class alone, of which
    ``request.test_fraction`` of each class is held out for testing. Images may have any size when ``request.size`` is given:
    the shorter side is scaled to it and the centre is cropped. Classes are the sorted folder names; images are in the order
    of their paths.

    Raises:
        BaconError: the layout is another one, sizes are mixed and none was given, or more than ``request.corrupt_limit``
            files cannot be read.
    """
    root, found = request.path, _splits(request.path)
    classes = _classes(found["train"])
    files = {split: _listed(folder, classes) for split, folder in found.items()}
    every = [file for listed in files.values() for file in listed]
    channels, unreadable = _probe(every, request)
    read_files, images, more = _read_all(every, channels, request, root)
    _report(unreadable | more, request, root)
    labels = np.array([file.label for file in read_files], dtype=np.int64)
    if len(labels) == 0:
        raise BaconError(f"{root}: holds no image that can be read")
    test = _test_mask(files, read_files, labels, request)
    return RawDataset(
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        class_names=classes,
    )
