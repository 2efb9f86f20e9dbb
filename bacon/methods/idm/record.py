"""IDM, improved distribution matching (Zhao et al., CVPR 2023): partition, network queue, accuracy-weighted CE."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bacon.methods.base import Method
from bacon.methods.matching_work import matching_work
from bacon.settings.distillation import MatchingSettings, MeanObjective
from bacon.settings.pools import QueueOrFresh, WeightedQueue


class IDMSettings(MatchingSettings):
    """Settings of IDM."""

    objective: MeanObjective = Field(MeanObjective(), description="The matching loss.")
    networks: QueueOrFresh = Field(WeightedQueue(), description="Where the embedding networks come from.")


def published(batch_real: int, ce_weight: float, interval: int, steps: int, meter: int) -> dict[str, Any]:
    """Settings by the flags of the published commands, which BACON's program has too."""
    networks = {
        "ce_weight": ce_weight,
        "net_generate_interval": interval,
        "model_train_steps": steps,
        "meter_interval": meter,
    }
    return {"distillation": {"batch_real": batch_real, "networks": networks}}


# The published commands; those for SVHN are BACON's. 5000 is more than a class of CIFAR-100 has: all of it.
PUBLISHED = {
    ("svhn", 1): published(5000, 0.5, 5, 10, 100),
    ("svhn", 10): published(256, 0.5, 30, 10, 100),
    ("svhn", 50): published(256, 0.1, 30, 10, 500),
    ("cifar10", 1): published(5000, 0.5, 5, 10, 100),
    ("cifar10", 10): published(256, 0.5, 30, 10, 100),
    ("cifar10", 50): published(256, 0.1, 30, 10, 500),
    ("cifar100", 1): published(5000, 0.5, 5, 10, 100),
    ("cifar100", 10): published(256, 0.1, 30, 50, 100),
    ("cifar100", 50): published(256, 0.1, 30, 10, 500),
    ("tinyimagenet", 1): published(256, 0.5, 30, 10, 100),
    ("tinyimagenet", 10): published(256, 0.5, 30, 10, 500),
    ("tinyimagenet", 50): published(256, 0.8, 30, 50, 1000),
}

SCALES = {
    "demo": {
        "distillation": {
            "iterations": 150,
            "snapshot_interval": 50,
            "batch_real": 64,
            "networks": {"net_generate_interval": 10, "model_train_steps": 2, "batch_train": 64},
        }
    },
    # Fewer real images in a mean, fewer networks trained, smaller batches; goes with a larger lr_img (config/fast.yaml).
    "fast": {
        "distillation": {
            "iterations": 800,
            "snapshot_interval": 200,
            "batch_real": 64,
            "networks": {
                "net_generate_interval": 25,
                "networks_trained": 1,
                "model_train_steps": 5,
                "batch_train": 128,
            },
        }
    },
    "smoke": {
        "distillation": {
            "iterations": 4,
            "snapshot_interval": 2,
            "batch_real": 16,
            "networks": {"net_generate_interval": 2, "model_train_steps": 1, "batch_train": 16},
        }
    },
}

IDM = Method(
    name="idm",
    title="IDM",
    summary="Mean matching in a queue of partly trained networks, partitioned images, accuracy-weighted cross-entropy.",
    reference="Zhao et al., Improved Distribution Matching for Dataset Condensation, CVPR 2023",
    settings_model=IDMSettings,
    algorithm="bacon.methods.idm.algorithm:IDM",
    settings={
        "distillation": {
            "objective": {"kind": "mean"},
            "networks": {"source": "queue"},
            "partition": 2,
            "update": "per_class",
            "lr_img": 0.2,
            "momentum": 0.5,
        }
    },
    scales=SCALES,
    published=PUBLISHED,
    cost=matching_work,
    figure_place=2,
    term_titles={"mean": "Mean matching", "ce": "Cross-entropy (nats)"},
)
