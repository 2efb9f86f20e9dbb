"""The cells of a plan: accuracy, cost, settings with their layers, provenance, logs and images of each."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import pandas as pd

from bacon.reporting.collect.expected import expected_distilled
from bacon.reporting.page.artifact_facts import Artifact, distilled_artifact, duration_text, evaluation_artifact
from bacon.reporting.page.links import Links
from bacon.reporting.page.pictures import MAX_HEIGHT, cell_picture
from bacon.reporting.page.views import CellView, Column, Link, NetworkAccuracy, Setting, Value
from bacon.reporting.tables.markup import MISSING
from bacon.settings.cells import Cell

if TYPE_CHECKING:  # how settings are layered is not part of what a report is made with; their values are
    from bacon.plan.plan import Plan


@dataclass(frozen=True, kw_only=True)
class CellReport:
    """A cell as the page shows it, and the accounts of its artifacts."""

    view: CellView
    artifacts: tuple[Artifact, ...]


def cell_columns(networks: tuple[str, ...]) -> tuple[Column, ...]:
    """Columns of the table of cells, for these evaluation networks."""
    return (
        Column(title="Cell", numeric=False),
        Column(title="Data set", numeric=False, choice=True, wide=True),
        Column(title="Method", numeric=False, choice=True, wide=True),
        Column(title="IPC", choice=True, wide=True),
        Column(title="Seed", choice=True, wide=True),
        *(Column(title=f"Accuracy (%), {name}" if len(networks) > 1 else "Accuracy (%)") for name in networks),
        Column(title="Distillation"),
        Column(title="Evaluation"),
        Column(title="Device", numeric=False, choice=True),
    )


def accuracy_by_cell(accuracy: pd.DataFrame) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Rows of the final images by (name of the cell, evaluation network, name of the protocol).

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
    """
    final = accuracy[accuracy["final"]]
    names = [
        str(Cell(dataset, method) if pd.isna(ipc) else Cell(dataset, method, int(ipc), int(seed)))
        for dataset, method, ipc, seed in zip(
            *(final[key] for key in ("dataset", "method", "ipc", "seed")), strict=True
        )
    ]
    groups = final.assign(_cell=names).groupby(["_cell", "network", "protocol_name"], sort=False)
    return {(str(name), str(network), str(protocol)): group for (name, network, protocol), group in groups}


def report_cell(
    plan: Plan,
    cell: Cell,
    *,
    accuracy: Mapping[tuple[str, str, str], pd.DataFrame],
    images: tuple[Link, ...],
    links: Links,
    alike: Cell | None = None,
    height: int = MAX_HEIGHT,
    absent: Collection[Path] = (),
) -> CellReport | None:
    """One cell; ``None`` where nothing of it is there.

    Args:
        plan: the plan; what has another fingerprint than the plan's is refused.
        cell: a cell of the plan, or the full data set.
        accuracy: as :func:`accuracy_by_cell` gives it.
        images: to the figure of the images of its data set, method and IPC.
        links: to files beside the page.
        alike: an earlier cell that shows the images, and has the same settings but for those listed; ``None``: this one does.
        height: pixels of the picture.
        absent: files that are not read.

    Raises:
        BaconError: an artifact is missing, unreadable, incomplete or of another fingerprint.
    """
    has_set = cell.ipc is not None and plan.directory / cell.distilled_path not in absent
    distilled = distilled_artifact(plan, cell, links) if has_set else None
    networks = [name for name in plan.networks if plan.directory / plan.evaluation_path(cell, name) not in absent]
    evaluations = [evaluation_artifact(plan, cell, network, links) for network in networks]
    artifacts = tuple(evaluations) if distilled is None else (distilled, *evaluations)
    every = every_accuracy(plan, cell, accuracy)
    if not artifacts and not every:
        return None
    own = {one: network_accuracy(accuracy[str(cell), one, plan.config.protocol]) for one in networks}
    picture, caption = None, ""
    if has_set and alike is None:
        picture, caption = cell_picture(expected_distilled(plan, cell), height=height)
    view = CellView(
        name=str(cell),
        anchor=cell_anchor(cell),
        alike=None if alike is None else Link(text=str(alike), href=f"#{cell_anchor(alike)}"),
        row=(
            Value(text=plan.dataset_title(cell.dataset)),
            Value(text=plan.method_title(cell.method)),
            *(Value(text=MISSING if number is None else str(number), sort=number) for number in (cell.ipc, cell.seed)),
            *(_accuracy(own.get(name)) for name in plan.networks),
            _time(None if distilled is None else distilled.seconds),
            _time(sum(one.seconds for one in evaluations) if evaluations else None),
            Value(text=artifacts[0].device if artifacts else MISSING),
        ),
        accuracies=tuple(own.values()) if len(plan.protocols) == 1 else every,
        settings=tuple(setting(*row) for row in own_settings(plan, cell, alike)),
        artifacts=tuple(one.view for one in artifacts),
        picture=picture,
        picture_caption=caption,
        picture_links=images,
    )
    return CellReport(view=view, artifacts=artifacts)


def cell_anchor(cell: Cell) -> str:
    """The name of a cell as the page's addresses have it."""
    return quote(str(cell), safe="/")


def every_accuracy(
    plan: Plan, cell: Cell, accuracy: Mapping[tuple[str, str, str], pd.DataFrame]
) -> tuple[NetworkAccuracy, ...]:
    """The networks of a cell that are there under every protocol, each named with its protocol."""
    found = []
    for protocol in plan.protocols:
        for network in plan.networks:
            rows = accuracy.get((str(cell), network, protocol))
            if rows is None:
                continue
            one = network_accuracy(rows)
            found.append(replace(one, network=f"{network}, {plan.config.protocol_title(protocol)}"))
    return tuple(found)


def own_settings(plan: Plan, cell: Cell, alike: Cell | None) -> list[tuple[str, object, str]]:
    """Keys, values and layers of a cell's settings; of one that is like another, those that it has otherwise."""
    rows = list(plan.resolved(cell).rows())
    if alike is None:
        return rows
    others = list(plan.resolved(alike).rows())
    return [row for row in rows if row not in others]


def network_accuracy(final: pd.DataFrame) -> NetworkAccuracy:
    """The networks of one architecture; ``final`` are their rows of the accuracy table, one per evaluation seed."""
    first, values = final.iloc[0], final["test_accuracy_percent"].to_numpy(np.float64)
    spread = f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""
    return NetworkAccuracy(
        network=str(first["network"]),
        description=str(first["network_text"]),
        protocol=str(first["protocol"]),
        mean=float(values.mean()),
        text=f"{values.mean():.1f}{spread} ({len(values)})",
        values=tuple(f"{value:.2f}" for value in values),
    )


def setting(key: str, value: object, layer: str) -> Setting:
    """A setting as a person reads it: text as it is, everything else as JSON."""
    return Setting(key=key, value=value if isinstance(value, str) else json.dumps(value), layer=layer)


def _accuracy(one: NetworkAccuracy | None) -> Value:
    return Value(text=MISSING) if one is None else Value(text=one.text, sort=one.mean)


def _time(seconds: float | None) -> Value:
    return Value(text=MISSING) if seconds is None else Value(text=duration_text(seconds), sort=seconds)
