"""Small archives in exactly the formats that the publishers use."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


class _Python2Pickler(pickle._Pickler):
    """Writes what Python 2 with numpy 1 wrote: byte strings as such, and numpy under its old name."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_bytes(self, value: bytes) -> None:
        short = len(value) < 256
        self.write((b"U" + struct.pack("<B", len(value))) if short else (b"T" + struct.pack("<i", len(value))))
        self.write(value)
        self.memoize(value)

    dispatch[bytes] = save_bytes

    def save_global(self, value: Any, name: str | None = None) -> None:
        if getattr(value, "__module__", "").startswith("numpy._core"):
            self.write(b"c" + f"numpy.core.multiarray\n{value.__name__}\n".encode())
            self.memoize(value)
        else:
            super().save_global(value, name)

    dispatch[type(np.array)] = save_global
    dispatch[type(struct.pack)] = save_global


def python2_pickle(value: Any) -> bytes:
    """A pickle of protocol 2 as Python 2 writes it; text must be ``bytes``."""
    stream = io.BytesIO()
    _Python2Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def tar_gz(members: Mapping[str, bytes]) -> bytes:
    """A gzipped tar; names that end in / are folders."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def cifar_members(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    names: list[str],
) -> dict[str, bytes]:
    """Members of ``cifar-10-python.tar.gz`` (five training batches) or ``cifar-100-python.tar.gz``."""
    encoded = [text.encode() for text in names]
    if name == "cifar10":
        folder, key = "cifar-10-batches-py", b"labels"
        parts = zip(np.array_split(images, 5), np.array_split(labels, 5), strict=True)
        batches = {f"data_batch_{number}": part for number, part in enumerate(parts, 1)}
        batches["test_batch"] = (test_images, test_labels)
        meta = {"batches.meta": {b"num_cases_per_batch": 10000, b"label_names": encoded, b"num_vis": 3072}}
    else:
        folder, key = "cifar-100-python", b"fine_labels"
        batches = {"train": (images, labels), "test": (test_images, test_labels)}
        meta = {"meta": {b"fine_label_names": encoded, b"coarse_label_names": [b"fish", b"flowers"]}}
    pickled = {
        f"{folder}/{file}": python2_pickle(
            {
                b"batch_label": f"batch {file}".encode(),
                key: [int(label) for label in batch_labels],
                b"data": batch.reshape(len(batch), -1),
                b"filenames": [f"image_{index}.png".encode() for index in range(len(batch))],
            }
        )
        for file, (batch, batch_labels) in batches.items()
    }
    extra = {f"{folder}/": b"", f"{folder}/readme.html": b"<html></html>"}
    return extra | pickled | {f"{folder}/{file}": python2_pickle(value) for file, value in meta.items()}


def idx(array: np.ndarray) -> bytes:
    """An idx file of unsigned bytes, gzipped."""
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def idx_files(
    images: np.ndarray, labels: np.ndarray, test_images: np.ndarray, test_labels: np.ndarray
) -> dict[str, bytes]:
    """The four files of MNIST; images are (N, H, W)."""
    return {
        "train-images-idx3-ubyte.gz": idx(images),
        "train-labels-idx1-ubyte.gz": idx(labels),
        "t10k-images-idx3-ubyte.gz": idx(test_images),
        "t10k-labels-idx1-ubyte.gz": idx(test_labels),
    }


def svhn_mat(images: np.ndarray, labels: np.ndarray) -> bytes:
    """A MATLAB 5 file: X (H, W, 3, N) and y (N, 1) in 1..10; images are (N, 3, H, W), labels the digits."""
    from scipy.io import savemat

    stream = io.BytesIO()
    y = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    savemat(stream, {"X": images.transpose(2, 3, 1, 0), "y": y}, format="5", do_compression=True)
    return stream.getvalue()


def jpeg(image: np.ndarray, *, quality: int = 95) -> bytes:
    """(H, W) or (H, W, 3) uint8 as a JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def tinyimagenet_members(
    train: Mapping[str, list[np.ndarray]], validation: list[tuple[str, np.ndarray]], words: Mapping[str, str]
) -> dict[str, bytes]:
    """Members of ``tiny-imagenet-200.zip``: class identifier -> images; (identifier, image) in the order of the annotations."""
    root = "tiny-imagenet-200"
    # The publisher's list is not sorted.
    members = {
        f"{root}/": b"",
        f"{root}/wnids.txt": "".join(f"{wnid}\n" for wnid in sorted(train, reverse=True)).encode(),
    }
    members[f"{root}/words.txt"] = "".join(f"{wnid}\t{text}\n" for wnid, text in words.items()).encode()
    for wnid, images in train.items():
        members[f"{root}/train/{wnid}/{wnid}_boxes.txt"] = b"boxes"
        for number, image in enumerate(images):
            members[f"{root}/train/{wnid}/images/{wnid}_{number}.JPEG"] = jpeg(image)
    lines = []
    for number, (wnid, image) in enumerate(validation):
        members[f"{root}/val/images/val_{number}.JPEG"] = jpeg(image)
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    members[f"{root}/val/val_annotations.txt"] = "".join(lines).encode()
    members[f"{root}/test/images/test_0.JPEG"] = jpeg(np.zeros((64, 64, 3), dtype=np.uint8))
    return members


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return stream.getvalue()


def put(folder: Path, contents: Mapping[str, bytes]) -> Path:
    """Write files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder
