"""Accuracy by class and confusion, summed over the networks of a cell group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bacon.reporting.collect.evaluations import ExpectedEvaluation, read_evaluation
from bacon.runtime.errors import BaconError


@dataclass(frozen=True, kw_only=True)
class ClassResults:
    """Test results by class of one data set, method and IPC.

    Attributes:
        dataset: name of the data set.
        dataset_title: its title.
        method: name of the method.
        method_title: its title.
        ipc: images per class; ``None`` for the full data set.
        class_names: one per class.
        confusion: (C, C) float64, counts summed over networks; row the true class, column the predicted one.
        networks: how many networks were summed.
        network: name of the evaluation network.
    """

    dataset: str
    dataset_title: str
    method: str
    method_title: str
    ipc: int | None
    class_names: tuple[str, ...]
    confusion: npt.NDArray[np.float64]
    networks: int
    network: str

    @property
    def confusion_percent(self) -> npt.NDArray[np.float64]:
        """(C, C) percent of each true class; a class without test images has NaN."""
        totals, missing = self.confusion.sum(axis=1, keepdims=True), np.full_like(self.confusion, np.nan)
        shares: npt.NDArray[np.float64] = np.divide(100.0 * self.confusion, totals, out=missing, where=totals > 0)
        return shares

    @property
    def class_accuracy(self) -> npt.NDArray[np.float64]:
        """(C,) percent: the confusion's diagonal."""
        accuracies: npt.NDArray[np.float64] = np.diag(self.confusion_percent)
        return accuracies


def collect_classes(
    expected: Sequence[ExpectedEvaluation], *, class_names: Mapping[str, tuple[str, ...]], network: str
) -> list[ClassResults]:
    """Results by class of every data set, method and IPC, with one evaluation network, final images only.

    Args:
        expected: the evaluation files, in the order of the figures.
        class_names: data set -> names in label order.
        network: name of the evaluation network.

    Raises:
        BaconError: a file is missing, damaged, of another fingerprint, or its confusion is of another number of classes.
    """
    groups: dict[tuple[str, str, int | None], list[ExpectedEvaluation]] = {}
    for one in expected:
        if one.network == network:
            groups.setdefault((one.dataset, one.method, one.ipc), []).append(one)
    return [_summed(group, class_names[dataset]) for (dataset, _, _), group in groups.items()]


def _summed(group: Sequence[ExpectedEvaluation], class_names: tuple[str, ...]) -> ClassResults:
    first, total, networks = group[0], np.zeros((len(class_names), len(class_names))), 0
    for one in group:
        content = read_evaluation(one)
        for record in content["records"]:
            if record["final"]:
                counts = np.array(record["confusion"], np.float64)
                if counts.shape != total.shape:
                    raise BaconError(f"{one.path}: confusion of shape {counts.shape}, expected {total.shape}")
                total, networks = total + counts, networks + 1
    return ClassResults(
        dataset=first.dataset,
        dataset_title=first.dataset_title,
        method=first.method,
        method_title=first.method_title,
        ipc=first.ipc,
        class_names=class_names,
        confusion=total,
        networks=networks,
        network=first.network,
    )
