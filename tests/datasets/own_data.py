"""Own data for tests: folders of small images, `.npz` files, and what is read of them."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from bacon.datasets.prepare import build
from bacon.settings.data import DataSettings

SIDE = 8


def picture(level=100, *, mode="L", side=SIDE):
    """An image with a bright corner, so that no two levels give the same image and none is plain."""
    image = Image.new("L", (side, side), level)
    image.paste(255, (0, 0, 2, 2))
    return image.convert(mode)


def encoded(image, kind="PNG", **options):
    """The bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def deep_png(values):
    """The bytes of a 16-bit PNG: values are (H, W) or (H, W, 1 to 4)."""
    values = np.asarray(values, np.uint16)
    values = values[..., None] if values.ndim == 2 else values
    height, width, channels = values.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_tiff(values, order):
    """The bytes of an uncompressed 16-bit TIFF: values are (H, W, 3 or 4); order is "<" or ">"."""
    height, width, channels = values.shape
    content = values.astype(f"{order}u2").tobytes()
    after = 8 + len(content)
    tags = [(256, width), (257, height), (258, None), (259, 1), (262, 2), (273, 8), (277, channels), (278, height)]
    tags += [(279, len(content))] + ([(338, 2)] if channels == 4 else [])
    directory = struct.pack(f"{order}H", len(tags))
    for tag, value in tags:
        if value is None:  # bits of each channel, which lie behind the directory
            directory += struct.pack(f"{order}HHII", tag, 3, channels, after + 2 + 12 * len(tags) + 4)
        else:
            directory += struct.pack(f"{order}HHII", tag, 4, 1, value)
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", after)
    return header + content + directory + struct.pack(f"{order}I{channels}H", 0, *[16] * channels)


def classes(*names, count=3, suffix="png", folder="", mode="L"):
    """Relative path -> image of class folders."""
    prefix = f"{folder}/" if folder else ""
    return {
        f"{prefix}{name}/{number}.{suffix}": picture(20 * label + number + 3, mode=mode)
        for label, name in enumerate(names or ("ant", "bee"))
        for number in range(count)
    }


def put(root, files):
    """Write images, bytes or texts under their relative paths."""
    for name, content in files.items():
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Image.Image):
            path.write_bytes(encoded(content))
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(root)


def arrays(count=12, side=6, channels=3, **changes):
    """The arrays of an `.npz` of three classes; ``None`` leaves one out."""
    random = np.random.default_rng(0)
    shape = (side, side, channels) if channels else (side, side)
    made = {
        "x_train": random.integers(0, 256, (count, *shape)).astype(np.uint8),
        "y_train": np.arange(count) % 3,
        "x_test": random.integers(0, 256, (6, *shape)).astype(np.uint8),
        "y_test": np.arange(6) % 3,
    }
    return {key: value for key, value in (made | changes).items() if value is not None}


def saved(path, stored):
    """An `.npz` of arrays."""
    np.savez(path, **stored)
    return path


def read(path, kind=None, **options):
    """The data set at a path, under the name `mine`; the kind follows from the path."""
    kind = kind or ("imagefolder" if Path(path).is_dir() else "npz")
    return build("mine", DataSettings(format=kind, path=str(path), **options), download_dir=Path(path).parent)


def counts(dataset):
    """Class name -> (training, test) images."""
    size = len(dataset.class_names)
    pairs = zip(
        np.bincount(dataset.train_labels, minlength=size).tolist(),
        np.bincount(dataset.test_labels, minlength=size).tolist(),
        strict=True,
    )
    return dict(zip(dataset.class_names, pairs, strict=True))
