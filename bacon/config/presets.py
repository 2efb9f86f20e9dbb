"""Named bundles of settings: presets, a layer between the protocol and the method, and networks.

Each preset says where it comes from and what to expect of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bacon.config.model import Layer

NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "mlp": {"architecture": "mlp"},
    "lenet": {"architecture": "lenet"},
    "alexnet": {"architecture": "alexnet"},
    "alexnet_bn": {"architecture": "alexnet", "norm": "batch"},
    "vgg11": {"architecture": "vgg11"},
    "vgg11_bn": {"architecture": "vgg11", "norm": "batch"},
    "resnet18": {"architecture": "resnet18"},
    "resnet18_bn": {"architecture": "resnet18", "norm": "batch"},
    **{f"convnet_w{width}": {"width": width} for width in (32, 64, 128, 256)},
    **{f"convnet_d{depth}": {"depth": depth} for depth in (1, 2, 3, 4)},
    **{f"convnet_{norm}": {"norm": norm} for norm in ("batch", "layer", "group")},
    "convnet_no_norm": {"norm": "none"},
    **{f"convnet_{name}": {"activation": name} for name in ("sigmoid", "leaky_relu", "swish")},
    "convnet_max_pool": {"pooling": "max"},
    "convnet_no_pool": {"pooling": "none"},
}
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
