"""What is made from the whole grid: the name of each table and figure, its files, and the function that makes it. No torch.

Every target reads the evaluation and distilled files themselves, each held against its fingerprint; none trusts a table
that another job wrote before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bacon.config.loading import data_settings
from bacon.reporting.figures.catalogue import KINDS, drawn
from bacon.settings.cells import FIGURES, TABLES

if TYPE_CHECKING:
    from bacon.plan.plan import Plan

PUBLISHED = Path(__file__).resolve().parents[2] / "resources" / "published_results.csv"
"""The published accuracies that come with the project; compared by content, wherever the checkout lies."""


@dataclass(frozen=True)
class Target:
    """One job of the last stage."""

    outputs: Callable[[Plan], Mapping[str, str]]
    """Name of each output file of a plan -> its path."""
    module: str
    """Dotted module with the function that makes it; the root of its code fingerprint."""


TABLE_TITLES: Mapping[str, str] = {
    "accuracy": "every trained network",
    "summary": "accuracy, ours beside published",
    "comparisons": "methods compared",
    "published": "ours against published",
    "table1": "the paper's Table 1 and ours",
    "cross_architecture": "accuracy by evaluation network",
    "ranking": "DD-Ranking's scores",
    "checkpoints": "checkpoints chosen on the validation split",
    "cost": "cost",
}


NETWORKS = "networks"
"""Every network of every augmentation with its validation accuracy, where there is a validation split."""


def table_names(plan: Plan) -> tuple[str, ...]:
    """The tables of a plan.

    One evaluation network leaves nothing to hold against each other; only a validation split chooses checkpoints; and
    DD-Ranking's scores belong to its protocol.
    """
    needed = {
        "cross_architecture": len(plan.networks) > 1,
        "ranking": _validated(plan) and plan.config.protocol == "dd-ranking",
        "checkpoints": _validated(plan),
    }
    return tuple(name for name in TABLE_TITLES if needed.get(name, True))


def table_outputs(plan: Plan) -> dict[str, str]:
    """The tables that a plan has, ``{name}_{kind}`` each; the long ones, of every network, as CSV alone."""
    names = [name for name in table_names(plan) if name != "accuracy"]
    files = {f"{name}_{kind}": f"{TABLES}/{name}.{kind}" for name in names for kind in ("csv", "md", "tex")}
    validated = {NETWORKS: f"{TABLES}/{NETWORKS}.csv"} if _validated(plan) else {}
    return {"accuracy": f"{TABLES}/accuracy.csv", **files, **validated}


def _validated(plan: Plan) -> bool:
    return any(data_settings(plan.config, dataset).validation for dataset in plan.datasets)


def figure_outputs(plan: Plan) -> dict[str, str]:
    """The figures that a plan has, ``{name}_{kind}`` each."""
    return {f"{figure.name}_{kind}": str(figure.path(kind)) for figure in drawn(plan) for kind in figure.kinds}


TARGETS: Mapping[str, Target] = {
    "tables": Target(table_outputs, "bacon.reporting.tables.make_tables"),
    "figures": Target(figure_outputs, "bacon.reporting.figures.make_figures"),
}

REPORT = "results/report.html"
REPORT_MODULE = "bacon.reporting.page.make_report"
TEMPLATES = Path(__file__).resolve().parent / "page" / "templates"
"""What the report is laid out with: part of its code, though no module."""

IMAGES = f"{FIGURES}/images/{{dataset}}_{{method}}_ipc{{ipc}}.{{kind}}"
IMAGES_MODULE = "bacon.reporting.figures.make_images"


def image_paths(dataset: str, method: str, ipc: int) -> tuple[Path, ...]:
    """The files that show a distilled set's images: png, pdf, and json with title and caption."""
    return tuple(Path(IMAGES.format(dataset=dataset, method=method, ipc=ipc, kind=kind)) for kind in KINDS)
