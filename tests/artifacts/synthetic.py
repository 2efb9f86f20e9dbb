"""Synthetic sets with everything that a method can learn, drawn for tests."""

from __future__ import annotations

from typing import Any

import torch

from bacon.artifacts.distilled_file import DistillationResult
from bacon.artifacts.synthetic_set import SoftKind, SyntheticSet

CLASSES = 3


def drawn(
    seed: int = 0,
    *,
    ipc: int = 2,
    kind: SoftKind | None = "probabilities",
    rates: int = 1,
    partition: int = 2,
    channels: int = 1,
    side: int = 8,
) -> SyntheticSet:
    """A set of CLASSES x ipc images with soft labels of ``kind`` and so many learned rates (none of either for None and 0)."""
    generator = torch.Generator().manual_seed(seed)
    count = CLASSES * ipc
    soft = torch.randn(count, CLASSES, generator=generator) * 3
    return SyntheticSet(
        images=torch.randn(count, channels, side, side, generator=generator),
        classes=torch.arange(CLASSES).repeat_interleave(ipc),
        soft=None if kind is None else soft.softmax(dim=1) if kind == "probabilities" else soft,
        soft_kind=kind,
        rates=torch.rand(rates, generator=generator) * 0.1 + 0.01 if rates else None,
        partition=partition,
    )


def result_of(synthetic: SyntheticSet, **changes: Any) -> DistillationResult:
    """A result of ``synthetic`` with the attributes that every file has."""
    channels = synthetic.images.shape[1]
    attributes = {
        "dataset": "mine",
        "method": "dm",
        "ipc": len(synthetic) // CLASSES,
        "seed": 0,
        "fingerprint": "f",
        "data_fingerprint": "d",
        "iterations": 20,
        "iterations_per_second": 1.0,
        "wall_seconds": 20.0,
        "peak_memory_bytes": 2**20,
        "device": "CPU",
        "settings": {"distillation": {"iterations": 20}},
        "class_names": ["cat", "dog", "wolf"],
        "mean": [0.4] * channels,
        "std": [0.2] * channels,
        "provenance": {"commit": "c", "packages": {"torch": "2"}},
    }
    return DistillationResult(synthetic=synthetic, attributes=attributes | changes.pop("attributes", {}), **changes)


def spoil_attribute(path, name):
    """Damage the head of an attribute of an HDF5 file: the version, eight bytes before its name."""
    content = bytearray(path.read_bytes())
    assert content.count(name.encode() + b"\0") == 1
    content[content.index(name.encode() + b"\0") - 8] ^= 4
    path.write_bytes(content)
