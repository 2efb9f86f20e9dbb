"""What every reader returns, and what it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.decoding import WHITE, Colour
from bacon.datasets.deep_pixels import ValueRange


@dataclass(frozen=True, kw_only=True)
class ReadRequest:
    """What a reader needs to know."""

    name: str
    """Name of the data set, for messages."""
    path: Path
    """Own data: the file or folder. Registered data: the folder of the official files."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Registered data: official name -> verified file; a reader opens no other."""
    size: int | None = None
    """Side in pixels; a reader of files of mixed sizes brings each image to it while it reads."""
    channels: int | None = None
    """1 or 3 channels that images are brought to; ``None``: grey when every image is grey."""
    background: Colour = WHITE
    """Image folder: red, green and blue in 0..255, on which transparent images are laid."""
    value_range: ValueRange | None = None
    """The values of black and white, where they are not those of 8 bits; ``None``: found, or an error."""
    test_fraction: float = 0.2
    """Own data without a test set: share of each class held out for testing."""
    split_seed: int = 0
    """Seed of that split."""
    corrupt_limit: int = 0
    """Image folder: most unreadable files that are skipped."""

    @property
    def key(self) -> str:
        """What the data set's settings are called, for advice."""
        return f"data.{self.name}"


@dataclass(frozen=True, kw_only=True)
class RawDataset:
    """A data set as its files hold it, not yet checked.

    Attributes:
        train_images: (N, C, H, W) uint8.
        train_labels: (N,) int64 in [0, classes).
        test_images: (M, C, H, W) uint8.
        test_labels: (M,) int64 in [0, classes).
        class_names: names in label order; empty: the files name none.
        warnings: what is odd about the source, in words.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
