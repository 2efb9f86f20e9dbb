"""What docs/evaluation.md says is wrong in DD-Ranking 0.2.0, found again by running it.

Its evaluators are given the accuracies that a formula is to be tried with, in percent as they measure them themselves; all else
is the package as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from bacon.evaluation.scores import augmentation_robust_score, label_robust_score
from benchmarks.dd_ranking.package import quiet, small_cifar10

REAL, SYNTHETIC, RANDOM = 90.0, 50.0, 40.0
"""Accuracies in percent: HLR is 40 points and IOR 10."""
_MODEL = "MLP"
# Schedule -> what AugmentationRobustScore does not hand on, or does not have.
_UNTRAINED = {"step": "step_size", "cosineannealing": "teacher_models"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One documented defect.

    Attributes:
        name: what is looked at.
        documented: what docs/evaluation.md says of 0.2.0.
        found: what the package did now.
        present: whether it still is as documented.
    """

    name: str
    documented: str
    found: str
    present: bool


def findings(package: ModuleType, folder: Path) -> Iterator[Finding]:
    """Look for each documented defect.

    Args:
        package: ``ddranking``.
        folder: for the small data set and what the evaluators write.
    """
    with small_cifar10(folder, train=20, test=10):
        yield _percent(package)
        yield _score(package, folder, "LabelRobustScoreHard", hard_evaluator)
        yield _score(package, folder, "LabelRobustScoreSoft", soft_evaluator)
        yield _augmentation_score(package, folder)
        yield _appended_twice(package, folder)
        yield _not_saved(package, folder)
        for data_format in ("tensor", "image"):
            yield _no_soft_labels(package, folder, data_format)
        for schedule, problem in _UNTRAINED.items():
            yield _no_hard_labels(package, folder, schedule, problem)


def _percent(package: ModuleType) -> Finding:
    """The accuracy of a network that is always right."""
    labels = torch.arange(10)
    batches = torch.utils.data.DataLoader(package.utils.TensorDataset(nn.functional.one_hot(labels).float(), labels))
    with quiet():
        accuracy = package.utils.validate(nn.Identity(), batches, device="cpu")
    return Finding(
        name="accuracy of a network that is always right",
        documented="100: accuracies are percentages",
        found=f"{accuracy:g}",
        present=accuracy == 100,
    )


def _score(
    package: ModuleType, folder: Path, name: str, evaluator: Callable[..., tuple[Any, dict[str, Any]]]
) -> Finding:
    """LRS at accuracies of 90, 50 and 40 %."""
    result, _ = evaluator(package, folder)
    found, right = result["label_robust_score_mean"], label_robust_score(0.4, 0.1)
    floor = label_robust_score(40, 10)
    return Finding(
        name=f"{name} at HLR 40 %, IOR 10 %",
        documented=f"{floor:.4f}: percentages in the exponential; the formula gives {right:.4f}",
        found=f"{found:.4f}",
        present=math.isclose(found, floor, abs_tol=1e-4),
    )


def _augmentation_score(package: ModuleType, folder: Path) -> Finding:
    evaluator = _evaluator(package.AugmentationRobustScore, folder, label_type="hard", random_data_format="tensor")
    for name in ("_compute_with_aug_metrics_helper", "_compute_without_aug_metrics_helper"):
        setattr(evaluator, name, _given_accuracy)
    evaluator._get_random_data_helper = lambda **_: (None,) * 4
    with quiet():
        found = evaluator.compute_metrics(image_tensor=_IMAGES)["augmentation_robust_score_mean"]
    unbounded, right = augmentation_robust_score(10, 10), augmentation_robust_score(0.1, 0.1)
    return Finding(
        name="AugmentationRobustScore at gains of 10 %",
        documented=f"{unbounded:.0f}, far above 1; the formula gives {right:.4f}",
        found=f"{found:.4g}",
        present=math.isclose(found, unbounded, rel_tol=1e-4),
    )


def _appended_twice(package: ModuleType, folder: Path) -> Finding:
    _, saved = hard_evaluator(package, folder)
    counts = {name: len(values) for name, values in saved.items()}
    return Finding(
        name="LabelRobustScoreHard, values of one run",
        documented="2 of lrs, 1 of each of the others: each score is appended twice",
        found=", ".join(f"{count} of {name}" for name, count in counts.items()),
        present=counts == {"hard_label_recovery": 1, "improvement_over_random": 1, "lrs": 2},
    )


def _not_saved(package: ModuleType, folder: Path) -> Finding:
    found = "it returned its scores"
    try:
        hard_evaluator(package, folder, save=True)
    except ValueError as error:
        found = f"ValueError: {error}"
    return Finding(
        name="LabelRobustScoreHard, saving its scores",
        documented="ValueError: columns of unequal length, so that compute_metrics never returns",
        found=found,
        present=found.startswith("ValueError"),
    )


def _no_soft_labels(package: ModuleType, folder: Path, data_format: str) -> Finding:
    found = "it drew them"
    evaluator = _soft(package, folder, data_format)
    try:
        with quiet():
            evaluator._get_random_data_helper(eval_iter=0)
    except Exception as error:  # whichever it is, is what is looked for
        found = f"{type(error).__name__}: {error}"
    return Finding(
        name=f"LabelRobustScoreSoft with given soft labels, random images as {data_format}",
        documented="an error: soft_label_mode S ends at the random images",
        found=found,
        present=found != "it drew them",
    )


def _no_hard_labels(package: ModuleType, folder: Path, schedule: str, problem: str) -> Finding:
    found = "it trained"
    options = {"label_type": "hard", "lr_scheduler": schedule, "step_size": 1, "num_epochs": 1}
    evaluator = _evaluator(package.AugmentationRobustScore, folder, **options)
    network = package.build_model(_MODEL, num_classes=10, im_size=(32, 32), device="cpu")
    try:
        with quiet():
            evaluator._compute_hard_label_metrics(network, _IMAGES, None, 0.01, torch.arange(10), use_aug=False)
    except (AssertionError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
    return Finding(
        name=f"AugmentationRobustScore with hard labels and the schedule {schedule}",
        documented=f"an error about {problem}",
        found=found,
        present=problem in found,
    )


def hard_evaluator(package: ModuleType, folder: Path, *, save: bool = False) -> tuple[dict[str, float], dict[str, Any]]:
    """What LabelRobustScoreHard returns at the given accuracies, and what it saves (or, with ``save``, cannot)."""
    evaluator = _evaluator(package.LabelRobustScoreHard, folder, random_data_format="tensor")
    evaluator._compute_hard_label_metrics_helper = _given_accuracy
    return _computed(evaluator, package.metrics.hard_label, save=save)


def soft_evaluator(package: ModuleType, folder: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """The same of LabelRobustScoreSoft, past the random images that it cannot draw."""
    evaluator = _soft(package, folder, "tensor")
    evaluator._compute_hard_label_metrics_helper = evaluator._compute_soft_label_metrics_helper = _given_accuracy
    evaluator._get_random_data_helper = lambda **_: (None,) * 3
    return _computed(evaluator, package.metrics.soft_label, soft_labels=torch.zeros(10, 10))


_IMAGES = torch.zeros(10, 3, 32, 32)


def _given_accuracy(*, image_tensor: torch.Tensor | None, **_: Any) -> tuple[float, float]:
    """(accuracy in percent, learning rate) in place of training; random images are others than ours."""
    return (SYNTHETIC if image_tensor is _IMAGES else RANDOM), 0.01


def _computed(evaluator: Any, module: ModuleType, *, save: bool = False, **labels: Any) -> tuple[dict[str, float], Any]:
    """What ``compute_metrics`` returns, and the columns it gives to ``save_results``."""
    saved: dict[str, Any] = {}
    before, key = module.save_results, f"CIFAR10-{_MODEL}"
    module.REAL_DATA_ACC_CACHE[key] = REAL
    try:
        if not save:
            module.save_results = lambda results, _: saved.update(results)
        with quiet():
            return evaluator.compute_metrics(image_tensor=_IMAGES, **labels), saved
    finally:
        module.save_results = before
        del module.REAL_DATA_ACC_CACHE[key]


def _soft(package: ModuleType, folder: Path, data_format: str) -> Any:
    return _evaluator(
        package.LabelRobustScoreSoft,
        folder,
        random_data_format=data_format,
        soft_label_mode="S",
        soft_label_criterion="sce",
        teacher_model_names=[],
    )


def _evaluator(kind: type, folder: Path, **options: Any) -> Any:
    with quiet():
        return kind(
            dataset="CIFAR10",
            real_data_path=str(folder),
            ipc=1,
            model_name=_MODEL,
            num_eval=1,
            num_workers=0,
            data_aug_func=None,
            device="cpu",
            save_path=str(folder / "scores.csv"),
            random_data_path=str(folder / "random"),
            **options,
        )
