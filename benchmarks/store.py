"""Reading a data set from the store into a training-ready tensor, against the least that any reader must do.

The least: `numpy.fromfile` of the same file, and decompression of all its images, from memory, with the store's own filters
(lzf, fletcher32) into one array. Both are timed in turn, in one process; the file is in the page cache for both.

Run in the project's folder: python -m benchmarks.store [FILE]. Without FILE, random images of CIFAR-10's size are written
first. What it gave on real CIFAR-10 is in docs/data.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch

from bacon.datasets.store import ImageDataset, read_dataset, write_dataset

RUNS = 9


def training_ready(path: Path) -> torch.Tensor:
    """What distillation starts from: the training images (N, C, H, W) uint8 as a tensor; checks and labels included."""
    return torch.from_numpy(read_dataset(path).train_images)


def least(path: Path, image: h5py.File) -> None:
    """Read the bytes of ``path``; decompress the images of ``image``, the same file in memory."""
    np.fromfile(path, dtype=np.uint8)
    for split in ("train", "test"):
        stored = image[f"{split}/images"]
        stored.read_direct(np.empty(stored.shape, dtype=np.uint8))


def measure(path: Path) -> dict[str, float]:
    """Median seconds of each, taken in turn, and the median of the ratios of neighbouring runs."""
    with h5py.File(h5py.h5f.open_file_image(path.read_bytes())) as image:
        ways: dict[str, Callable[[], object]] = {
            "store": lambda: training_ready(path),
            "least": lambda: least(path, image),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(RUNS):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - start)
    ratios = [ours / theirs for ours, theirs in zip(seconds["store"], seconds["least"], strict=True)]
    return {name: statistics.median(values) for name, values in seconds.items()} | {"ratio": statistics.median(ratios)}


def write_random(path: Path) -> None:
    """A store of CIFAR-10's size."""
    images = np.random.default_rng(0).integers(0, 256, (60000, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(60000) % 10
    dataset = ImageDataset(
        name="random",
        train_images=images[:50000],
        train_labels=labels[:50000],
        test_images=images[50000:],
        test_labels=labels[50000:],
        class_names=tuple("0123456789"),
        mean=(0.5,) * 3,
        std=(0.3,) * 3,
        fingerprint="",
    )
    write_dataset(path, dataset)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time reading a prepared data set.")
    parser.add_argument("file", type=Path, nargs="?", help="a prepared data set, such as results/data/cifar10.h5")
    given = parser.parse_args().file
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given is None:
            write_random(folder / "random.h5")
        result = measure(given or folder / "random.h5")
    for what, value in result.items():
        print(f"{what}: {value:.3f}{'' if what == 'ratio' else ' s'}")


if __name__ == "__main__":
    main()
