"""DD-Ranking's own package, from a folder of its own, and a CIFAR-10 of a few images for it.

Its wheel asks for numpy below 2, so it cannot be installed beside this project; its code runs with the numpy that is here.
``tests/install-packages.sh ddranking`` puts the wheel and what it imports (kornia, timm, tqdm) into the folder, by pinned
hashes.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import io
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torchvision import datasets

from bacon.runtime.errors import BaconError

FOLDER = Path("build/ddranking")
_BYTES = 3 * 32 * 32


def load(folder: Path) -> tuple[ModuleType, str]:
    """Import ``ddranking`` from ``folder``, which stays on Python's path behind all else.

    Returns:
        The package and its version.

    Raises:
        BaconError: it is not there.
    """
    versions = [each.version for each in importlib.metadata.distributions(name="ddranking", path=[str(folder)])]
    if not versions:
        raise BaconError(f"{folder}: no ddranking there; tests/install-packages.sh ddranking puts it into {FOLDER}")
    if str(folder.absolute()) not in sys.path:
        sys.path.append(str(folder.absolute()))
    return importlib.import_module("ddranking"), versions[0]


@contextmanager
def small_cifar10(folder: Path, *, train: int, test: int) -> Iterator[Path]:
    """Files like those of CIFAR-10 with fewer images, which torchvision takes for the real ones in the meantime.

    Args:
        folder: where they are written.
        train: number of training images; their classes follow each other in turns.
        test: of test images.

    Yields:
        ``folder``, for evaluators as ``real_data_path``.
    """
    base = folder / datasets.CIFAR10.base_folder
    base.mkdir(parents=True, exist_ok=True)
    files = {"train_list": [_batch(base, "data_batch_1", train, 0)], "test_list": [_batch(base, "test_batch", test, 1)]}
    names = _pickled(base / "batches.meta", {"label_names": [str(label) for label in range(10)]})
    changes = {**files, "meta": {"filename": "batches.meta", "key": "label_names", "md5": names}}
    before = {name: getattr(datasets.CIFAR10, name) for name in changes}
    try:
        for name, value in changes.items():
            setattr(datasets.CIFAR10, name, value)
        yield folder
    finally:
        for name, value in before.items():
            setattr(datasets.CIFAR10, name, value)


def _batch(base: Path, name: str, count: int, seed: int) -> list[str]:
    """A file of noisy images of ten patterns; its name and MD5."""
    labels = np.arange(count) % 10
    patterns = np.random.default_rng(2).integers(0, 256, (10, _BYTES))
    noise = np.random.default_rng(seed).integers(0, 256, (count, _BYTES))
    images = (0.4 * patterns[labels] + 0.6 * noise).astype(np.uint8)
    return [name, _pickled(base / name, {"data": images, "labels": labels.tolist()})]


def _pickled(path: Path, content: dict[str, Any]) -> str:
    path.write_bytes(pickle.dumps(content))
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@contextmanager
def quiet() -> Iterator[None]:
    """What the package prints, and its progress bars, go nowhere."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
