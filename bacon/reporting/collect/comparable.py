"""What makes two accuracies comparable: the protocol and network as they were used, the labels, and the data set's content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bacon.reporting.collect.protocol_text import CLASSES
from bacon.settings.evaluation import EvaluationSettings

HARD, SOFT_LABELS, TEACHER = "hard", "soft", "teacher"
# How many networks are trained, and where their test accuracy is looked at on the way, changes the result of none.
_INCONSEQUENTIAL = {"seeds", "snapshot_seeds", "test_curve"}
_LENGTH = 12


def protocol_digest(settings: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that two evaluations share if they train and test alike networks in the same way.

    A protocol's name does not say that: a configuration may change any of its settings, for one method too.

    Args:
        settings: of an evaluation file, ``network`` and ``evaluation``; those that it does not name have their defaults.
    """
    evaluation = EvaluationSettings.model_validate(settings["evaluation"])
    content = {
        "evaluation": evaluation.model_dump(mode="json", exclude=_INCONSEQUENTIAL),
        "network": dict(settings["network"]),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_LENGTH]


def label_kind(content: Mapping[str, Any]) -> str:
    """What networks were trained with: ``hard`` labels, ``soft`` ones stored with the images, or those of a ``teacher``.

    Args:
        content: of an evaluation file.
    """
    labels = EvaluationSettings.model_validate(content["settings"]["evaluation"]).labels
    if labels == "teacher":
        return TEACHER
    return SOFT_LABELS if labels == "stored" and content.get("labels", CLASSES) != CLASSES else HARD


def comparable_facts(content: Mapping[str, Any]) -> dict[str, str]:
    """Facts of an evaluation: ``protocol_digest``, ``label_kind``, ``stored_labels``, ``data_fingerprint`` and ``version``.

    The version is this program's. ``stored_labels`` are those of the distilled set, whether or not networks were trained with
    them: ``classes``, or the kind of soft ones.
    """
    return {
        "protocol_digest": protocol_digest(content["settings"]),
        "label_kind": label_kind(content),
        "stored_labels": str(content.get("labels", CLASSES)),
        "data_fingerprint": str(content.get("data_fingerprint", "")),
        "version": str(content["provenance"].get("packages", {}).get("bacon-distillation", "")),
    }
