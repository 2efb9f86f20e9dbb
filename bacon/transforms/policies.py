"""DC-BENCH's augmentations other than DSA: AutoAugment, RandAugment, and the usual ones of ImageNet and CIFAR.

They are torchvision's transforms, on the device, on pixels rounded to 256 levels; one draw serves a whole batch, as in
DC-BENCH's code. torchvision draws from PyTorch's global CPU generator alone: for the time of a batch that is given a seed of
ours, and then its old state back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torchvision import transforms

from bacon.runtime.draws import Seed, uniform, words
from bacon.runtime.errors import BaconError
from bacon.transforms.augmentation import BatchAugmentation, Stream

if TYPE_CHECKING:
    from bacon.settings.augmentations import Policy

_LARGE = 64  # from this side on AutoAugment's policy for ImageNet, below it the one for CIFAR-10
_JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.2}
# On small images no more than an eighth and a half of the side: 16 pixels of cutout would be a whole digit.
_CROP_PIXELS = 4
_CUTOUT_PIXELS = 16


def augmentation(settings: Policy) -> BatchAugmentation:
    """The policy for consecutive batches, each with a draw of its own."""

    def augment(images: Tensor, sizes: Sequence[int], stream: Stream) -> Tensor:
        batches = (
            augment_policy(
                settings.family,
                batch,
                mean=stream.mean,
                std=stream.std,
                mirror=settings.mirror,
                seed=stream.seed,
                iteration=stream.first_iteration + number,
                purpose=stream.purpose,
            )
            for number, batch in enumerate(images.split(list(sizes)))
        )
        return torch.cat(list(batches))

    return augment


def augment_policy(
    name: str,
    images: Tensor,
    *,
    mean: Tensor | None,
    std: Tensor | None,
    mirror: bool,
    seed: Seed,
    iteration: int,
    purpose: str = "evaluation",
) -> Tensor:
    """Augment one training batch.

    Args:
        name: "auto", "rand", "imagenet" or "cifar".
        images: (N, C, H, W) float, normalised; C is 1 or 3.
        mean: (C, 1, 1) that the images were normalised with; ``None``: they are not normalised pixels (whitening).
        std: (C, 1, 1), the standard deviation; ``None`` as for ``mean``.
        mirror: whether "imagenet" and "cifar" may exchange left and right.
        seed: seed, or tuple of seeds, of the draw.
        iteration: number of the batch.
        purpose: first part of the names of the streams.

    Returns:
        (N, C, H, W), normalised; without gradient.

    Raises:
        BaconError: the images are not normalised pixels.
    """
    if mean is None or std is None:
        raise BaconError(
            f"evaluation.augmentations: {name!r} works on pixel values, which images whitened by ZCA (preprocessing.zca) do "
            "not have; choose none or dsa, or turn whitening off"
        )
    pixels = images.mul(std).add_(mean).clamp_(0, 1).mul_(255).round_().to(torch.uint8)
    size = pixels.shape[-1]
    with _seeded(int(words(seed, f"{purpose}-policy", count=1, iteration=iteration)[0])), _counts_in_any_order():
        pixels = _transform(name, size, mirror)(pixels)
    augmented = pixels.to(images.dtype).div_(255).sub_(mean).div_(std)
    return _cutout(augmented, seed, iteration, purpose) if name == "cifar" else augmented


class _seeded:  # noqa: N801 - reads like the function it is
    """Context manager: PyTorch's global CPU generator with a seed, and with its old state afterwards."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __enter__(self) -> None:
        self._state = torch.default_generator.get_state()
        torch.default_generator.manual_seed(self._seed)

    def __exit__(self, *_: object) -> None:
        torch.default_generator.set_state(self._state)


@contextmanager
def _counts_in_any_order() -> Iterator[None]:
    """Operations without a form of fixed order are allowed, as they otherwise are not on a GPU (``set_up_arithmetic``).

    On a GPU, torchvision counts the pixels of each level with ``torch.histc``, which is such an operation. The counts are whole
    numbers far below 2^24, so that float32 holds their sums exactly in any order. Nothing else of these transforms adds pixels.
    """
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)


def _transform(name: str, size: int, mirror: bool) -> Any:
    """The transform of uint8 images (N, C, size, size)."""
    if name == "auto":
        policies = transforms.AutoAugmentPolicy
        return transforms.AutoAugment(policies.IMAGENET if size >= _LARGE else policies.CIFAR10)
    if name == "rand":
        return transforms.RandAugment(num_ops=1)
    parts = [transforms.RandomCrop(size, padding=min(_CROP_PIXELS, size // 8))]
    parts += [transforms.RandomHorizontalFlip()] if mirror else []
    parts += [transforms.ColorJitter(**_JITTER)] if name == "imagenet" else []
    return transforms.Compose(parts)


def _cutout(images: Tensor, seed: Seed, iteration: int, purpose: str) -> Tensor:
    """Zero (the mean of normalised images) a square whose centre is uniform over the pixels; the border may clip it."""
    side = images.shape[-1]
    half = min(_CUTOUT_PIXELS, side // 2) // 2
    row, column = (int(u * side) for u in uniform(seed, f"{purpose}-cutout", count=2, iteration=iteration))
    images[..., max(row - half, 0) : row + half, max(column - half, 0) : column + half] = 0
    return images
