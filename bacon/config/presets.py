"""Named bundles of settings: presets, a layer between the protocol and the method, and networks.

Each preset says where it comes from and what to expect of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bacon.config.model import Layer
from bacon.methods.feature_needs import DEMO, SMOKE
from bacon.settings.architectures import named_networks

NETWORKS: Mapping[str, Mapping[str, Any]] = named_networks()
"""Evaluation networks known by name: the field's cross-architecture pool; an entry under `networks` replaces its namesake."""

PRESETS: Mapping[str, Layer] = {
    # The published protocol: 20,000 iterations, 1001 epochs (docs/algorithms.md), and each method with the settings that its
    # authors published for a data set and IPC. The defaults are the paper's already.
    "paper": Layer(),
    # Minutes on two CPU cores for the embedded digits. Few iterations, small batches, a tenth of P-DSA's epochs; protocols
    # whose networks would learn nothing in these say what is left of them (Protocol.preset_length).
    "demo": Layer(evaluation={"epochs": 100, "epochs_plain": None, "teachers": DEMO}),
    # Minutes on two CPU cores for CIFAR-10 with one image per class; what it reaches there is in docs/speed.md (Time to
    # accuracy). Goes with a larger lr_img, which the method's layer holds: config/fast.yaml. Evaluation is the paper's.
    "fast": Layer(),
    # A few iterations of everything: for tests and for trying a configuration.
    "smoke": Layer(evaluation={"epochs": 3, "epochs_plain": None, "seeds": 2, "teachers": {**SMOKE, "runs": 1}}),
}
"""What a preset changes whatever the method; how it scales a method is in the method's record (`Method.scales`)."""
