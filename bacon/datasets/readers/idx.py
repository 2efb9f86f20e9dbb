"""MNIST and FashionMNIST: four idx files, gzipped or not (format: http://yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.layout import to_labels
from bacon.datasets.raw import RawDataset, ReadRequest
from bacon.runtime.errors import BaconError

_UNSIGNED_BYTE = 0x08
# MNIST's training images hold 47 MB; ten times that is no idx file of this family.
_MAX_BYTES = 512 * 1024 * 1024


def read(request: ReadRequest) -> RawDataset:
    """The images, (1, 28, 28) uint8, and labels of the four official files."""
    arrays = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images = read_idx(request.files[f"{prefix}-images-idx3-ubyte.gz"], dimensions=3)
        labels = read_idx(request.files[f"{prefix}-labels-idx1-ubyte.gz"], dimensions=1)
        arrays[split] = (images[:, None], to_labels(labels, f"{request.name}: {split} labels"))
    (train_images, train_labels), (test_images, test_labels) = arrays["train"], arrays["test"]
    return RawDataset(
        train_images=train_images, train_labels=train_labels, test_images=test_images, test_labels=test_labels
    )


def read_idx(path: Path, *, dimensions: int) -> NDArray[np.uint8]:
    """One idx file of unsigned bytes.

    Args:
        path: the file; gzipped when its name ends in ``.gz``.
        dimensions: how many axes it must have.

    Raises:
        BaconError: it cannot be read, is not such a file, or holds more or fewer bytes than its header says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BaconError(f"{path}: cannot be read: {error}") from None
    header = 4 + 4 * dimensions
    if len(content) < header or content[:4] != bytes((0, 0, _UNSIGNED_BYTE, dimensions)):
        raise BaconError(f"{path}: not an idx file of unsigned bytes with {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise BaconError(f"{path}: its header says {shape}, {math.prod(shape)} bytes; it holds {len(content) - header}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
