"""What is computed from the whole grid: files and the function that writes them. No torch.

Every target reads the evaluation and distilled files themselves, each checked against its fingerprint; none trusts a table
that another job wrote before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bacon.reporting.collect.source_rules import SOURCE_RULES
from bacon.reporting.figures.catalogue import figure_outputs, image_paths
from bacon.reporting.tables.names import TABLE_TITLES, caption_topic, table_names, table_outputs

if TYPE_CHECKING:
    from bacon.plan.plan import Plan

__all__ = [
    "IMAGES_MODULE",
    "PARTIAL_REPORT",
    "PUBLISHED",
    "REPORT",
    "REPORT_MODULE",
    "TABLE_TITLES",
    "TARGETS",
    "TEMPLATES",
    "Target",
    "caption_topic",
    "image_paths",
    "published_digest",
    "table_names",
]

PUBLISHED = Path(__file__).resolve().parents[2] / "resources" / "published_results.csv"
"""The published accuracies that come with the project; compared by content, wherever the checkout lies."""


@dataclass(frozen=True)
class Target:
    """One job of the last stage."""

    outputs: Callable[[Plan], Mapping[str, str]]
    """Name of each output file of a plan -> its path."""
    module: str
    """Dotted module with the function that makes it; the root of its code fingerprint."""
    settings: tuple[str, ...] = ()
    """Keys of the configuration's section ``report`` that it depends on."""


TARGETS: Mapping[str, Target] = {
    "tables": Target(table_outputs, "bacon.reporting.tables.make_tables", settings=("references", "gaps")),
    "figures": Target(figure_outputs, "bacon.reporting.figures.make_figures"),
}

REPORT = "results/report.html"
PARTIAL_REPORT = "results/report_partial.html"
"""A report of what is there; the workflow neither makes nor reads it."""
REPORT_MODULE = "bacon.reporting.page.make_report"
TEMPLATES = Path(__file__).resolve().parent / "page" / "templates"
"""What the report is laid out with: part of its code, though no module."""

IMAGES_MODULE = "bacon.reporting.figures.make_images"


def published_digest(published: Path) -> str:
    """Hash of the published accuracies and of the rules by which they are read."""
    return hashlib.sha256(published.read_bytes() + SOURCE_RULES.read_bytes()).hexdigest()
