"""Reading own data before a configuration is written, as far as that takes seconds: does it work, and how long does it take?"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from bacon.datasets.prepare import build

if TYPE_CHECKING:
    from bacon.datasets.store import ImageDataset
    from bacon.settings.data import DataSettings

_TIMED = 20
_SIDE = 64


def seconds_per_image(files: Sequence[Path]) -> float:
    """Time to decode and resize an image file, from a sample; 0 where none can be read."""
    chosen, times = files[:: -(-len(files) // _TIMED) or 1], []
    for file in chosen:
        start = time.perf_counter()
        try:
            with Image.open(file) as image:
                image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
        except Exception:  # damaged files lead Pillow's decoders to errors of any kind; reading them all will name them
            continue
        times.append(time.perf_counter() - start)
    return sum(times) / len(times) if times else 0.0


def try_reading(name: str, data: DataSettings) -> ImageDataset:
    """Prepare own data in memory, without a word on the terminal; raises :class:`BaconError` as the run would."""
    with _silenced():
        return build(name, data, download_dir=Path())


@contextmanager
def _silenced() -> Iterator[None]:
    logger = logging.getLogger("bacon")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
