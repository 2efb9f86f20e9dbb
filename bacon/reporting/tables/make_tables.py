"""Make every table of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bacon.reporting.collect.evaluations import collect_networks
from bacon.reporting.collect.expected import expected_evaluations
from bacon.reporting.tables.all_tables import report_tables
from bacon.reporting.tables.names import NETWORKS
from bacon.reporting.tables.run_tables import write_accuracy
from bacon.reporting.tables.writing import write_grids

if TYPE_CHECKING:
    from bacon.plan.plan import Plan


def make(plan: Plan, *, fingerprint: str, outputs: dict[str, Path], published: Path) -> None:
    """Write the tables.

    Args:
        plan: the grid; every artifact is refused whose fingerprint is not the plan's.
        fingerprint: of this aggregate; stands in the tables that can hold a comment.
        outputs: name -> file, as in ``bacon.reporting.targets``.
        published: the CSV of published accuracies.
    """
    kinds = ("csv", "md", "tex")
    tables = report_tables(plan, published=published)
    write_accuracy(tables.pop("accuracy").frame, outputs["accuracy"])
    for name, table in tables.items():
        files = [outputs[f"{name}_{kind}"] for kind in kinds]
        write_grids(table.frame, table.grids, table.notes, fingerprint=fingerprint, outputs=files)
    if NETWORKS in outputs:
        write_accuracy(collect_networks(expected_evaluations(plan)), outputs[NETWORKS])
