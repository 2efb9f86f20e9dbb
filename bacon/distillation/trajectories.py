"""Experts' trajectories: weights of networks trained on the real set, epoch by epoch, and how far a student is from them."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from bacon.artifacts.trained_runs import TrainedRuns
from bacon.distillation.algorithm import Context
from bacon.distillation.unroll import FlatNetwork
from bacon.runtime.draws import uniform, words
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger
from bacon.training.run_networks import at_chance

log = get_logger(__name__)


def trajectory_distance(weights: Tensor, start: Tensor, target: Tensor) -> Tensor:
    """How far ``weights`` are from where the expert went, relative to how far it went (MTT, equation 4), 0-d.

    ``||weights - target||^2 / ||start - target||^2``: 1 for a student that has not moved, 0 for one that has arrived.

    Args:
        weights: (P,) float, the student's in the end.
        start: (P,), the expert's at the start epoch.
        target: (P,), the expert's M epochs later.
    """
    return (weights - target).square().sum() / (start - target).square().sum()


class Experts:
    """The trajectories that a distillation matches.

    Args:
        context: what the algorithm is given; its input ``name`` holds the experts.
        network: how their weights are put into one vector.
        last_epoch: the largest epoch whose weights are asked for.
        name: of the training need.

    Raises:
        BaconError: there are none, they are of another network, data set or normalisation, their weights of an epoch are
            missing, or their training diverged.
    """

    def __init__(self, context: Context, network: FlatNetwork, *, last_epoch: int, name: str = "experts") -> None:
        if name not in context.inputs or not len(context.inputs[name]):
            raise BaconError(f"{context.cell}: no {name} are given; the rule train makes them (docs/training.md)")
        self.runs, self._context, self._network = context.inputs[name], context, network
        check_experts(self.runs, context, last_epoch=last_epoch, name=name)

    def __len__(self) -> int:
        """Number of experts."""
        return len(self.runs)

    def chosen(self, iteration: int) -> int:
        """Number of the expert of an iteration: all of them in a random order, then all in another."""
        turn, place = divmod(iteration, len(self))
        order = np.argsort(words(self._context.seed, "experts", count=len(self), iteration=turn), kind="stable")
        return int(order[place])

    def start_epoch(self, iteration: int, first: int, end: int) -> int:
        """Start epoch of an iteration, uniform in [first, end)."""
        return first + int(uniform(self._context.seed, "start-epoch", count=1, iteration=iteration)[0] * (end - first))

    def weights(self, run: int, epoch: int) -> Tensor:
        """(P,) on the device: the parameters of an expert after ``epoch`` epochs."""
        flat = self._network.flat(self.runs.snapshot(run, epoch))
        return flat.to(self._context.device, self._context.real.dtype)


def check_experts(runs: TrainedRuns, context: Context, *, last_epoch: int, name: str) -> None:
    """Raise :class:`BaconError` unless the experts are what a cell matches; warn of those that have learned nothing."""
    about = runs.attributes(0)
    channels, size, _ = context.real.shape
    expected = {
        "data set": (about["dataset"], context.cell.dataset),
        "data set's content or normalisation (fingerprint)": (
            about["data_fingerprint"],
            context.data_fingerprint or about["data_fingerprint"],
        ),
        "network": (about["settings"]["network"], context.network.model_dump(mode="json")),
        "channels": (about["channels"], channels),
        "image size": (about["size"], size),
        "classes": (about["classes"], context.real.classes),
    }
    for what, (found, wanted) in expected.items():
        if found != wanted:
            raise BaconError(
                f"{context.cell}: the {name} were trained with another {what}: {found}, the cell has {wanted}; train {name} "
                "for this cell (snakemake does), or give the cell theirs"
            )
    kept = runs.epochs(0)
    if missing := sorted(set(range(last_epoch + 1)) - set(kept)):
        raise BaconError(
            f"{context.cell}: matching needs the weights of the {name} after each epoch up to {last_epoch}, those of "
            f"{', '.join(map(str, missing))} were not kept ({runs.key}); train the {name} for more epochs, or lower "
            "max_start_epoch or expert_epochs"
        )
    _check_trained(runs, context, name)


def _check_trained(runs: TrainedRuns, context: Context, name: str) -> None:
    classes, weak = context.real.classes, []
    for run in range(len(runs)):
        entry = runs.entry(run)
        if not math.isfinite(entry.train_loss):
            raise BaconError(
                f"{context.cell}: the training of run {run} of the {name} diverged (loss {entry.train_loss}); lower its "
                "learning rate (distillation.experts.lr)"
            )
        weak += [run] if at_chance(runs, run, classes=classes, images=len(context.real.labels)) else []
    if weak:
        log.warning(
            "%s: %d of %d %s are at chance level on the training images (%.1f%%): what is matched is hardly better than noise",
            context.cell, len(weak), len(runs), name, 100 / classes,
        )  # fmt: skip
