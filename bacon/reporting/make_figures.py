"""Make the figures of a plan that show the whole grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bacon.reporting.catalogue import drawn
from bacon.reporting.collect import collect_accuracy
from bacon.reporting.distilled_files import collect_history
from bacon.reporting.expected import expected_distilled, expected_evaluations
from bacon.reporting.figures.accuracy import plot_accuracy
from bacon.reporting.figures.curve import plot_curve
from bacon.reporting.figures.loss import plot_loss

if TYPE_CHECKING:
    from bacon.plan import Plan


def make(plan: Plan, *, fingerprint: str, outputs: dict[str, Path], published: Path) -> None:  # noqa: ARG001
    """Write the figures; arguments as for :func:`bacon.reporting.make_tables.make`."""
    files = {figure.name: [outputs[f"{figure.name}_{kind}"] for kind in figure.kinds] for figure in drawn(plan)}
    accuracy = collect_accuracy(expected_evaluations(plan))
    plot_accuracy(accuracy, fingerprint=fingerprint, outputs=files["accuracy"])
    plot_curve(accuracy, fingerprint=fingerprint, outputs=files["curve"])
    history = collect_history([expected_distilled(plan, cell) for cell in plan.cells])
    plot_loss(history, fingerprint=fingerprint, outputs=files["loss"])
