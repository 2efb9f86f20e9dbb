"""What an evaluation evaluates and how, and the fingerprints of what goes in and comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bacon.artifacts.trained_runs import TrainedRuns
from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.host_rows import Placement
from bacon.settings.run import NETWORKS_AT_ONCE

if TYPE_CHECKING:
    from bacon.settings.evaluation import EvaluationSettings
    from bacon.settings.network import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class EvaluationFingerprints:
    """Cumulative fingerprints of one evaluation.

    Attributes:
        rule: of the evaluation file.
        record: of its networks, whatever the numbers of seeds; the key of the cache.
        data: that the data set must carry.
        distilled: that the distilled set must carry; ``None`` for the full training set.
        augmentations: augmentation -> digest of its code, which only records of that augmentation depend on.
    """

    rule: str
    record: str
    data: str
    distilled: str | None = None
    augmentations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EvaluationJob:
    """What is evaluated and how.

    Attributes:
        dataset: name of the data set.
        method: name of the method; "full" for the full training set.
        ipc: images per class; ``None`` for the full training set, as is ``seed``.
        seed: distillation seed.
        network_name: name of the evaluation network in the configuration.
        network: its architecture.
        evaluation: the protocol, with the numbers of seeds.
        protocol: its name in the configuration.
        fingerprints: what the inputs must carry and the output shall carry.
        cache: folder of finished records.
        device: where networks are trained.
        placement: where real images are kept; changes no number.
        teachers: networks that label the batches, runs of each architecture; empty: the labels come from no teacher.
        progress_seconds: seconds between progress lines in a log.
        heartbeat: says how far the job is.
        at_once: networks that are trained side by side on a GPU (``run.networks_at_once``); changes no number.
    """

    dataset: str
    method: str
    ipc: int | None
    seed: int | None
    network_name: str
    network: NetworkSettings
    evaluation: EvaluationSettings
    protocol: str
    fingerprints: EvaluationFingerprints
    cache: Path
    device: torch.device
    placement: Placement = "auto"
    teachers: tuple[TrainedRuns, ...] = ()
    progress_seconds: float = 10.0
    heartbeat: Heartbeat | None = None
    at_once: int = NETWORKS_AT_ONCE

    def __str__(self) -> str:
        place = self.method if self.ipc is None else f"{self.method}/ipc{self.ipc}/seed{self.seed}"
        return f"{self.dataset}/{place} {self.network_name}"
