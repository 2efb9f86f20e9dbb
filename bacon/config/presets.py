"""Named bundles of settings: protocols and presets, the layers between the defaults and the method, and networks.

Each preset says where it comes from and what to expect of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bacon.config.model import Layer, PresetLayer
from bacon.settings.architectures import named_networks

PROTOCOLS: Mapping[str, Layer] = {
    # DC, DM, IDM, BACON: DSA, 1001 epochs, the accuracy of the last one. The defaults are the paper's.
    "paper": Layer(),
    # DC-BENCH (Cui et al., NeurIPS 2022): the average over six augmentations, 1000 epochs, 300 for none.
    "dc-bench": Layer(
        evaluation={
            "augmentations": ["none", "auto", "rand", "imagenet", "cifar", "dsa"],
            "epochs": 1000,
            "epochs_plain": 300,
            "snapshot_seeds": 0,
        }
    ),
    # DD-Ranking (Li et al., 2025): without and with augmentation, each with the learning rate that is best on validation.
    "dd-ranking": Layer(
        evaluation={
            "augmentations": ["none", "dsa"],
            "epochs": 300,
            "lr_search": [0.001, 0.005, 0.01, 0.05, 0.1],
            "snapshot_seeds": 0,
        }
    ),
}
"""Evaluation protocols: the lowest layer, so that presets, which shorten training, and explicit keys win over them."""

NETWORKS: Mapping[str, Mapping[str, Any]] = named_networks()
"""Evaluation networks known by name: the field's cross-architecture pool; an entry under `networks` replaces its namesake."""

PRESETS: Mapping[str, tuple[PresetLayer, ...]] = {
    # The published protocol: 20,000 iterations, 1001 epochs (docs/algorithms.md). The defaults are the paper's already;
    # the full data set is trained for 200 epochs, by which its accuracy has settled.
    "paper": (PresetLayer(methods=("full",), evaluation={"epochs": 200, "epochs_plain": None}),),
    # Minutes on two CPU cores for the embedded digits. Few iterations, small batches, a tenth of the epochs.
    "demo": (
        PresetLayer(
            distillation={
                "iterations": 150,
                "snapshot_interval": 50,
                "batch_real": 64,
                "networks": {"net_generate_interval": 10, "model_train_steps": 2, "batch_train": 64},
            },
            evaluation={"epochs": 100, "epochs_plain": None},
        ),
        PresetLayer(methods=("full",), evaluation={"epochs": 40, "epochs_plain": None}),
    ),
    # Minutes on two CPU cores for CIFAR-10 with one image per class; what it reaches there is in docs/speed.md (Time to
    # accuracy). Fewer real images in a mean, fewer networks trained, smaller batches. Goes with a larger lr_img, which the
    # method's layer holds: config/fast.yaml. Evaluation is the paper's.
    "fast": (
        PresetLayer(
            methods=("idm", "bacon"),
            distillation={
                "iterations": 800,
                "snapshot_interval": 200,
                "batch_real": 64,
                "networks": {
                    "net_generate_interval": 25,
                    "networks_trained": 1,
                    "model_train_steps": 5,
                    "batch_train": 128,
                },
            },
        ),
        PresetLayer(methods=("full",), evaluation={"epochs": 200, "epochs_plain": None}),
    ),
    # A few iterations of everything: for tests and for trying a configuration.
    "smoke": (
        PresetLayer(
            distillation={
                "iterations": 4,
                "snapshot_interval": 2,
                "batch_real": 16,
                "networks": {"net_generate_interval": 2, "model_train_steps": 1, "batch_train": 16},
            },
            evaluation={"epochs": 3, "epochs_plain": None, "seeds": 2},
        ),
    ),
}


def preset_layers(name: str) -> tuple[tuple[str, Any], ...]:
    """The layers of a preset as (label, layer) pairs."""
    return tuple((f"preset {name}", layer) for layer in PRESETS[name])
