"""How networks were trained and tested, in words short enough for a caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bacon.reporting.collect.recipe_text import (
    OF_TEACHERS,
    SOFT,
    augmentations_text,
    labels_text,
    optimiser_text,
    regression_text,
    step_text,
)
from bacon.settings.architectures import ARCHITECTURES
from bacon.settings.evaluation import EvaluationSettings

FULL = "full"
CLASSES = "classes"
"""What an evaluation file calls the labels of images that carry no soft ones."""
WHITENED = "ZCA-whitened images"
"""What a protocol says of networks that were trained and tested on whitened images."""
TIMES = "\N{MULTIPLICATION SIGN}"


def protocol_of(content: Mapping[str, Any]) -> str:
    """The protocol that the networks of an evaluation file were trained with, in words.

    Args:
        content: of the file; ``labels`` and ``learned_rates`` are missing where the images carry neither. Its records say how
            many epochs there were where the settings leave that to the number of images. ``whitened``, which the file of a
            cell leaves to the plan, says that images are whitened.
    """
    settings = EvaluationSettings.model_validate(content["settings"]["evaluation"])
    return protocol_text(
        settings,
        labels=str(content.get("labels", CLASSES)),
        learned_rates=int(content.get("learned_rates", 0)),
        epochs=_trained_epochs(content.get("records", ()), settings) if settings.epochs_by_images else None,
        whitened=bool(content.get("whitened", False)),
    )


def _trained_epochs(records: Sequence[Any], settings: EvaluationSettings) -> int | None:
    """Epochs of the networks whose number the images decide: of an augmentation without a number of its own."""
    read = [record if isinstance(record, Mapping) else vars(record) for record in records]
    counts = [int(one["epochs"]) for one in read if one["augmentation"] != "none" or settings.epochs_plain is None]
    return max(counts, default=None)


def protocol_text(
    settings: EvaluationSettings,
    *,
    labels: str = CLASSES,
    learned_rates: int = 0,
    epochs: int | None = None,
    whitened: bool = False,
) -> str:
    """One line for an evaluation protocol (docs/evaluation.md).

    Args:
        settings: as they were used.
        labels: what the images carry: ``classes`` alone, or ``probabilities`` or ``logits`` besides.
        learned_rates: learned learning rates that the images carry.
        epochs: trained, where the number of images decides; ``None``: what the settings say.
        whitened: images are whitened by ZCA.

    Returns:
        For example ``100 epochs, SGD lr 0.01 (÷10 halfway), batch 256, DSA without flip, last epoch``. Momentum and weight
        decay of SGD are named when they are not 0.9 and 0.0005; labels where the images have soft ones.
    """
    images = [WHITENED] if whitened else []
    if settings.regression != "none":
        has_soft = labels != CLASSES
        return ", ".join(
            ["kernel ridge regression", *regression_text(settings), *images, *labels_text(settings, has_soft=has_soft)]
        )
    steps = learned_rates if settings.lr == "learned" and learned_rates > 1 else settings.steps
    count = epochs or settings.epochs
    duration = _counted(steps, "step") if steps else f"{_counted(count, 'epoch')}{_plain_epochs(settings, count)}"
    parts = [
        duration,
        *optimiser_text(settings, steps or count, learned_rates=learned_rates),
        _batch_text(settings),
        *images,
        augmentations_text(settings),
        *step_text(settings),
        *labels_text(settings, has_soft=labels != CLASSES),
        "last step" if steps else "last epoch",
    ]
    return ", ".join(parts)


def is_soft(protocol: str) -> bool:
    """Whether a protocol of :func:`protocol_text` says that networks were trained with soft labels."""
    return any(part == SOFT or part.startswith(OF_TEACHERS) for part in protocol.split(", "))


def is_whitened(protocol: str) -> bool:
    """Whether a protocol of :func:`protocol_text` says that images were whitened."""
    return WHITENED in protocol.split(", ")


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'s' if count > 1 else ''}"


def _plain_epochs(settings: EvaluationSettings, epochs: int) -> str:
    plain = settings.epochs_plain
    if plain is None or "none" not in settings.augmentations or plain == epochs:
        return ""
    return f" ({plain} without augmentation)"


def _batch_text(settings: EvaluationSettings) -> str:
    if settings.order == "one_per_class":
        return "one image of every class per step"
    return f"batch {settings.batch_size}{' in stored order' if settings.order == 'stored' else ''}"


def network_text(network_settings: Mapping[str, Any]) -> str:
    """A network in words: ``ConvNet, depth 3, width 128, instance norm``."""
    architecture = str(network_settings["architecture"])
    parts = [ARCHITECTURES[architecture].title if architecture in ARCHITECTURES else architecture]
    parts += [f"{key} {network_settings[key]}" for key in ("depth", "width") if key in network_settings]
    parts += ["7x7 stem"] if network_settings.get("stem") == "7x7" else []
    if "norm" in network_settings:
        parts.append("no norm" if network_settings["norm"] == "none" else f"{network_settings['norm']} norm")
    return ", ".join(parts)


def evaluated_text(settings: Mapping[str, Any]) -> str:
    """What an evaluation tested, in words: :func:`network_text`, or the kernel of a regression.

    Args:
        settings: of an evaluation file, ``network`` and ``evaluation``.
    """
    if settings["evaluation"].get("regression", "none") == "none":
        return network_text(settings["network"])
    depth = int(settings["evaluation"]["regression_depth"])
    return f"infinitely wide fully connected network of {_counted(depth, 'hidden layer')}"


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
        return differences(accuracy, accuracy["network_text"] + ", " + accuracy["protocol"])
    networks = [
        f"{name} ({differences(rows, rows['network_text'])})" for name, rows in accuracy.groupby("network", sort=False)
    ]
    return f"{differences(accuracy, accuracy['protocol'])}; networks: {', '.join(networks)}"


def differences(accuracy: pd.DataFrame, described: pd.Series[str]) -> str:
    """What differs between the rows, each with its scope, and then what is common.

    Args:
        accuracy: rows with data set, method and network, by their names and titles.
        described: a text of each row, of parts that a comma separates.

    Returns:
        The text of all rows alone, or as :func:`protocol_note` has it.
    """
    parts = {str(text): str(text).split(", ") for text in described.drop_duplicates()}
    if len(parts) == 1:
        return str(described.iloc[0])
    first = next(iter(parts.values()))
    common = [part for part in first if all(part in other for other in parts.values())]
    rest = {text: ", ".join(part for part in own if part not in common) for text, own in parts.items()}
    # Rows that have nothing besides what is common need no scope of their own.
    scopes = [f"{_scope(accuracy[described == text], accuracy)}: {own}" for text, own in rest.items() if own]
    return "; ".join([*scopes, f"all: {', '.join(common)}"] if common else scopes)


def _scope(rows: pd.DataFrame, accuracy: pd.DataFrame) -> str:
    """Names what ``rows`` are among ``accuracy``: data sets where they are not all, then methods and IPCs where not all."""
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
    own, ipcs = around[around["method"].isin(rows["method"].unique())], set(rows["ipc"].dropna())
    if ipcs != set(own["ipc"].dropna()):
        parts.append(f"IPC {', '.join(str(int(ipc)) for ipc in sorted(ipcs))}")
    return " ".join(parts) or "some seeds"
