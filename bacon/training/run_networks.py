"""A network out of a training run: built as it was trained, with the weights of the end or of an epoch."""

from __future__ import annotations

import math

import torch

from bacon.artifacts.trained_runs import TrainedRuns
from bacon.networks.build import loaded_network
from bacon.networks.network import Network
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger
from bacon.settings.network import NetworkSettings

log = get_logger(__name__)


def warn_at_chance(runs: TrainedRuns, run: int, *, classes: int, images: int, where: object) -> None:
    """Warn if a network classified its training images hardly better than chance: what it sees means nothing then.

    Args:
        runs: the training runs.
        run: number of the run.
        classes: of the data set.
        images: that it was trained on.
        where: what uses it, for the message.
    """
    accuracy, chance = runs.entry(run).train_accuracy, 1 / classes
    if at_chance(runs, run, classes=classes, images=images):
        log.warning(
            "%s: training run %d (%s) classified %.1f %% of its training images correctly, where chance is %.1f %%; what is "
            "made with it says little: train longer, or with another rate",
            where, run, runs.key, 100 * accuracy, 100 * chance,
        )  # fmt: skip


def check_runs(
    runs: TrainedRuns,
    run: int,
    *,
    name: str,
    where: object,
    dataset: str,
    data_fingerprint: str | None,
    shape: tuple[int, int, int],
    classes: int,
) -> None:
    """Raise :class:`BaconError` unless a run is of the data set that it is used on, and its training came to something.

    Args:
        runs: the training runs.
        run: number of the run.
        name: what its user calls the runs, for the message.
        where: what uses them.
        dataset: name of the data set.
        data_fingerprint: of the data set, normalisation included; ``None``: unknown.
        shape: (C, H, W) of its images.
        classes: its number of classes.
    """
    about = runs.attributes(run)
    expected = {
        "data set": (about["dataset"], dataset),
        "data set's content or normalisation (fingerprint)": (
            about["data_fingerprint"],
            data_fingerprint or about["data_fingerprint"],
        ),
        "number of channels": (about["channels"], shape[0]),
        "image size": (about["size"], shape[1]),
        "number of classes": (about["classes"], classes),
    }
    for what, (found, wanted) in expected.items():
        if found != wanted:
            raise BaconError(
                f"{where}: the {name} ({runs.key}) were trained with another {what}: {found}, here it is {wanted}; train "
                f"{name} for this data set (snakemake does)"
            )
    if not math.isfinite(runs.entry(run).train_loss):
        raise BaconError(
            f"{where}: the training of run {run} of the {name} ({runs.key}) diverged (loss {runs.entry(run).train_loss}); "
            "lower its learning rate (teachers.lr)"
        )


def at_chance(runs: TrainedRuns, run: int, *, classes: int, images: int) -> bool:
    """Whether a run classified its ``images`` training images of ``classes`` classes hardly better than chance.

    Three standard deviations above chance are enough.
    """
    chance = 1 / classes
    return bool(runs.entry(run).train_accuracy <= chance + 3 * (chance * (1 - chance) / images) ** 0.5)


def weight_bytes(runs: TrainedRuns, run: int) -> int:
    """Bytes of the parameters and buffers of a run after training, as they are stored (float32)."""
    return sum(tensor.nbytes for tensor in runs.weights(run).values())


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
