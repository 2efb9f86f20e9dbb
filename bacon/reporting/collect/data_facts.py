"""What the data sets of a plan are, and what was odd about them when they were prepared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bacon.datasets.store import check_fingerprint, open_store, stored_warnings
from bacon.settings.cells import DATA

if TYPE_CHECKING:
    from bacon.plan.plan import Plan


@dataclass(frozen=True, kw_only=True)
class PreparedFacts:
    """One prepared data set.

    Attributes:
        dataset: its name in the configuration.
        title: its name in tables.
        shape: (channels, height, width) of an image.
        classes: number of classes.
        train: training images.
        test: test images.
        warnings: what was odd about it, in words.
    """

    dataset: str
    title: str
    shape: tuple[int, int, int]
    classes: int
    train: int
    test: int
    warnings: tuple[str, ...]


def collect_data(plan: Plan) -> list[PreparedFacts]:
    """The facts of every data set of a plan whose prepared file is there; the workflow makes each an input.

    Raises:
        BaconError: a file is damaged, or has another fingerprint than the plan's.
    """
    facts = []
    for dataset in plan.datasets:
        path = plan.directory / DATA.format(dataset=dataset)
        if not path.exists():
            continue
        with open_store(path) as file:
            check_fingerprint(file, path, plan.data_fingerprint(dataset))
            count, *shape = file["train/images"].shape
            facts.append(
                PreparedFacts(
                    dataset=dataset,
                    title=plan.dataset_title(dataset),
                    shape=(shape[0], shape[1], shape[2]),
                    classes=len(json.loads(str(file.attrs["class_names"]))),
                    train=count,
                    test=len(file["test/labels"]),
                    warnings=stored_warnings(file),
                )
            )
    return facts


def warning_notes(facts: list[PreparedFacts]) -> dict[str, list[str]]:
    """Data set -> a note on it for a table, where something was odd."""
    return {
        one.dataset: [f"Warnings on the data set {one.title}: {'; '.join(one.warnings)}."]
        for one in facts
        if one.warnings
    }
