"""Test images under a corruption, made by the package imagecorruptions and kept: every cell is tested on the same ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import imagecorruptions
import numpy as np
import numpy.typing as npt

from bacon.runtime import draws
from bacon.runtime.atomic import atomic_path
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger

log = get_logger(__name__)

Images = npt.NDArray[np.uint8]

SMALLEST = 32
"""Pixels per side of the smallest image that the package corrupts."""
_CODE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
_SEEDED = ("impulse_noise", "glass_blur")
"""Corruptions that draw from generators of their own, of which they take the seed."""


def corrupted(images: Images, corruption: str, severity: int) -> Images:
    """Images (N, C, H, W) uint8 under a corruption, the same for the same images whatever was drawn before.

    Images of less than 32 pixels per side, which the package refuses, are continued beyond their edge with the values there,
    and cut out again. Grey images have three equal channels while they are corrupted, and the first is kept.

    Args:
        images: C is 1 or 3.
        corruption: one of the package's names.
        severity: 1 to 5.

    Raises:
        BaconError: another number of channels.
    """
    channels, height, width = images.shape[1:]
    if channels not in (1, 3):
        raise BaconError(f"images of {channels} channels cannot be corrupted; grey and colour images can")
    padding = [_around(height), _around(width), (0, 0)]
    rows, across = slice(padding[0][0], padding[0][0] + height), slice(padding[1][0], padding[1][0] + width)
    found = np.empty_like(images)
    with _numpy_generator():
        for number, image in enumerate(images):
            seed = _seed(corruption, severity, number)
            np.random.seed(seed)
            own = {"seed": seed} if corruption in _SEEDED else {}
            whole = np.ascontiguousarray(np.pad(image.transpose(1, 2, 0), padding, mode="edge"))
            made = imagecorruptions.corrupt(whole, severity=severity, corruption_name=corruption, **own)
            found[number] = made[rows, across, :channels].transpose(2, 0, 1)
    return found


def _around(side: int) -> tuple[int, int]:
    missing = max(0, SMALLEST - side)
    return missing // 2, missing - missing // 2


def _seed(corruption: str, severity: int, number: int) -> int:
    return int(draws.words(0, f"corruption-{corruption}", count=1, iteration=severity, lanes=number)[0])


@contextmanager
def _numpy_generator() -> Iterator[None]:
    """NumPy's global generator, which the package draws from, as it was before afterwards."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)


def kept_corrupted(
    folder: Path, images: Callable[[], Images], corruption: str, severity: int, *, of: tuple[str, int | None]
) -> Images:
    """:func:`corrupted`, from ``folder`` where some job has made them before by the same code, or made and kept.

    Args:
        folder: that all jobs share; its files may be deleted at any time.
        images: reads the images.
        corruption: one of the package's names.
        severity: 1 to 5.
        of: fingerprint of the data set and the number of test images: what ``images`` are.
    """
    package = "imagecorruptions-imaug"
    content = json.dumps([*of, corruption, severity, version(package), _CODE])
    path = folder / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.npy"
    try:
        found: Images = np.load(path, allow_pickle=False)
        return found
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError) as error:
        log.warning("%s cannot be used (%s); the images are corrupted again", path, error)
    made = corrupted(images(), corruption, severity)
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, made)
    except OSError as error:
        log.warning("could not keep corrupted images (%s); the next job makes them again", error)
    return made
