"""The networks trained on the real set that images are recovered from, checked before they are used."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from bacon.artifacts.trained_runs import TrainedRuns
from bacon.distillation.algorithm import Context
from bacon.distillation.recovery.layer_statistics import batch_norms
from bacon.networks.network import Network
from bacon.runtime.errors import BaconError
from bacon.training.run_networks import check_runs, run_network, warn_at_chance


def teacher(
    context: Context,
    runs: TrainedRuns,
    name: str,
    *,
    layers: Callable[[Network], Sequence[nn.Module]] = batch_norms,
) -> Network:
    """The teacher that the cell's seed chooses, number seed modulo their number, in eval mode.

    Args:
        context: what the algorithm is given.
        runs: the trained networks.
        name: of the training need.
        layers: the layers of a network whose statistics are matched.

    Raises:
        BaconError: it is of another data set, normalisation or kind of images, its training diverged, or it has none of the
            layers.
    """
    run, real = context.seed % len(runs), context.real
    check_runs(
        runs,
        run,
        name=name,
        where=context.cell,
        dataset=context.cell.dataset,
        data_fingerprint=context.data_fingerprint,
        shape=real.shape,
        classes=real.classes,
    )
    warn_at_chance(runs, run, classes=real.classes, images=len(real.labels), where=context.cell)
    network = run_network(runs, run, device=context.device, dtype=real.dtype)
    if not layers(network):
        raise BaconError(
            f"{context.cell}: the {name} ({runs.key}) have no layers whose statistics images are recovered from; give "
            "distillation.teachers.network a norm `batch`, or an architecture that has it"
        )
    return network
