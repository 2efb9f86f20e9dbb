"""Export a cell of a plan: its distilled set, with what its evaluations found, in one of the formats."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacon.artifacts.distilled_file import read_distilled
from bacon.artifacts.evaluation_records import read_evaluation
from bacon.datasets.registry import REGISTRY
from bacon.interchange.accuracy_summary import accuracy_summary
from bacon.interchange.arrays import SUFFIXES, write_arrays
from bacon.interchange.content import Export, Form, export_of
from bacon.interchange.dataset_card import dataset_card
from bacon.interchange.dc_bench_folder import write_dc_bench
from bacon.interchange.dd_ranking_folder import write_dd_ranking
from bacon.interchange.folders import pixels_sha256, without_whitening, write_folder
from bacon.reporting.collect.protocol_text import network_text, protocol_of
from bacon.runtime.atomic import atomic_path
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.plan.plan import Plan
    from bacon.settings.cells import Cell

FORMATS = (*SUFFIXES, "png", "huggingface")
BENCHMARKS: Mapping[str, Callable[[Export, Path], None]] = {
    "dd-ranking": write_dd_ranking,
    "dc-bench": write_dc_bench,
}
"""Formats that others' evaluation programs read, and we do not."""


def export_cell(plan: Plan, cell: Cell, *, kind: str, form: Form, output: Path, force: bool = False) -> Path:
    """Write a cell's distilled set below the folder ``output``.

    Args:
        plan: the plan the cell belongs to.
        cell: the cell, distilled.
        kind: one of ``FORMATS`` or ``BENCHMARKS``.
        form: "decoded" or "stored".
        output: folder; made if missing. The file or folder in it is named after the cell.
        force: replace one that is there.

    Returns:
        The file or folder; it appears whole or not at all.

    Raises:
        BaconError: the cell is not distilled or out of date, something is there already, or the images do not fit the format.
    """
    distilled = read_distilled(
        plan.directory / cell.distilled_path, expected_fingerprint=plan.distilled_fingerprint(cell)
    )
    export = export_of(distilled, form=form, licence=_licence(cell.dataset), evaluations=list(_evaluations(plan, cell)))
    target = output / (export.name + SUFFIXES.get(kind, "" if kind == "png" else f"_{kind}"))
    if target.exists() and not force:
        raise BaconError(f"{target}: already exists; use --force to replace it, or give another --output")
    if kind in SUFFIXES:
        with atomic_path(target) as temporary:
            write_arrays(export, temporary)
        return target
    with _atomic_folder(target) as folder:
        if kind in BENCHMARKS:
            BENCHMARKS[kind](export, folder)
        else:
            _write_folder(
                without_whitening(export), folder, plan.dataset_title(cell.dataset), hub=kind == "huggingface"
            )
    return target


def _write_folder(export: Export, folder: Path, title: str, *, hub: bool) -> None:
    if not hub:
        write_folder(export, folder)
        return
    card = dataset_card(export.metadata, title=title, count=len(export.synthetic), pixels_sha256=pixels_sha256(export))
    write_folder(export, folder, images="train", readme=card)


@contextmanager
def _atomic_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``target`` that takes its place on success and is removed on any error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".tmp-") as name:
        made, old = Path(name) / "made", Path(name) / "old"
        made.mkdir()
        yield made
        if target.is_dir():
            target.rename(old)
        elif target.exists():
            target.unlink()
        made.rename(target)


def _licence(dataset: str) -> str:
    return REGISTRY[dataset].licence if dataset in REGISTRY else "not stated; ask whoever made the data"


def _evaluations(plan: Plan, cell: Cell) -> Iterator[dict[str, Any]]:
    """What the finished, current evaluations of the cell say; others are left out."""
    for name, each in plan.protocols.items():
        for network in plan.networks:
            path = plan.directory / each.evaluation_path(cell, network)
            if not path.is_file():
                continue
            content = read_evaluation(path)
            if content["fingerprint"] == each.evaluation_fingerprint(cell, network):
                final = [record for record in content["records"] if record.final]
                named = {"protocol_name": plan.config.protocol_title(name)} if plan.has_protocols else {}
                whitened = {"whitened": True} if each.is_whitened(cell) else {}
                yield {
                    "network": network,
                    **accuracy_summary(final),
                    **_protocol({**content, **whitened}),
                    **whitened,
                    **named,
                }


def _protocol(content: dict[str, Any]) -> dict[str, Any]:
    """How the networks were trained, in words and as the settings that `bacon verify` trains others with."""
    return {
        "network_text": network_text(content["settings"]["network"]),
        "protocol": protocol_of(content),
        "settings": content["settings"],
    }
