"""Make every table of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bacon.reporting.collect import average_augmentations, collect_networks
from bacon.reporting.distilled_files import collect_cost
from bacon.reporting.expected import expected_distilled, expected_evaluations
from bacon.reporting.published import PublishedResults
from bacon.reporting.ranking import best_checkpoints, rank
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
    networks = collect_networks(expected_evaluations(plan))
    accuracy = average_augmentations(networks)
    cost = collect_cost([expected_distilled(plan, cell) for cell in plan.cells])
    results = PublishedResults.read(published)
    kinds = ("csv", "md", "tex")
    summary = [outputs[f"summary_{kind}"] for kind in kinds]
    write_summary(accuracy, published=results, fingerprint=fingerprint, outputs=summary)
    write_cost(cost, fingerprint=fingerprint, outputs=[outputs[f"cost_{kind}"] for kind in kinds])
    write_accuracy(accuracy, outputs["accuracy"])
    for name, table in {"networks": lambda rows: rows, "checkpoints": best_checkpoints, "ranking": rank}.items():
        if name in outputs:
            write_accuracy(table(networks), outputs[name])
