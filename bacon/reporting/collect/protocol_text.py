"""How networks were trained and tested, in words short enough for a caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bacon.settings.architectures import ARCHITECTURES

_DSA_OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
# The field's usual values go unsaid; anything else is stated.
_USUAL = {"momentum": 0.9, "weight_decay": 5e-4}
_AUGMENTATIONS = {
    "none": "no augmentation",
    "auto": "AutoAugment",
    "rand": "RandAugment",
    "imagenet": "ImageNet's crop/flip/colour",
    "cifar": "CIFAR's crop/flip/cutout",
}
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
        evaluation_settings: the ``evaluation`` part of a cell's settings: ``epochs``, ``epochs_plain``, ``batch_size``,
            ``lr_net``, ``lr_search``, ``momentum``, ``weight_decay``, ``augmentations`` and ``dsa_strategy``; ``labels`` where
            it is set: ``stored`` trains with the soft labels of the images, anything else leaves them unused.
        labels: what the images carry: ``classes`` alone, or ``probabilities`` or ``logits`` besides.

    Returns:
        For example ``100 epochs, SGD lr 0.01 (÷10 halfway), batch 256, DSA without flip, last epoch``. Momentum and weight
        decay are named when they are not 0.9 and 0.0005; labels where the images have soft ones.
    """
    epochs = int(evaluation_settings["epochs"])
    unusual = [
        f"{key.replace('_', ' ')} {float(evaluation_settings[key]):g}"
        for key, usual in _USUAL.items()
        if float(evaluation_settings[key]) != usual
    ]
    parts = [
        f"{epochs} epoch{'s' if epochs > 1 else ''}{_plain_epochs(evaluation_settings)}",
        f"SGD lr {_rate_text(evaluation_settings)}{_drop_text(epochs)}",
        *unusual,
        f"batch {int(evaluation_settings['batch_size'])}",
        augmentation_text(evaluation_settings["augmentations"], str(evaluation_settings["dsa_strategy"])),
        *_label_text(evaluation_settings, labels),
        "last epoch",
    ]
    return ", ".join(parts)


def _plain_epochs(evaluation_settings: Mapping[str, Any]) -> str:
    plain, names = evaluation_settings["epochs_plain"], evaluation_settings["augmentations"]
    if plain is None or "none" not in names or plain == evaluation_settings["epochs"]:
        return ""
    return f" ({plain} without augmentation)"


def _drop_text(epochs: int) -> str:
    """The rate drops after epoch (epochs - 1) // 2 + 1, counted from zero: too late for fewer than four epochs."""
    return " (÷10 halfway)" if (epochs - 1) // 2 + 1 < epochs - 1 else ""


def _label_text(evaluation_settings: Mapping[str, Any], labels: str) -> list[str]:
    """What networks were trained with, where the images leave a choice."""
    if labels == CLASSES:
        return []
    return [_SOFT if evaluation_settings.get("labels") == "stored" else "hard labels"]


def is_soft(protocol: str) -> bool:
    """Whether a protocol of :func:`protocol_text` says that networks were trained with soft labels."""
    return _SOFT in protocol.split(", ")


def _rate_text(evaluation_settings: Mapping[str, Any]) -> str:
    searched = evaluation_settings["lr_search"]
    if not searched:
        return f"{float(evaluation_settings['lr_net']):g}"
    return f"the best on validation of {'/'.join(f'{float(rate):g}' for rate in searched)}"


def augmentation_text(augmentations: Sequence[str], strategy: str) -> str:
    """``DSA without flip``, ``AutoAugment``, or ``mean over no augmentation + DSA``."""
    names = [dsa_text(strategy) if name == "dsa" else _AUGMENTATIONS[name] for name in augmentations]
    return names[0] if len(names) == 1 else f"mean over {' + '.join(names)}"


def dsa_text(strategy: str) -> str:
    """``DSA`` for all six operations, ``DSA without flip``, ``DSA color+crop``, or ``no augmentation``."""
    if strategy in ("none", ""):
        return "no augmentation"
    chosen = strategy.split("_")
    missing = [operation for operation in _DSA_OPERATIONS if operation not in chosen]
    if not missing:
        return "DSA"
    if len(missing) <= 2:
        return f"DSA without {' and '.join(missing)}"
    return f"DSA {'+'.join(chosen)}"


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
