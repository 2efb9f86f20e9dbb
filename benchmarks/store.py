"""Reading a prepared data set, against the least that it can cost: the same bytes from a flat file, and decompression.

Run: python -m benchmarks.store results/data/cifar10.h5

The floor reads the stored bytes of every chunk with ``numpy.fromfile`` and decompresses them, one after the other, into the
final arrays with the same LZF routine that h5py uses; it checks nothing. Ours is :func:`bacon.datasets.store.read_dataset`,
with every chunk's checksum, to uint8 tensors, which is the form that distillation and evaluation keep on the device. Both
run in turn, in this process, on files in the page cache; medians and their ratio are printed. With ``--gzip`` the same data
set, compressed with gzip instead, is read too.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import h5py.h5z
import numpy as np
import torch
from numpy.typing import NDArray

from bacon.datasets.store import ImageDataset, read_dataset

_ARRAYS = ("images", "labels")
_CHECKSUM = 4


@dataclass(frozen=True)
class Chunk:
    """Where a chunk's stored bytes lie in the flat file, and where its content goes."""

    offset: int
    size: int
    compressed: bool
    target: NDArray[np.uint8]


def main(arguments: Sequence[str] | None = None) -> float:
    """Print the times; returns ours divided by the floor."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("path", type=Path, help="a prepared data set")
    options.add_argument("--repetitions", type=int, default=9)
    options.add_argument("--gzip", action="store_true", help="read a copy compressed with gzip too")
    given = options.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        flat = Path(folder) / "chunks"
        chunks = write_flat(given.path, flat)
        candidates: dict[str, Callable[[], Any]] = {
            "floor": lambda: read_flat(flat, chunks),
            "ours": lambda: tensors(read_dataset(given.path)),
        }
        if given.gzip:
            recompressed = write_gzip(given.path, Path(folder) / "gzip.h5")
            candidates["ours, gzip"] = lambda: tensors(read_dataset(recompressed))
        read_flat(flat, chunks)
        check(read_dataset(given.path), chunks)
        times = measure(candidates, given.repetitions)
    for name, values in times.items():
        ratio = statistics.median(values) / statistics.median(times["floor"])
        print(
            f"{name:12s} median {statistics.median(values):.3f} s, least {min(values):.3f} s, {ratio:.2f} x the floor"
        )
    return statistics.median(times["ours"]) / statistics.median(times["floor"])


def measure(candidates: dict[str, Callable[[], Any]], repetitions: int) -> dict[str, list[float]]:
    """Seconds of each call; the candidates take turns, so that a busy machine disturbs all alike."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repetitions):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return times


def tensors(dataset: ImageDataset) -> list[torch.Tensor]:
    """Images and labels of every split, ready for training."""
    return [torch.from_numpy(array) for _, split in dataset.splits() for array in split]


def write_flat(path: Path, flat: Path) -> list[Chunk]:
    """Put the stored bytes of every chunk of a data set into one flat file."""
    chunks: list[Chunk] = []
    with h5py.File(path) as file, flat.open("wb") as out:
        for split in ("train", "test", "validation"):
            for name in _ARRAYS if split in file else ():
                stored = file[f"{split}/{name}"]
                final = np.empty(stored.shape, dtype=stored.dtype)
                for index in range(stored.id.get_num_chunks()):
                    info = stored.id.get_chunk_info(index)
                    _, content = stored.id.read_direct_chunk(info.chunk_offset)
                    start, rows = info.chunk_offset[0], stored.chunks[0]
                    target = final[start : start + rows].reshape(-1).view(np.uint8)
                    compressed = stored.compression == "lzf" and not info.filter_mask
                    chunks.append(Chunk(out.tell(), len(content), compressed, target))
                    out.write(content)
    return chunks


def read_flat(flat: Path, chunks: Sequence[Chunk]) -> None:
    """The floor: read the stored bytes and decompress each chunk into its place."""
    content = np.fromfile(flat, dtype=np.uint8)
    decompress = ctypes.CDLL(h5py.h5z.__file__).lzf_decompress
    spare = np.empty(max(chunk.size for chunk in chunks) * 4, dtype=np.uint8)
    for chunk in chunks:
        stored = content[chunk.offset : chunk.offset + chunk.size - _CHECKSUM]
        if not chunk.compressed:
            chunk.target[:] = stored[: len(chunk.target)]
            continue
        # The last chunk of an array is stored padded to its full length.
        whole = len(chunk.target)
        written = decompress(_pointer(stored), len(stored), _pointer(chunk.target), whole)
        if written == 0:
            written = decompress(_pointer(stored), len(stored), _pointer(spare), len(spare))
            chunk.target[:] = spare[:whole]
        assert written >= whole, "the chunk holds less than its array"


def _pointer(array: NDArray[np.uint8]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def check(dataset: ImageDataset, chunks: Sequence[Chunk]) -> None:
    """Fail unless the floor reads what we read."""
    flat = b"".join(chunk.target.tobytes() for chunk in chunks)
    ours = b"".join(array.tobytes() for _, split in _in_file_order(dataset) for array in split)
    assert flat == ours, "the floor reads something else"


def _in_file_order(dataset: ImageDataset) -> list[tuple[str, tuple[NDArray[Any], ...]]]:
    order = {"train": 0, "test": 1, "validation": 2}
    return sorted(dataset.splits(), key=lambda item: order[item[0]])


def write_gzip(path: Path, target: Path) -> Path:
    """A copy of a data set, its images compressed with gzip in the same chunks."""
    with h5py.File(path) as source, h5py.File(target, "w") as file:
        file.attrs.update(source.attrs)
        for split in source:
            if split == "whitening":
                source.copy(split, file)
                continue
            images, labels = source[f"{split}/images"], source[f"{split}/labels"]
            group = file.create_group(split)
            options = {"chunks": images.chunks, "compression": "gzip", "fletcher32": True}
            group.create_dataset("images", data=images[()], **options)
            group.create_dataset("labels", data=labels[()], chunks=labels.chunks, fletcher32=True)
    return target


if __name__ == "__main__":
    main()
