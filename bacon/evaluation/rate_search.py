"""What the validation split chooses: the learning rate of each augmentation. Test images choose nothing anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bacon.artifacts.evaluation_records import RecordKey
from bacon.evaluation.trained_networks import Networks
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger
from bacon.training.loop import DivergedError

if TYPE_CHECKING:
    from bacon.settings.evaluation import EvaluationSettings

log = get_logger(__name__)

SEED = 0
"""Evaluation seed of the networks that are compared; the chosen one is among those that are reported."""


def choose_rates(
    networks: Networks, evaluation: EvaluationSettings, augmentations: Sequence[str]
) -> tuple[dict[str, float], dict[str, Any] | None]:
    """The learning rate of each augmentation, on the cell's final images.

    Args:
        networks: trains the networks that are compared.
        evaluation: the protocol; without ``lr_search`` nothing is searched.
        augmentations: their names in records.

    Returns:
        The rates by augmentation; and for the evaluation file what was chosen, by what, with every rate tried, its accuracy
        on the validation split (a fraction, ``None`` where training diverged); ``None`` when nothing was searched.

    Raises:
        BaconError: there is no validation split, or no rate could be trained.
    """
    if not evaluation.lr_search:
        return dict.fromkeys(augmentations, evaluation.lr_net), None
    if networks.dataset.validation_images is None:
        raise BaconError(
            f"evaluation.lr_search needs a validation split, and data set {networks.job.dataset} has none: set "
            f"data.{networks.job.dataset}.validation, for example to 0.1"
        )
    tried = _try_all(networks, augmentations, evaluation.lr_search)
    rates = {name: _best(evaluation.lr_search, tried[name]) for name in augmentations}
    log.info("%s: learning rates chosen on the validation split: %s", networks.job, rates)
    selection = {
        name: {
            "lr_net": rates[name],
            "tried": [
                {"lr_net": rate, "validation_accuracy": accuracy}
                for rate, accuracy in zip(evaluation.lr_search, tried[name], strict=True)
            ],
        }
        for name in augmentations
    }
    return rates, {"split": "validation", "what": "lr_net", "evaluation_seed": SEED, "augmentations": selection}


def _try_all(networks: Networks, augmentations: Sequence[str], rates: Sequence[float]) -> dict[str, list[float | None]]:
    """Validation accuracy of one network for each augmentation and rate, on the final images; ``None``: it diverged."""
    keys = [
        RecordKey(iteration=networks.final, evaluation_seed=SEED, augmentation=name, lr_net=rate)
        for name in augmentations
        for rate in rates
    ]
    tried: dict[str, list[float | None]] = {name: [] for name in augmentations}
    for key, found in zip(keys, networks.attempts(keys), strict=True):
        if isinstance(found, DivergedError):
            log.info("learning rate %g is ruled out: %s", key.lr_net, found)
        tried[key.augmentation].append(None if isinstance(found, DivergedError) else found.validation_accuracy)
    return tried


def _best(rates: Sequence[float], accuracies: Sequence[float | None]) -> float:
    """The rate with the highest accuracy; of equal ones the first in the list."""
    found = [(accuracy, rate) for rate, accuracy in zip(rates, accuracies, strict=True) if accuracy is not None]
    if not found:
        raise BaconError(f"evaluation.lr_search: training diverged with every rate of {list(rates)}; give smaller ones")
    return max(found, key=lambda pair: pair[0])[1]
