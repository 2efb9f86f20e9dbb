"""Calibration: whether a network's confidence is its accuracy, before and after temperature scaling."""

from __future__ import annotations

from pydantic import Field

from bacon.downstream.base import Task, TaskColumn
from bacon.settings.downstream import TaskSettings


class CalibrationSettings(TaskSettings):
    """How calibration is measured."""

    bins: int = Field(15, ge=2, le=1000, description="Bins of equal width that the confidences in [0, 1] are put into.")


def columns(_: CalibrationSettings) -> tuple[TaskColumn, ...]:
    """Accuracy, ECE, NLL and Brier score, the latter three also at the temperature chosen on the validation split."""
    largest = float("inf")
    return (
        TaskColumn(metric="accuracy", title="Accuracy (%)"),
        TaskColumn(metric="ece", title="ECE (%)", decimals=2),
        TaskColumn(metric="nll", title="NLL", scale=1.0, possible=(0.0, largest), decimals=3),
        TaskColumn(metric="brier", title="Brier", scale=1.0, possible=(0.0, 2.0), decimals=3),
        TaskColumn(metric="temperature", title="Temperature", scale=1.0, possible=(0.0, largest), decimals=2),
        TaskColumn(metric="ece", condition="scaled", title="ECE, scaled (%)", decimals=2),
        TaskColumn(
            metric="nll", condition="scaled", title="NLL, scaled", scale=1.0, possible=(0.0, largest), decimals=3
        ),
        TaskColumn(
            metric="brier", condition="scaled", title="Brier, scaled", scale=1.0, possible=(0.0, 2.0), decimals=3
        ),
    )


def notes(settings: CalibrationSettings) -> tuple[str, ...]:
    """What the columns are."""
    return (
        f"ECE: expected calibration error of the largest softmax probability in {settings.bins} bins of equal width. NLL: mean "
        "negative log-likelihood of the true class in nats. Brier: mean squared distance of the probabilities from the one-hot "
        "class, summed over classes (0 to 2). Scaled: after dividing the logits by the temperature that minimises NLL on the "
        "validation split; without such a split there is none.",
    )


CALIBRATION = Task(
    name="calibration",
    title="Calibration",
    summary="Whether confidence is accuracy: ECE, NLL and Brier score of the test set, before and after temperature scaling.",
    reference="Guo et al., On Calibration of Modern Neural Networks, ICML 2017, arXiv:1706.04599",
    settings_model=CalibrationSettings,
    algorithm="bacon.downstream.calibration.algorithm:Calibration",
    columns=columns,
    notes=notes,
    figure="Reliability: accuracy against confidence",
)
