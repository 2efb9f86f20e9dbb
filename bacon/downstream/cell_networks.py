"""The networks that a cell's evaluation trains, for the downstream tasks that test them: each trained once for all tasks."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from bacon.artifacts.evaluation_records import RecordKey
from bacon.artifacts.kept_networks import KeptNetworks
from bacon.artifacts.trained_runs import TrainedRuns
from bacon.evaluation.evaluate_cell import network_key
from bacon.evaluation.protocol_training import trained_network
from bacon.evaluation.rate_search import choose_rates
from bacon.evaluation.trained_networks import Networks
from bacon.networks.build import loaded_network
from bacon.networks.network import Network
from bacon.runtime.logs import get_logger
from bacon.settings.evaluation import EvaluationSettings
from bacon.training.run_networks import run_network

log = get_logger(__name__)


class CellNetworks:
    """Networks of a cell on its final images, with the first augmentation of its protocol.

    Args:
        networks: the cell's images and data, and how its networks are trained.
        kept: where finished networks are kept.
        trained: for the full data set, the networks that stand for it; ``None``: they are trained here.
    """

    def __init__(self, networks: Networks, kept: KeptNetworks, *, trained: TrainedRuns | None = None) -> None:
        self.networks, self._kept, self._trained = networks, kept, trained

    @cached_property
    def _augmentation(self) -> str:
        evaluation = self.networks.job.evaluation
        return evaluation.recorded_augmentation(evaluation.augmentations[0])

    @cached_property
    def _rates(self) -> dict[str, float]:
        return choose_rates(self.networks, self.networks.job.evaluation, [self._augmentation])[0]

    @cached_property
    def protocol(self) -> EvaluationSettings:
        """The protocol of one network: one augmentation, one learning rate."""
        key = self._key(0)
        return self.networks.job.evaluation.with_augmentation(key.augmentation, key.lr_net)

    def _key(self, seed: int) -> RecordKey:
        return network_key(self.networks, self.networks.final, seed, self._augmentation, self._rates)

    def seed(self, repetition: int) -> tuple[int, int]:
        """(distillation seed, evaluation seed); of the full data set the former is 0."""
        return self.networks.job.seed or 0, repetition

    def network(self, seed: int) -> Network:
        """The network of an evaluation seed, to the bit the one that the evaluation tests, in eval mode."""
        if self._trained is not None:
            return run_network(self._trained, seed, device=self.networks.job.device)
        key = self._key(seed)
        weights = self._kept.load(str(key))
        if weights is not None:
            return self._loaded(weights)
        made = trained_network(self.networks.training(key))
        self._kept.store(str(key), {name: tensor.detach().cpu() for name, tensor in made.state_dict().items()})
        log.info("%s: trained the network of evaluation seed %d", self.networks.job, seed)
        return made

    def _loaded(self, weights: dict[str, Tensor]) -> Network:
        channels, size = self.networks.dataset.test_images.shape[1:3]
        network = loaded_network(
            self.networks.job.network,
            weights,
            channels=channels,
            size=size,
            classes=len(self.networks.dataset.class_names),
            device=self.networks.job.device,
        )
        return network.eval().requires_grad_(False)
