"""Calibration of the networks that a cell's evaluation trains, on the whole test set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bacon.downstream.algorithm import Measured, Measurement, TaskContext
from bacon.downstream.calibration.calibration_scores import (
    Classes,
    Numbers,
    best_temperature,
    brier_score,
    negative_log_likelihood,
    reliability,
)
from bacon.networks.network import Network
from bacon.training.image_set import ImageSet
from bacon.training.predictions import logits

if TYPE_CHECKING:
    from bacon.downstream.calibration.record import CalibrationSettings


class Calibration:
    """The task on one cell."""

    def __init__(self, settings: CalibrationSettings, context: TaskContext) -> None:
        self._settings, self._context = settings, context

    def measure(self, repetition: int) -> Measured:
        """ECE, NLL and Brier score of one network; scaled too where there is a validation split."""
        network, validation = self._context.trained(repetition), self._context.validation
        found, labels = _outputs(network, self._context.test)
        accuracy = float((found.argmax(axis=1) == labels).mean())
        measurements, diagram = self._scores(found, labels, "")
        details: dict[str, Any] = {"reliability": diagram}
        measurements.insert(0, Measurement(metric="accuracy", value=accuracy))
        if validation is not None:
            temperature = best_temperature(*_outputs(network, validation))
            scaled, diagram = self._scores(found / temperature, labels, "scaled")
            measurements += [Measurement(metric="temperature", value=temperature), *scaled]
            details["reliability_scaled"] = diagram
        return Measured(measurements=tuple(measurements), details=details)

    def _scores(self, found: Numbers, labels: Classes, condition: str) -> tuple[list[Measurement], dict[str, Any]]:
        diagram = reliability(found, labels, self._settings.bins)
        scores = {
            "ece": diagram.error,
            "nll": negative_log_likelihood(found, labels),
            "brier": brier_score(found, labels),
        }
        measurements = [Measurement(metric=name, value=value, condition=condition) for name, value in scores.items()]
        return measurements, {name: values.tolist() for name, values in vars(diagram).items()}


def _outputs(network: Network, images: ImageSet) -> tuple[Numbers, Classes]:
    """Logits (N, K) float64 and classes (N,) of an image set, on the host."""
    return logits(network, images).cpu().numpy().astype(np.float64), images.labels.cpu().numpy()
