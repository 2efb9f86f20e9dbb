"""How networks were trained and tested, in words short enough for a caption."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bacon.reporting.collect.recipe_text import (
    augmentation_text,
    complete,
    further_texts,
    length_text,
    optimiser_texts,
)
from bacon.settings.architectures import ARCHITECTURES

_SOFT = "soft labels"
FULL = "full"
CLASSES = "classes"
"""What an evaluation file calls the labels of images that carry no soft ones."""
TIMES = "\N{MULTIPLICATION SIGN}"


def protocol_of(content: Mapping[str, Any]) -> str:
    """The protocol that the networks of an evaluation file were trained with; ``labels`` is missing where all are classes."""
    return protocol_text(content["settings"]["evaluation"], labels=str(content.get("labels", CLASSES)))


def protocol_text(evaluation_settings: Mapping[str, Any], *, labels: str = CLASSES) -> str:
    """One line for an evaluation protocol (docs/algorithms.md, Evaluation).

    Args:
        evaluation_settings: the ``evaluation`` part of a cell's settings; keys that are not there have their defaults.
            ``labels: stored`` trains with the soft labels of the images, ``hard`` leaves them unused.
        labels: what the images carry: ``classes`` alone, or ``probabilities`` or ``logits`` besides.

    Returns:
        For example ``100 epochs, SGD lr 0.01 (÷10 halfway), batch 256, DSA without flip, last epoch``. Momentum and weight
        decay are named when they are not 0.9 and 0.0005; labels where the images have soft ones.
    """
    settings = complete(evaluation_settings)
    parts = [
        length_text(settings),
        *optimiser_texts(settings),
        f"batch {int(settings['batch_size'])}",
        augmentation_text(settings["augmentations"], str(settings["dsa_strategy"])),
        *further_texts(settings),
        *_label_text(settings, labels),
        "last epoch" if settings["steps"] is None else "last step",
    ]
    return ", ".join(parts)


def _label_text(evaluation_settings: Mapping[str, Any], labels: str) -> list[str]:
    """What networks were trained with, where the images leave a choice."""
    if evaluation_settings["labels"] == "teacher":
        return ["labels of a teacher"]
    if labels == CLASSES:
        return []
    return [_SOFT if evaluation_settings["labels"] == "stored" else "hard labels"]


def is_soft(protocol: str) -> bool:
    """Whether a protocol of :func:`protocol_text` says that networks were trained with soft labels."""
    return _SOFT in protocol.split(", ")


def network_text(network_settings: Mapping[str, Any]) -> str:
    """A network in words: ``ConvNet, depth 3, width 128, instance norm``."""
    architecture = str(network_settings["architecture"])
    parts = [ARCHITECTURES[architecture].title if architecture in ARCHITECTURES else architecture]
    parts += [f"{key} {network_settings[key]}" for key in ("depth", "width") if key in network_settings]
    parts += ["7x7 stem"] if network_settings.get("stem") == "7x7" else []
    if "norm" in network_settings:
        parts.append("no norm" if network_settings["norm"] == "none" else f"{network_settings['norm']} norm")
    return ", ".join(parts)


def protocol_note(accuracy: pd.DataFrame) -> str:
    """Every network and protocol that a table of accuracies was made with, and what each was used for.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.

    Returns:
        One protocol alone; or what differs, each with its scope, and then what is common:
        ``Full data set: 40 epochs; methods: 100 epochs; all: ConvNet, depth 3, ..., last epoch``. Several evaluation networks
        are named after it: ``...; networks: convnet (ConvNet, depth 3, ...), lenet (LeNet, no norm)``.
    """
    if accuracy["network"].nunique() == 1:
        return _differences(accuracy, accuracy["network_text"] + ", " + accuracy["protocol"])
    networks = [
        f"{name} ({_differences(rows, rows['network_text'])})" for name, rows in accuracy.groupby("network", sort=False)
    ]
    return f"{_differences(accuracy, accuracy['protocol'])}; networks: {', '.join(networks)}"


def _differences(accuracy: pd.DataFrame, described: pd.Series[str]) -> str:
    """What differs between the rows, each with its scope, and then what is common."""
    parts = {str(text): str(text).split(", ") for text in described.drop_duplicates()}
    if len(parts) == 1:
        return str(described.iloc[0])
    first = next(iter(parts.values()))
    common = [part for part in first if all(part in other for other in parts.values())]
    scopes = [
        f"{_scope(accuracy[described == text], accuracy)}: {', '.join(part for part in own if part not in common)}"
        for text, own in parts.items()
    ]
    return "; ".join([*scopes, f"all: {', '.join(common)}"] if common else scopes)


def _scope(rows: pd.DataFrame, accuracy: pd.DataFrame) -> str:
    """Names what ``rows`` are among ``accuracy``: data sets where they are not all, then methods where not all."""
    parts = []
    datasets = rows["dataset"].unique()
    if set(datasets) != set(accuracy["dataset"]):
        parts.append(", ".join(rows["dataset_title"].unique()))
    # Of the same data sets only: another data set's methods say nothing about what is left out here.
    around = accuracy[accuracy["dataset"].isin(datasets)]
    if set(rows["method"]) != set(around["method"]):
        distilled = set(around["method"]) - {FULL}
        titles = "methods" if set(rows["method"]) == distilled else ", ".join(rows["method_title"].unique())
        parts.append(titles)
    if set(rows["network"]) != set(around["network"]):
        parts.append(", ".join(rows["network"].unique()))
    return " ".join(parts) or "some seeds"
