"""The network architectures by name: what each is called, which settings it has, and where its code is.

A new architecture is one file in ``bacon/networks`` and one record here. Records are plain data: nothing imports torch, and an
architecture's own module is imported when one of its networks is built (``bacon.networks.build``).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

COMMON_KEYS = ("architecture", "norm", "precision")
"""Settings that every architecture has."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One architecture."""

    name: str
    """Value of ``network.architecture``."""
    title: str
    """Name in texts."""
    builder: str
    """Dotted module and function that make the network: ``build(settings, *, channels, size, classes)``."""
    norms: tuple[str, ...]
    """Values of ``network.norm`` that it has, the default first."""
    keys: tuple[str, ...] = ()
    """Its settings besides :data:`COMMON_KEYS`."""
    smallest: int = 1
    """Side in pixels of the smallest images that it takes."""
    why_smallest: str = ""
    """What happens to smaller images, to follow "network.architecture: NAME"."""
    limits: str = "bacon.networks.limits"
    """Torch-free module with ``check_fits(settings, size)`` and ``operations(settings, channels, size)``."""
    operations: Mapping[int, float] = field(default_factory=dict)
    """Side in pixels of colour images -> operations of one image's forward pass, a multiplication and an addition as two.

    Between the sides given here, operations grow with the number of pixels.
    """
    convolutional: bool = True
    """Whether it has convolutions."""
    parameters: float = 0.0
    """Parameters at 32x32 colour images and 10 classes; 0: they follow from its settings."""
    pool: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Evaluation networks known by name, and their settings."""

    @property
    def module(self) -> str:
        """Dotted module that computes the network."""
        return self.builder.partition(":")[0]

    @property
    def all_keys(self) -> tuple[str, ...]:
        """Every setting that it has, in the order of ``NetworkSettings``."""
        own = {*COMMON_KEYS, *self.keys}
        return tuple(key for key in _ORDER if key in own)


_ORDER = ("architecture", "width", "depth", "norm", "activation", "pooling", "stem", "precision")


def _named(name: str, *, norms: tuple[str, ...], suffixes: Mapping[str, str], **more: Any) -> dict[str, dict[str, Any]]:
    """Pool entries: the architecture itself with its default norm, and with each other norm under a suffix."""
    return {
        f"{name}{suffixes[norm] if number else ''}": {
            "architecture": name,
            **({"norm": norm} if number else {}),
            **more,
        }
        for number, norm in enumerate(norms)
    }


_BATCH = {"batch": "_bn", "instance": "_in"}


def _convnet() -> Architecture:
    return Architecture(
        name="convnet",
        title="ConvNet",
        builder="bacon.networks.convnet:build",
        norms=("instance", "batch", "layer", "group", "none"),
        keys=("width", "depth", "activation", "pooling"),
        limits="bacon.networks.convnet_limits",
        pool={
            **{f"convnet_w{width}": {"width": width} for width in (32, 64, 128, 256)},
            **{f"convnet_d{depth}": {"depth": depth} for depth in (1, 2, 3, 4, 5)},
            **{f"convnet_{norm}": {"norm": norm} for norm in ("batch", "layer", "group")},
            "convnet_no_norm": {"norm": "none"},
            **{f"convnet_{name}": {"activation": name} for name in ("sigmoid", "leaky_relu", "swish")},
            "convnet_max_pool": {"pooling": "max"},
            "convnet_no_pool": {"pooling": "none"},
        },
    )


def _vgg(name: str, title: str, operations: float, parameters: float) -> Architecture:
    norms = ("instance", "batch")
    return Architecture(
        name=name,
        title=title,
        builder="bacon.networks.vgg:build",
        norms=norms,
        operations={32: operations},
        parameters=parameters,
        pool=_named(name, norms=norms, suffixes=_BATCH),
    )


def _resnet(name: str, title: str, norms: tuple[str, ...], operations: float, parameters: float) -> Architecture:
    return Architecture(
        name=name,
        title=title,
        builder="bacon.networks.resnet:build",
        norms=norms,
        keys=("stem",),
        limits="bacon.networks.resnet_limits",
        operations={32: operations},
        parameters=parameters,
        pool={
            **_named(name, norms=norms, suffixes=_BATCH),
            f"{name}_7x7": {"architecture": name, "norm": "batch", "stem": "7x7"},
        },
    )


def _small_images(
    name: str,
    title: str,
    module: str,
    operations: Mapping[int, float],
    *,
    norms: tuple[str, ...] = ("batch",),
    **more: Any,
) -> Architecture:
    """An architecture for images of 224x224 pixels with its stem adapted to smaller ones (``bacon.networks.adaptation``)."""
    return Architecture(
        name=name,
        title=title,
        builder=f"bacon.networks.{module}:build",
        norms=norms,
        operations=operations,
        pool=_named(name, norms=norms, suffixes=_BATCH),
        **more,
    )


_TABLE = (
    _convnet(),
    Architecture(
        name="mlp",
        title="MLP",
        builder="bacon.networks.mlp:build",
        norms=("none",),
        convolutional=False,
        operations={16: 2.3e5, 32: 8.2e5},
        parameters=4.1e5,
        pool={"mlp": {"architecture": "mlp"}},
    ),
    Architecture(
        name="lenet",
        title="LeNet",
        builder="bacon.networks.lenet:build",
        norms=("none",),
        smallest=16,
        why_smallest="has two 5x5 convolutions without padding, which leave nothing of smaller images",
        operations={16: 1.7e5, 28: 1.3e6, 32: 1.3e6, 64: 7.2e6, 128: 3.3e7},
        parameters=6.2e4,
        pool={"lenet": {"architecture": "lenet"}},
    ),
    Architecture(
        name="alexnet",
        title="AlexNet",
        builder="bacon.networks.alexnet:build",
        norms=("none", "batch"),
        smallest=8,
        why_smallest="halves images three times",
        operations={32: 5.0e8},
        parameters=1.87e6,
        pool=_named("alexnet", norms=("none", "batch"), suffixes=_BATCH),
    ),
    _vgg("vgg11", "VGG-11", 3.1e8, 9.23e6),
    _vgg("vgg13", "VGG-13", 4.6e8, 9.42e6),
    _vgg("vgg16", "VGG-16", 6.3e8, 1.473e7),
    _resnet("resnet18", "ResNet-18", ("instance", "batch"), 1.11e9, 1.117e7),
    _resnet("resnet50", "ResNet-50", ("batch", "instance"), 2.6e9, 2.35e7),
    _resnet("resnet101", "ResNet-101", ("batch", "instance"), 5.0e9, 4.25e7),
    _small_images("mobilenet_v2", "MobileNetV2", "mobilenet", {32: 1.76e8, 64: 1.96e8, 128: 1.96e8}, parameters=2.24e6),
    _small_images(
        "efficientnet_b0", "EfficientNet-B0", "efficientnet", {32: 2.32e8, 64: 2.52e8, 128: 2.52e8}, parameters=4.02e6
    ),
    _small_images("shufflenet_v2", "ShuffleNetV2", "shufflenet", {32: 9.0e7, 64: 9.4e7, 128: 9.4e7}, parameters=1.26e6),
    _small_images(
        "shufflenet_v2_x0_5",
        "ShuffleNetV2 x0.5",
        "shufflenet",
        {32: 2.18e7, 64: 2.58e7, 128: 2.58e7},
        parameters=3.52e5,
    ),
    _small_images(
        "densenet121",
        "DenseNet-121",
        "densenet",
        {32: 1.78e9, 64: 1.79e9, 128: 1.85e9},
        parameters=6.96e6,
        smallest=8,
        why_smallest="halves images three times",
    ),
    _small_images("wrn16_2", "WRN-16-2", "wide_resnet", {32: 2.0e8}, parameters=6.9e5, norms=("batch", "instance")),
    _small_images(
        "vit_tiny",
        "ViT-Tiny",
        "vit",
        {16: 7.3e8, 28: 5.6e8, 32: 7.3e8, 64: 7.3e8, 128: 7.5e8, 224: 2.5e9},
        parameters=5.36e6,
        norms=("layer",),
        limits="bacon.networks.vit_limits",
    ),
    _small_images(
        "swin_tiny",
        "Swin-Tiny",
        "swin",
        {32: 2.86e9, 64: 2.86e9, 128: 2.87e9, 224: 9.0e9},
        parameters=2.75e7,
        norms=("layer",),
        smallest=25,
        why_smallest="halves images three times, and its attention works on 4x4 windows of the last feature maps",
    ),
    Architecture(
        name="frepo_convnet",
        title="FRePo's ConvNet",
        builder="bacon.networks.frepo_convnet:build",
        norms=("none", "batch"),
        keys=("width", "depth"),
        limits="bacon.networks.frepo_limits",
        parameters=1.561e6,
        pool=_named("frepo_convnet", norms=("none", "batch"), suffixes=_BATCH),
    ),
    Architecture(
        name="kip_convnet",
        title="KIP's ConvNet",
        builder="bacon.networks.kip_convnet:build",
        norms=("none",),
        keys=("width", "depth"),
        limits="bacon.networks.kip_limits",
        parameters=4.67e5,
        pool={"kip_convnet": {"architecture": "kip_convnet", "width": 1024}},
    ),
)
ARCHITECTURES: Mapping[str, Architecture] = {architecture.name: architecture for architecture in _TABLE}
"""Name -> architecture."""


def named_networks() -> dict[str, Mapping[str, Any]]:
    """Evaluation networks known by name -> their settings: the field's cross-architecture pool."""
    return {name: settings for architecture in ARCHITECTURES.values() for name, settings in architecture.pool.items()}


def known_architecture(name: str) -> str:
    """``name``, if there is such an architecture.

    Raises:
        ValueError: there is none; the message names the nearest and all.
    """
    if name in ARCHITECTURES:
        return name
    nearest = max(ARCHITECTURES, key=lambda known: difflib.SequenceMatcher(None, name.lower(), known).ratio())
    close = difflib.get_close_matches(name.lower(), (nearest,), cutoff=0.5)
    suggestion = f"; did you mean {nearest!r}?" if close else ""
    raise ValueError(f"unknown architecture{suggestion} (allowed: {', '.join(ARCHITECTURES)})")
