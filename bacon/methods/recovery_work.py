"""What recovering images needs and costs, for the records of methods. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from bacon.methods.base import CellSize, Passes, Work
from bacon.runtime.errors import BaconError
from bacon.settings.architectures import ARCHITECTURES
from bacon.settings.network import NetworkSettings
from bacon.settings.recovery import RecoverySettings
from bacon.settings.training_need import TrainingNeed

_CONVNET = 1.0e8  # operations of ConvNet-3 with 128 channels on a 32x32 image
_CHANNELS = 128


def relative_cost(network: NetworkSettings | None) -> float:
    """A pass through a teacher in passes of ConvNet-3 with 128 channels; ``None``, the cell's own network, counts 1."""
    if network is None:
        return 1.0
    known = ARCHITECTURES[network.architecture].operations
    return max(known.get(32, 0.0) / _CONVNET, 1.0) if known else (network.width / _CHANNELS) ** 2


def recovery_work(settings: RecoverySettings, size: CellSize, networks: Sequence[NetworkSettings | None]) -> Work:
    """Per iteration every image goes forward and back through one of the networks."""
    images = size.ipc * size.classes
    factor = sum(relative_cost(network) for network in networks) / len(networks)
    passes = (Passes(kind="image_gradient", images=max(1, round(images * factor))),)
    return Work(iterations=settings.iterations, passes=passes)


def check_convolutions(needs: Sequence[TrainingNeed]) -> None:
    """Raise :class:`BaconError` for teachers with neither convolutions nor batch norm, in which nothing can be matched."""
    for need in needs:
        if need.network.norm != "batch" and not ARCHITECTURES[need.network.architecture].convolutional:
            raise BaconError(
                "distillation.teachers: images are recovered from the statistics of convolutions and batch norms, and the "
                f"{need.name} are {need.network.architecture}, which has neither; choose other architectures in "
                "distillation.teachers.networks"
            )


def check_batch_norm(needs: Sequence[TrainingNeed]) -> None:
    """Raise :class:`BaconError` for teachers without batch norm, which say nothing of the statistics of the real set."""
    for need in needs:
        if need.network.norm != "batch":
            raise BaconError(
                f"distillation.teachers: images are recovered from the statistics of batch norm, and the {need.name} are "
                f"{need.network.architecture} with norm {need.network.norm}; set distillation.teachers.network to "
                "{architecture: resnet18, norm: batch}, or another one with norm: batch"
            )
