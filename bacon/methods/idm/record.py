"""IDM, improved distribution matching (Zhao et al., CVPR 2023): partition, network queue, accuracy-weighted CE."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import Discriminator, Field

from bacon.methods.base import CellSize, Method, Passes, Work
from bacon.settings.base import Strict
from bacon.settings.distillation import MatchingSettings
from bacon.settings.pools import FreshNetworks, NetworkQueue


class MeanObjective(Strict):
    """Squared distance of mean embeddings, ``||mu_T - mu_S||^2`` (DM; also the matching term of IDM)."""

    kind: Literal["mean"] = "mean"


class WeightedQueue(NetworkQueue):
    """IDM and BACON: a queue of networks that are trained a little while they are used (docs/algorithms.md)."""

    ce_weight: float = Field(
        0.5,
        ge=0,
        description="Weight of cross-entropy; multiplied by the network's running training accuracy in percent.",
    )


QueueOrFresh = Annotated[FreshNetworks | WeightedQueue, Discriminator("source")]


class IDMSettings(MatchingSettings):
    """Settings of IDM."""

    objective: MeanObjective = Field(MeanObjective(), description="The matching loss.")
    networks: QueueOrFresh = Field(WeightedQueue(), description="Where the embedding networks come from.")


class _Matching(Protocol):
    """Settings of a method that matches embeddings in networks of a queue, or fresh ones."""

    iterations: int
    batch_real: int
    networks: FreshNetworks | WeightedQueue

    def parts(self) -> int: ...


def matching_work(settings: _Matching, size: CellSize) -> Work:
    """Per iteration: embed the real batch, the synthetic images with their gradient, and train networks of the queue."""
    passes = [
        Passes(kind="forward", images=size.real_batch(settings.batch_real)),
        Passes(kind="image_gradient", images=size.ipc * settings.parts() * size.classes),
    ]
    if isinstance(settings.networks, NetworkQueue):
        queue = settings.networks
        steps = queue.networks_trained * queue.model_train_steps
        passes.append(Passes(kind="training", images=min(queue.batch_train, size.train), count=steps))
    return Work(iterations=settings.iterations, passes=tuple(passes))


def _published(batch_real: int, ce_weight: float, interval: int, steps: int, meter: int) -> dict[str, Any]:
    networks = {
        "ce_weight": ce_weight,
        "net_generate_interval": interval,
        "model_train_steps": steps,
        "meter_interval": meter,
    }
    return {"distillation": {"batch_real": batch_real, "networks": networks}}


# The published commands, which BACON's share (docs/algorithms.md): 5000 is more than a class of CIFAR-100 has: all of it.
PUBLISHED = {
    ("svhn", 1): _published(5000, 0.5, 5, 10, 100),
    ("svhn", 10): _published(256, 0.5, 30, 10, 100),
    ("svhn", 50): _published(256, 0.1, 30, 10, 500),
    ("cifar10", 1): _published(5000, 0.5, 5, 10, 100),
    ("cifar10", 10): _published(256, 0.5, 30, 10, 100),
    ("cifar10", 50): _published(256, 0.1, 30, 10, 500),
    ("cifar100", 1): _published(5000, 0.5, 5, 10, 100),
    ("cifar100", 10): _published(256, 0.1, 30, 50, 100),
    ("cifar100", 50): _published(256, 0.1, 30, 50, 500),
    ("tinyimagenet", 1): _published(256, 0.5, 30, 10, 100),
    ("tinyimagenet", 10): _published(256, 0.5, 30, 50, 500),
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
