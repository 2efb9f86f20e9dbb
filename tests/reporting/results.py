"""Results of a whole plan with known contents, as the workflow leaves them: what a report is made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image, PngImagePlugin

from bacon.artifacts.evaluation_records import FORMAT, VERSION
from bacon.config.loading import check_config
from bacon.operations.workflow_plan import aggregate_fingerprint, report_fingerprint, shown_groups
from bacon.plan.plan import Plan
from bacon.reporting.collect.classes import ClassResults
from bacon.reporting.collect.evaluations import ExpectedEvaluation
from bacon.reporting.collect.expected import expected_distilled, expected_evaluations
from bacon.reporting.page.make_report import make
from bacon.reporting.targets import PUBLISHED, REPORT, TARGETS, image_paths
from tests.reporting.fakes import EVALUATION, NETWORK, record

PROVENANCE = {
    "packages": {"torch": "2.14.1"},
    "python": "3.11.7",
    "commit": "0123abc",
    "device": "CPU (test)",
    "host": "node-7",
    "cpus": 8,
    "threads": 2,
    "deterministic": True,
}

CONFUSION = (9 * np.eye(10, dtype=int) + 1).tolist()


def accuracies(method: str, ipc: int | None, seed: int | None) -> list[float]:
    """Test accuracies of the two networks of a cell: fractions that follow from its name."""
    base = 0.9 if ipc is None else 0.3 + 0.2 * (ipc > 1) + 0.1 * ("random", "dm", "idm", "bacon", "half").index(method)
    return [base + 0.01 * (seed or 0), base + 0.01 * (seed or 0) + 0.02]


def final_records(expected: ExpectedEvaluation) -> list[dict[str, Any]]:
    """Two networks on the final images."""
    found = accuracies(expected.method, expected.ipc, expected.seed)
    return [record(0, seed, accuracy) | {"confusion": CONFUSION} for seed, accuracy in enumerate(found)]


def write_results(
    folder: Path,
    config: dict[str, Any],
    *,
    side: int = 8,
    provenance: dict[str, Any] | None = None,
    records: Callable[[ExpectedEvaluation], list[dict[str, Any]]] = final_records,
    evaluation: dict[str, Any] | None = None,
) -> Plan:
    """Every evaluation, distilled set, figure and log of a configuration; images of a class have its label's grey.

    ``records`` gives those of an evaluation file, ``evaluation`` what its settings have beyond the usual.
    """
    plan, origin = Plan(check_config(config), directory=folder), PROVENANCE | (provenance or {})
    plans = plan.protocols.values()
    for expected in (one for each in plans for one in expected_evaluations(each)):
        _write_json(
            expected.path,
            {
                "format": FORMAT,
                "version": VERSION,
                **{
                    key: getattr(expected, key)
                    for key in ("fingerprint", "dataset", "method", "ipc", "seed", "network")
                },
                "settings": {"network": NETWORK, "evaluation": EVALUATION | {"seeds": 2} | (evaluation or {})},
                "provenance": origin,
                "records": records(expected),
            },
        )
    for cell in plan.cells:
        _write_distilled(expected_distilled(plan, cell), side, origin)
        for log in (cell.distill_log, *(cell.evaluate_log(network) for network in plan.networks)):
            (folder / log).parent.mkdir(parents=True, exist_ok=True)
            (folder / log).write_text(f"log of {cell}\n")
    draw_figures(plan)
    return plan


def draw_figures(plan: Plan, fingerprint: str | None = None) -> None:
    """Every figure of the grid as a blank sheet that carries its fingerprint, and its words."""
    information = PngImagePlugin.PngInfo()
    information.add_text("Fingerprint", fingerprint or aggregate_fingerprint(plan, "figures", PUBLISHED))
    images = [path for group in shown_groups(plan) for path in image_paths(*group)]
    for name in [*TARGETS["figures"].outputs(plan).values(), *images]:
        path = plan.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.new("RGB", (1200, 800), "white").save(path, pnginfo=information)
        elif path.suffix == ".gif":
            write_animation(path, fingerprint or aggregate_fingerprint(plan, "figures", PUBLISHED))
        elif path.suffix == ".json":
            path.write_text(json.dumps({"title": f"Title of {path.stem}", "caption": f"Caption of {path.stem}."}))


def write_animation(path: Path, fingerprint: str) -> None:
    """Three frames, black, grey and white, the last for two seconds."""
    frames = [Image.new("L", (300, 200), shade) for shade in (0, 128, 255)]
    options = {"duration": [600, 600, 2000], "loop": 0, "comment": fingerprint.encode()}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)


def write_report(plan: Plan, output: Path | None = None) -> Path:
    """The report of such results."""
    path = output or plan.directory / REPORT
    make(
        plan,
        fingerprint=report_fingerprint(plan, PUBLISHED),
        figures_fingerprint=aggregate_fingerprint(plan, "figures", PUBLISHED),
        output=path,
        published=PUBLISHED,
    )
    return path


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _write_distilled(expected, side: int, provenance: dict[str, Any]) -> None:
    expected.path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.repeat(np.arange(10), expected.ipc)
    noise = np.random.default_rng(expected.seed).normal(0.0, 0.05, (len(labels), 3, side, side))
    with h5py.File(expected.path, "w") as file:
        file["images"] = ((labels / 10)[:, None, None, None] + noise).astype(np.float32)
        file["labels"] = labels
        file.attrs.update(
            {
                "fingerprint": expected.fingerprint,
                "partition": 1,
                "learned_rates": 0,
                "image_bytes": file["images"].nbytes,
                "label_bytes": 0,
                "decoder_bytes": 0,
                "class_names": json.dumps([f"class {label}" for label in range(10)]),
                "mean": np.zeros(3),
                "std": np.ones(3),
                "iterations": 0 if expected.method == "random" else 200,
                "iterations_per_second": 10.0,
                "wall_seconds": 20.0 + expected.seed,
                "peak_memory_bytes": 512 * 2**20,
                "device": provenance["device"],
                "provenance": json.dumps(provenance),
            }
        )


def class_results(shares: dict[str, tuple[float, float]]) -> list[ClassResults]:
    """Results on two classes: method -> percent right of each; ``full`` has no IPC."""
    return [
        ClassResults(
            dataset="d",
            dataset_title="D",
            method=method,
            method_title=method,
            ipc=None if method == "full" else 1,
            class_names=("one", "two"),
            confusion=np.array([[first, 100 - first], [100 - second, second]]),
            networks=1,
            network="convnet",
        )
        for method, (first, second) in shares.items()
    ]
