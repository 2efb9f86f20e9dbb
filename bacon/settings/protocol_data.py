"""What evaluation protocols of the literature change by data set and IPC. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LARGE = 128  # pixels a side, from which on data sets are taken for subsets of ImageNet
_FREPO_STEPS = ((10, 1000), (100, 2000), (500, 5000), (1000, 10_000))
_MOST_FREPO_STEPS = 40_000
_TINY_IMAGES = 200  # TinyImageNet with IPC 1
_IDC_EPOCHS = ((1, 3000), (10, 2000), (50, 1500), (200, 1000), (500, 500))


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What a protocol may depend on.

    Attributes:
        name: of the data set.
        size: height and width of its images in pixels; ``None``: not known before it is prepared.
        classes: number of classes; ``None`` as for ``size``.
        ipc: stored images per class; ``None``: the full data set.
    """

    name: str
    size: int | None = None
    classes: int | None = None
    ipc: int | None = None

    @property
    def large(self) -> bool:
        """Whether images are as large as ImageNet's."""
        return (self.size or 0) >= _LARGE


def nothing(_: DataFacts) -> Mapping[str, Any]:
    """No change."""
    return {}


def dc(facts: DataFacts) -> Mapping[str, Any]:
    """MNIST: longer, with DC's own augmentation."""
    mnist = {"epochs": 1001, "augmentations": ["dc"], "dc_strategy": "crop_scale_rotate"}
    return mnist if facts.name == "mnist" else {}


def idc(facts: DataFacts) -> Mapping[str, Any]:
    """On ImageNet's subsets epochs follow the number of training images per class; SVHN's digits are not mirrored.

    With 100 classes, epochs are two thirds of the others', rounded down to hundreds.
    """
    if facts.name == "svhn":
        return {"idc_strategy": "color_crop_scale_rotate"}
    if not facts.large:
        return {}
    many = (facts.classes or 0) >= 100

    def passes(epochs: int) -> int:
        return 2 * epochs // 300 * 100 if many else epochs

    by_images = [[bound, passes(epochs)] for bound, epochs in _IDC_EPOCHS]
    own = {"lr_net": 0.1, "weight_decay": 1e-4, "batch_size": 128} if many else {}
    return {"epochs_by_images": by_images, "epochs": passes(300), "mixing_probability": 1.0, **own}


def dance(facts: DataFacts) -> Mapping[str, Any]:
    """ImageNet's subsets and SVHN: IDC's rules, but for CutMix, which half of the batches have everywhere."""
    kept = ("epochs_by_images", "epochs", "idc_strategy")
    return {key: value for key, value in idc(facts).items() if key in kept}


def ncfm(facts: DataFacts) -> Mapping[str, Any]:
    """TinyImageNet: fewer epochs."""
    epochs = {10: 300, 50: 40}.get(facts.ipc or 0)
    return {"epochs": epochs} if facts.name == "tinyimagenet" and epochs else {}


def sre2l(facts: DataFacts) -> Mapping[str, Any]:
    """ImageNet: larger batches, random resized crops, CutMix."""
    if not facts.large:
        return {}
    return {
        "epochs": 300,
        "batch_size": 1024,
        "augmentations": ["random_resized_crop"],
        "mixing": "cutmix",
        "mixing_alpha": 1.0,
        "loss": [{"kind": "kl", "temperature": 20.0}],
    }


def sre2l_plus(facts: DataFacts) -> Mapping[str, Any]:
    """The rate ends at half its start on some data sets with some IPC."""
    half = {
        "cifar100": facts.ipc == 10,
        "tinyimagenet": facts.ipc != 10,
    }.get(facts.name, facts.large and facts.ipc != (50 if (facts.classes or 0) >= 1000 else 10))
    return {"schedule": "half_cosine"} if half else {}


def rded(facts: DataFacts) -> Mapping[str, Any]:
    """Batches by IPC and classes; tiles on ImageNet."""
    ipc, classes = facts.ipc or 50, facts.classes or 10
    batch = 10 if ipc < 10 else 50 if ipc < 50 else 100
    batch = 100 if facts.name == "tinyimagenet" else batch * (2 if classes in (100, 1000) else 1)
    tiles = {"resized_crop_scale": [0.5, 1.0], "shuffle_patches": 2} if facts.large else {}
    return {"batch_size": min(batch, ipc * classes), **tiles}


def ld(facts: DataFacts) -> Mapping[str, Any]:
    """Batches by the number of images and of classes."""
    classes = facts.classes or 10
    return {"batch_size": images_per_step((facts.ipc or 10) * classes, classes)}


def images_per_step(images: int, classes: int) -> int:
    """LD's images per step of a network, in distillation and in evaluation."""
    return 100 if classes >= 100 else 10 if images <= 20 else 25 if images <= 50 else 50


def gvbsm(facts: DataFacts) -> Mapping[str, Any]:
    """CIFAR-100 and TinyImageNet: SGD, with smaller batches or for fewer epochs with less cross-entropy."""
    sgd = {"optimiser": "sgd", "lr_net": 0.1, "weight_decay": 5e-4}
    by_name: dict[str, dict[str, Any]] = {
        "cifar100": {**sgd, "batch_size": 64},
        "tinyimagenet": {**sgd, "epochs": 100, "loss": [{"kind": "mse"}, {"kind": "ce", "weight": 0.1}]},
    }
    return by_name.get(facts.name, {})


def frepo(facts: DataFacts) -> Mapping[str, Any]:
    """Steps by the number of images; a number that is not published takes those of the next larger one.

    FashionMNIST is not mirrored, as no augmentation is where the strategy of DSA has no flip.
    """
    plain = {"dsa_strategy": "color_crop_cutout_scale_rotate"} if facts.name == "fashionmnist" else {}
    return {"steps": _frepo_steps((facts.ipc or 0) * (facts.classes or 10)), **plain}


def _frepo_steps(images: int) -> int:
    if images == _TINY_IMAGES:
        return 20_000
    if not images:
        return _MOST_FREPO_STEPS
    return next((steps for most, steps in _FREPO_STEPS if images <= most), _MOST_FREPO_STEPS)
