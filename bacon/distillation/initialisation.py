"""The first synthetic images: real images, partitioned when the method says so, or noise."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from bacon.distillation.real_images import RealImages
from bacon.runtime.draws import device_normal
from bacon.runtime.errors import BaconError
from bacon.transforms.partition import encode

_IMAGES_AT_ONCE = 1024


def first_images(
    real: RealImages,
    *,
    init: Literal["noise", "real"],
    ipc: int,
    seed: int,
    partition: int = 1,
    mode: Literal["bilinear", "nearest"] = "bilinear",
) -> Tensor:
    """The images of iteration 0, (classes * ipc, C, H, W) normalised: :func:`noise_images` or :func:`real_images`."""
    if init == "noise":
        return noise_images(real, ipc=ipc, seed=seed)
    return real_images(real, ipc=ipc, partition=partition, seed=seed, mode=mode)


def real_images(
    real: RealImages, *, ipc: int, partition: int, seed: int, mode: Literal["bilinear", "nearest"] = "bilinear"
) -> Tensor:
    """Different random real images of each class, ``partition^2`` of them down-scaled into each stored image.

    Args:
        real: the training set.
        ipc: stored images per class.
        partition: parts per side of a stored image; 1 keeps images whole.
        seed: distillation seed; the same seed gives every method the same images.
        mode: how images are made smaller.

    Returns:
        (classes * ipc, C, H, W) normalised, in class order.

    Raises:
        BaconError: a class has fewer images than needed.
    """
    check_class_sizes(real, ipc=ipc, partition=partition)
    needed = ipc * partition**2
    indices = real.sample_classes(seed, "initial-images", iteration=0, classes=range(real.classes), size=needed)
    classes_at_once = max(1, _IMAGES_AT_ONCE // needed)
    return torch.cat(
        [encode(real.batch(some), partition, mode=mode).flatten(0, 1) for some in indices.split(classes_at_once)]
    )


def noise_images(real: RealImages, *, ipc: int, seed: int) -> Tensor:
    """Standard normal noise in the normalised space: (classes * ipc, C, H, W), a stream per class."""
    channels, height, width = real.shape
    count = ipc * channels * height * width
    lanes = real.labels.new_tensor(range(real.classes))
    drawn = device_normal(seed, "initial-noise", count=count, device=real.device, dtype=real.dtype, lanes=lanes)
    return drawn.reshape(real.classes * ipc, channels, height, width)


def check_class_sizes(real: RealImages, *, ipc: int, partition: int) -> None:
    """Raise :class:`BaconError` where a class has fewer real images than ``ipc * partition^2``."""
    needed = ipc * partition**2
    smallest = min(real.counts)
    if needed > smallest:
        name = real.class_names[real.counts.index(smallest)]
        most = smallest // partition**2
        remedies = [f"lower the IPC to at most {most}"] * bool(most) + ["lower the partition"] * (partition > 1)
        raise BaconError(
            f"IPC {ipc} with partition {partition} needs {needed} different real images per class; class {name!r} has "
            f"{smallest}: {', or '.join(remedies)}; a method that optimises images can start from noise instead "
            "(distillation.init: noise)"
        )
