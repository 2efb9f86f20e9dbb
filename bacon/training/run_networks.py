"""A network out of a training run: built as it was trained, with the weights of the end or of an epoch."""

from __future__ import annotations

import torch

from bacon.artifacts.trained_runs import TrainedRuns
from bacon.networks.build import loaded_network
from bacon.networks.network import Network
from bacon.settings.network import NetworkSettings


def run_network(
    runs: TrainedRuns,
    run: int,
    *,
    device: torch.device,
    epoch: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Network:
    """The network of a run in eval mode, whose parameters take no gradient.

    Args:
        runs: the training runs.
        run: number of the run.
        device: where the network lives.
        epoch: weights after so many epochs, 0 the untrained ones; ``None``: after training.
        dtype: float32 or float64.

    Raises:
        BaconError: the run is damaged, or weights of that epoch were not kept.
    """
    about = runs.attributes(run)
    network = loaded_network(
        NetworkSettings.model_validate(about["settings"]["network"]),
        runs.weights(run) if epoch is None else runs.snapshot(run, epoch),
        channels=about["channels"],
        size=about["size"],
        classes=about["classes"],
        device=device,
        dtype=dtype,
    )
    return network.eval().requires_grad_(False)
