"""Which tables a plan has, and their files. No torch, no pandas: Snakemake asks while it parses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bacon.config.loading import data_settings
from bacon.downstream.registry import TASKS
from bacon.settings.cells import TABLES

if TYPE_CHECKING:
    from bacon.plan.plan import Plan

DOWNSTREAM = "downstream"
"""Before the name of a downstream task, in the names of its table and its figure."""
TABLE_TITLES: Mapping[str, str] = {
    "accuracy": "every trained network",
    "summary": "accuracy, ours beside published",
    "comparisons": "methods compared",
    "published": "ours against published",
    "table1": "the paper's Table 1 and ours",
    "cross_architecture": "accuracy by evaluation network",
    "ranking": "DD-Ranking's scores",
    "checkpoints": "checkpoints chosen on the validation split",
    "protocols": "methods under every protocol",
    "protocol_gaps": "what protocols explain of published gaps",
    "selection": "what selecting on the test set would add",
    "cost": "cost",
    "pareto": "methods that no other beats in accuracy and cost",
    **{f"{DOWNSTREAM}_{name}": f"{task.title.lower()} (downstream task)" for name, task in TASKS.items()},
}
DD_RANKING = "dd-ranking"
NETWORKS = "networks"
"""Every network of every augmentation with its validation accuracy, if there is a validation split."""


def table_names(plan: Plan) -> tuple[str, ...]:
    """The tables of a plan.

    One evaluation network leaves nothing to compare; only a validation split chooses checkpoints; and DD-Ranking's scores
    belong to its protocol. Several protocols make a matrix, only a test curve shows what selecting on it would add, and one
    method alone beats no other.
    """
    needed = {
        "cross_architecture": len(plan.networks) > 1,
        "ranking": _validated(plan) and DD_RANKING in plan.protocols,
        "checkpoints": _validated(plan),
        "protocols": plan.has_protocols,
        "protocol_gaps": plan.has_protocols,
        "pareto": len({cell.method for cell in plan.cells}) > 1,
        "selection": any(each.has_test_curves for each in plan.protocols.values()),
    }
    needed |= {downstream_table_name(name): name in plan.tasks.names for name in TASKS}
    return tuple(name for name in TABLE_TITLES if needed.get(name, True))


def downstream_table_name(task: str) -> str:
    """Name of the table of a downstream task."""
    return f"{DOWNSTREAM}_{task}"


def caption_topic(table: str) -> str:
    """Name of the caption of a table in Snakemake's report; those of downstream tasks share one."""
    return DOWNSTREAM if table.startswith(f"{DOWNSTREAM}_") else table


def table_outputs(plan: Plan) -> dict[str, str]:
    """The tables that a plan has, ``{name}_{kind}`` each; the long ones, of every network, only as CSV."""
    names = [name for name in table_names(plan) if name != "accuracy"]
    files = {f"{name}_{kind}": f"{TABLES}/{name}.{kind}" for name in names for kind in ("csv", "md", "tex")}
    validated = {NETWORKS: f"{TABLES}/{NETWORKS}.csv"} if _validated(plan) else {}
    return {"accuracy": f"{TABLES}/accuracy.csv", **files, **validated}


def _validated(plan: Plan) -> bool:
    return any(data_settings(plan.config, dataset).validation for dataset in plan.datasets)
