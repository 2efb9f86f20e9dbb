"""Every file of a plan with what it is made from, and which of them are right by content. No torch.

A data set, a distilled set and an evaluation carry their fingerprint. Tables, figures and pages have no place for one that
every format shares: whoever makes them writes their fingerprint and each file's checksum into the cache, beside the results.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bacon.datasets.checksums import file_digest
from bacon.downstream.registry import TASKS
from bacon.operations.workflow_plan import (
    aggregate_fingerprint,
    images_fingerprint,
    report_fingerprint,
    shown_cell,
    shown_groups,
)
from bacon.plan.inventory import read_artifacts
from bacon.plan.plan import Plan
from bacon.plan.stages import plan_artifacts, stage_of
from bacon.reporting.targets import REPORT, TARGETS, image_paths
from bacon.runtime.atomic import write_json
from bacon.settings.cells import CACHE, LOGS

BENCHMARKS = Path("results/benchmarks")
_CHECKSUMS = f"{CACHE}/shown"


@dataclass(frozen=True, kw_only=True)
class Product:
    """What one job makes. Paths are as the workflow names them.

    Attributes:
        name: of the job, unique in a plan.
        fingerprint: that its files must have.
        inputs: files it is made from, as far as they are products.
        prepared: those of the inputs that are prepared data sets or training runs, whose content their fingerprint alone
            decides.
        outputs: its files.
        benchmark: Snakemake's measurement of the job, if there is one: its time counts like an output's.
    """

    name: str
    fingerprint: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    benchmark: str
    prepared: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Found:
    """The files of the working directory.

    Attributes:
        right: products whose files are all there with the plan's fingerprint, in the order they are made.
        outdated: those that are there with another fingerprint.
    """

    right: tuple[Product, ...]
    outdated: tuple[Product, ...]

    @cached_property
    def right_files(self) -> frozenset[str]:
        """Files that are right by content."""
        return frozenset(path for product in self.right for path in product.outputs)

    @cached_property
    def outdated_files(self) -> frozenset[str]:
        """Files that were made from something else."""
        return frozenset(path for product in self.outdated for path in product.outputs)


def look(plan: Plan, published: Path) -> Found:
    """Hold every product of a plan against the files that are there; ``published`` is the CSV of published accuracies."""
    right: list[str] = []
    outdated: list[str] = []
    for artifact, header in read_artifacts(plan):
        if header is not None:
            (right if header.fingerprint == artifact.fingerprint else outdated).append(str(artifact.path))
    results = {product.outputs[0]: product for product in _results(plan)}
    shown = {product: made_with(plan.directory, product) for product in shown_products(plan, published)}
    return Found(
        right=(
            *(results[path] for path in right),
            *(product for product, fingerprint in shown.items() if fingerprint == product.fingerprint),
        ),
        outdated=(
            *(results[path] for path in outdated),
            *(product for product, made in shown.items() if made is not None and made != product.fingerprint),
        ),
    )


def _results(plan: Plan) -> Iterator[Product]:
    """Data sets, distilled sets and evaluations, in the order they are made."""
    for artifact in plan_artifacts(plan):
        inputs = stage_of(artifact).inputs(plan, artifact)
        yield Product(
            name=f"{artifact.stage} {artifact.name} {artifact.network}".strip(),
            fingerprint=artifact.fingerprint,
            inputs=tuple(str(made_from.path) for made_from in inputs),
            outputs=(str(artifact.path),),
            benchmark=benchmark(stage_of(artifact).log(artifact)),
            prepared=frozenset(str(made_from.path) for made_from in inputs if made_from.stage in ("data", "train")),
        )


def shown_products(plan: Plan, published: Path) -> Iterator[Product]:
    """Tables, figures, images and the report, in the order they are made."""
    by_stage: dict[str, list[str]] = {}
    for artifact in plan_artifacts(plan):
        by_stage.setdefault(artifact.stage, []).append(str(artifact.path))
    data, distilled = by_stage["data"], by_stage.get("distill", [])
    grid = (*by_stage["evaluate"], *distilled, *(path for name in TASKS for path in by_stage.get(name, ())))
    drawn: list[str] = []
    for name, target in TARGETS.items():
        outputs = tuple(target.outputs(plan).values())
        drawn += outputs if name == "figures" else ()
        yield Product(
            name=name, fingerprint=aggregate_fingerprint(plan, name, published), inputs=(*grid, *data), outputs=outputs,
            benchmark=benchmark(Path(LOGS) / name), prepared=frozenset(data),
        )  # fmt: skip
    for group in shown_groups(plan):
        product = _image_product(plan, *group)
        drawn += product.outputs
        yield product
    page = report_fingerprint(plan, published)
    where = benchmark(Path(LOGS) / "report")
    yield Product(
        name="report", fingerprint=page, inputs=(*grid, *drawn, *data), outputs=(REPORT,), benchmark=where,
        prepared=frozenset(data),
    )  # fmt: skip


def _image_product(plan: Plan, dataset: str, method: str, ipc: int) -> Product:
    cell = shown_cell(plan, f"{dataset}/{method}/ipc{ipc}")
    return Product(
        name=images_name(dataset, method, ipc),
        fingerprint=images_fingerprint(plan, cell),
        inputs=(str(cell.distilled_path), str(plan.data_path(cell))),
        outputs=tuple(map(str, image_paths(dataset, method, ipc))),
        benchmark=benchmark(Path(LOGS) / "images" / f"{dataset}_{method}_ipc{ipc}"),
        prepared=frozenset({str(plan.data_path(cell))}),
    )


def benchmark(log: Path) -> str:
    """Where Snakemake's measurement of a job lies: as its log, in a folder of their own."""
    return f"{BENCHMARKS / log.relative_to(LOGS)}".removesuffix(".log") + ".jsonl"


def images_name(dataset: str, method: str, ipc: int) -> str:
    """Name of the product that shows the images of a group of cells."""
    return f"images {dataset} {method} ipc{ipc}"


def note_made(directory: Path, name: str, fingerprint: str, outputs: Sequence[Path]) -> None:
    """Write down what the files of a table, figure or page were made from, for :func:`look`.

    Args:
        directory: the working directory.
        name: of the product.
        fingerprint: of everything that it was made from.
        outputs: its files, relative to the working directory.
    """
    files = {str(path): file_digest(directory / path) for path in outputs}
    write_json(_note(directory, name), {"fingerprint": fingerprint, "files": files})


def made_with(directory: Path, product: Product) -> str | None:
    """Fingerprint that a product's files were made with; ``None`` when they are not there or not the ones written down."""
    try:
        note: dict[str, Any] = json.loads(_note(directory, product.name).read_text(encoding="utf-8"))
        files = {path: note["files"][path] for path in product.outputs if path in note["files"]}
        if not files or any(file_digest(directory / path) != checksum for path, checksum in files.items()):
            return None
        fingerprint = str(note["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # Of a larger grid there are files that were not made yet: those of another fingerprint are all the same outdated.
    return fingerprint if len(files) == len(product.outputs) or fingerprint != product.fingerprint else None


def _note(directory: Path, name: str) -> Path:
    return directory / _CHECKSUMS / f"{name.replace(' ', '_')}.json"
