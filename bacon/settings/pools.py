"""Settings of the pools that embedding networks are drawn from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field

from bacon.settings.base import Strict


class FreshNetworks(Strict):
    """DM: a fresh random network every iteration."""

    source: Literal["fresh"] = "fresh"


class NetworkQueue(Strict):
    """IDM and BACON: a queue of networks that are trained a little while they are used (docs/algorithms.md)."""

    source: Literal["queue"] = "queue"
    start: int = Field(3, ge=1, le=1000, description="Number of networks in the queue at the start.")
    capacity: int = Field(100, ge=1, le=1000, description="Maximum number of networks; the oldest is dropped.")
    net_generate_interval: int = Field(30, ge=1, description="A new network is added every N iterations.")
    networks_trained: int = Field(
        2, ge=1, description="Number of networks drawn per iteration, without replacement, to be trained."
    )
    model_train_steps: int = Field(10, ge=0, description="SGD steps of each drawn network per iteration.")
    batch_train: int = Field(256, ge=1, description="Real images per SGD step, drawn from all classes.")
    lr_net: float = Field(0.01, gt=0, description="Learning rate of the queue's networks.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of the queue's networks.")
    weight_decay: float = Field(5e-4, ge=0, description="Weight decay of the queue's networks.")
    meter_interval: int = Field(
        100,
        ge=1,
        description="The running training accuracies are reset every N iterations (published code: eval_interval).",
    )


class WeightedQueue(NetworkQueue):
    """IDM and BACON: a queue of networks that are trained a little while they are used (docs/algorithms.md)."""

    ce_weight: float = Field(
        0.5,
        ge=0,
        description="Weight of cross-entropy; multiplied by the network's running training accuracy in percent.",
    )


QueueOrFresh = Annotated[FreshNetworks | WeightedQueue, Discriminator("source")]


class TrainedNetworks(Strict):
    """Networks trained on the real set before distillation (rule `train`); one is drawn in each iteration."""

    runs: int = Field(20, ge=1, le=1000, description="Number of networks that are trained on the real set.")
    epochs: int = Field(60, ge=1, description="Epochs of their training.")
