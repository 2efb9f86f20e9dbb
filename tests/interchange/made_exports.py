"""Exports of sets that no method made, for tests of the formats that others read."""

from __future__ import annotations

from typing import Any

import torch

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.datasets.whitening import Whitening
from bacon.interchange.content import Export

CIFAR10 = {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.2010]}


def made_export(
    *,
    dataset: str = "cifar10",
    method: str = "bacon",
    ipc: int = 1,
    class_count: int = 10,
    size: int = 32,
    per_class: int | None = None,
    whitening: Whitening | None = None,
    moments: dict[str, list[float]] = CIFAR10,
    **parts: Any,
) -> Export:
    """Noise of ``per_class`` (or ``ipc``) images a class, in class order; ``parts`` of the synthetic set may be others."""
    count = per_class or ipc
    images = torch.randn((class_count * count, 3, size, size), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(class_count).repeat_interleave(count)
    return Export(
        synthetic=SyntheticSet(**({"images": images, "classes": labels} | parts)),
        metadata={
            "dataset": dataset,
            "method": method,
            "ipc": ipc,
            "seed": 0,
            "class_names": [str(label) for label in range(class_count)],
            **moments,
        },
        whitening=whitening,
    )
