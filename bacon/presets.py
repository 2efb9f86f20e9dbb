"""Named bundles of settings: the layer between the defaults and the method (see ``bacon.layering``).

Each preset says where it comes from and what to expect of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bacon.settings import PresetLayer

PRESETS: Mapping[str, tuple[PresetLayer, ...]] = {
    # The published protocol: 20,000 iterations, 1001 epochs (docs/algorithms.md). The defaults are the paper's already;
    # the full data set is trained for 200 epochs, by which its accuracy has settled.
    "paper": (PresetLayer(methods=("full",), evaluation={"epochs": 200}),),
    # Minutes on two CPU cores for the embedded digits. Few iterations, small batches, a tenth of the epochs.
    "demo": (
        PresetLayer(
            distillation={
                "iterations": 150,
                "snapshot_interval": 50,
                "batch_real": 64,
                "networks": {"net_generate_interval": 10, "model_train_steps": 2, "batch_train": 64},
            },
            evaluation={"epochs": 100},
        ),
        PresetLayer(methods=("full",), evaluation={"epochs": 40}),
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
            evaluation={"epochs": 3, "seeds": 2},
        ),
    ),
}


def preset_layers(name: str) -> tuple[tuple[str, Any], ...]:
    """The layers of a preset as (label, layer) pairs."""
    return tuple((f"preset {name}", layer) for layer in PRESETS[name])
