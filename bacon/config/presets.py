"""Named bundles of settings: protocols and presets, the layers between the defaults and the method, and networks.

Each preset says where it comes from and what to expect of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bacon.config.model import Layer
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

PRESETS: Mapping[str, Layer] = {
    # The published protocol: 20,000 iterations, 1001 epochs (docs/algorithms.md), and each method with the settings that its
    # authors published for a data set and IPC. The defaults are the paper's already.
    "paper": Layer(),
    # Minutes on two CPU cores for the embedded digits. Few iterations, small batches, a tenth of the epochs.
    "demo": Layer(evaluation={"epochs": 100, "epochs_plain": None}),
    # Minutes on two CPU cores for CIFAR-10 with one image per class; what it reaches there is in docs/speed.md (Time to
    # accuracy). Goes with a larger lr_img, which the method's layer holds: config/fast.yaml. Evaluation is the paper's.
    "fast": Layer(),
    # A few iterations of everything: for tests and for trying a configuration.
    "smoke": Layer(evaluation={"epochs": 3, "epochs_plain": None, "seeds": 2}),
}
"""What a preset changes whatever the method; how it scales a method is in the method's record (`Method.scales`)."""
