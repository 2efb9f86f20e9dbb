"""Own data of many kinds, as people have them: small, made of noise, with a coloured patch for each class."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

NOISE = np.random.default_rng(0).integers(0, 90, (1024, 1024, 3)).astype(np.uint8)


def picture(number: int, label: int, width: int, height: int) -> Image.Image:
    """Noise, another one for each number, with a square whose colour is its class."""
    pixels = np.roll(NOISE, 7 * number, axis=0)[:height, :width].copy()
    pixels[: height // 2 + 1, : width // 2 + 1] = [40 + 60 * (label % 3), 250 - 50 * (label % 4), 120]
    return Image.fromarray(pixels)


def folder(
    root: Path,
    *,
    classes: Iterable[str] = ("cat", "dog", "horse"),
    count: int = 6,
    size: tuple[int, int] = (20, 16),
    mode: str = "RGB",
    suffix: str = "png",
    start: int = 0,
) -> Path:
    """A folder of class folders of ``count`` pictures of (width, height) ``size`` each."""
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(start, start + count):
            image = picture(100 * label + number, label, *size).convert(mode)
            image.save(root / name / f"{mode}{number}.{suffix}")
    return root


def arrays(
    path: Path,
    *,
    shape: tuple[int, ...] = (8, 8, 3),
    dtype: str = "uint8",
    most: float = 255,
    test: bool = True,
    labels: Iterable[int] = (0, 1, 2),
) -> Path:
    """An .npz of 30 training images, and 12 test images if wanted, with values from 0 to ``most``."""
    draw = np.random.default_rng(1)
    names = np.asarray(list(labels))
    content = {}
    for split, count in (("train", 30), ("test", 12))[: 2 if test else 1]:
        values = draw.random((count, *shape)) * most
        content[f"x_{split}"] = (values if dtype.startswith("float") else np.rint(values)).astype(dtype)
        content[f"y_{split}"] = names[np.arange(count) % len(names)]
    np.savez(path, **content)
    return path
