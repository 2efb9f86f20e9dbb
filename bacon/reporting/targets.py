"""What is made from the whole grid: the name of each table and figure, its files, and the function that makes it. No torch.

Every target reads the evaluation and distilled files themselves, each held against its fingerprint; none trusts a table
that another job wrote before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bacon.cells import FIGURES, TABLES

PUBLISHED = Path(__file__).resolve().parents[2] / "resources" / "published_results.csv"
"""The published accuracies that come with the project; compared by content, wherever the checkout lies."""


@dataclass(frozen=True)
class Target:
    """One job of the last stage."""

    outputs: Mapping[str, str]
    """Name of each output file -> its path."""
    module: str
    """Dotted module with the function that makes it; the root of its code fingerprint."""


TARGETS: Mapping[str, Target] = {
    "tables": Target(
        {
            "accuracy": f"{TABLES}/accuracy.csv",
            **{f"summary_{kind}": f"{TABLES}/summary.{kind}" for kind in ("csv", "md", "tex")},
            **{f"cost_{kind}": f"{TABLES}/cost.{kind}" for kind in ("csv", "md", "tex")},
        },
        "bacon.reporting.make_tables",
    ),
    "figures": Target(
        {
            f"{name}_{kind}": f"{FIGURES}/{name}.{kind}"
            for name in ("accuracy", "curve", "loss")
            for kind in ("png", "pdf")
        },
        "bacon.reporting.make_figures",
    ),
}

REPORT = "results/report.html"
REPORT_MODULE = "bacon.reporting.make_report"
TEMPLATES = Path(__file__).resolve().parent / "templates"
"""What the report is laid out with: part of its code, though no module."""

IMAGES = f"{FIGURES}/images/{{dataset}}_{{method}}_ipc{{ipc}}.{{kind}}"
IMAGES_MODULE = "bacon.reporting.make_images"


def image_paths(dataset: str, method: str, ipc: int) -> tuple[Path, ...]:
    """The files that show a distilled set's images."""
    return tuple(Path(IMAGES.format(dataset=dataset, method=method, ipc=ipc, kind=kind)) for kind in ("png", "pdf"))
