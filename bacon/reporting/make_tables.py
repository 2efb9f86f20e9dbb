"""Make every table of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bacon.reporting.collect import collect_accuracy
from bacon.reporting.distilled_files import collect_cost
from bacon.reporting.expected import expected_distilled, expected_evaluations
from bacon.reporting.published import PublishedResults
from bacon.reporting.tables import write_accuracy, write_cost, write_summary

if TYPE_CHECKING:
    from bacon.plan import Plan


def make(plan: Plan, *, fingerprint: str, outputs: dict[str, Path], published: Path) -> None:
    """Write the tables.

    Args:
        plan: the grid; every artifact is refused whose fingerprint is not the plan's.
        fingerprint: of this aggregate; stands in the tables that can hold a comment.
        outputs: name -> file, as in ``bacon.reporting.targets``.
        published: the CSV of published accuracies.
    """
    accuracy = collect_accuracy(expected_evaluations(plan))
    cost = collect_cost([expected_distilled(plan, cell) for cell in plan.cells])
    results = PublishedResults.read(published)
    kinds = ("csv", "md", "tex")
    summary = [outputs[f"summary_{kind}"] for kind in kinds]
    write_summary(accuracy, published=results, fingerprint=fingerprint, outputs=summary)
    write_cost(cost, fingerprint=fingerprint, outputs=[outputs[f"cost_{kind}"] for kind in kinds])
    write_accuracy(accuracy, outputs["accuracy"])
