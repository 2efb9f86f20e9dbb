"""Made-up results of a large grid: 25 methods, four data sets, three IPC, three protocols, 5 x 5 seeds.

Numbers are drawn from the names of what they belong to, so that a grid always has the same. Some methods have soft labels or
learned rates, some are partitioned, one protocol labels by teachers, some sets diverged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bacon.artifacts.evaluation_records import FORMAT, VERSION
from bacon.config.loading import check_config
from bacon.plan.plan import Plan
from bacon.reporting.collect.evaluations import ExpectedDistilled, ExpectedEvaluation
from bacon.reporting.collect.expected import expected_distilled, expected_evaluations
from tests.reporting.fakes import EVALUATION, NETWORK, record
from tests.reporting.results import CONFUSION, PROVENANCE, draw_figures

METHODS = (
    "random", "herding", "kcenter", "forgetting", "kmeans", "rded", "ld", "dc", "dsa", "idc", "dream", "dm", "idm",
    "cafe", "datadam", "dm_iid", "idm_iid", "dance", "ncfm", "bacon", "mtt", "datm", "frepo", "sre2l", "gvbsm",
)  # fmt: skip
GRID: dict[str, Any] = {
    "preset": "paper",
    "protocol": "paper",
    "grid": {
        "datasets": ["mnist", "svhn", "cifar10", "cifar100"], "methods": list(METHODS), "ipc": [1, 10, 50], "seeds": 5,
        "protocols": ["paper", "p-idc", "p-sre2l"],
    },
}  # fmt: skip
SOFT, LEARNED_RATES, PARTITIONED = ("ld", "datm", "frepo"), ("mtt", "datm"), ("idc", "dream", "idm", "dance", "bacon")
DIVERGED = ("cifar100/datadam/ipc50/seed3", "svhn/frepo/ipc1/seed0")
_BASE = {
    "mnist": (80.0, 95.0, 97.0),
    "svhn": (25.0, 55.0, 75.0),
    "cifar10": (25.0, 45.0, 60.0),
    "cifar100": (8.0, 25.0, 35.0),
}
_WRITTEN = 8  # images of each class of the first seed; the others are black and take no space


def write_many_results(folder: Path, config: Mapping[str, Any] = GRID, *, side: int = 32) -> Plan:
    """Every file that a report of the configuration is made from; figures are blank sheets."""
    plan = Plan(check_config(config), directory=folder)
    for each in plan.protocols.values():
        for expected in expected_evaluations(each):
            expected.path.parent.mkdir(parents=True, exist_ok=True)
            expected.path.write_text(json.dumps(_evaluation(expected, each.config.protocol)))
    for cell in plan.cells:
        _write_distilled(expected_distilled(plan, cell), side)
    draw_figures(plan)
    return plan


def draw(*names: object, scale: float = 1.0) -> float:
    """A number of the standard normal distribution times ``scale`` that the names decide."""
    digest = hashlib.blake2b("/".join(str(name) for name in names).encode(), digest_size=8).digest()
    return scale * float(np.random.default_rng(int.from_bytes(digest, "big")).normal())


def accuracy(expected: ExpectedEvaluation, protocol: str, network: int) -> float:
    """The test accuracy of a network, a fraction."""
    place, method, seed = (expected.dataset, expected.ipc), expected.method, expected.seed
    level = _BASE[expected.dataset][(1, 10, 50).index(expected.ipc)] if expected.ipc else 90.0
    room = (100 - level) / 75
    skill = 0.0 if method == "full" else draw(method, scale=5) + draw(method, *place, scale=2)
    shift = 0.0 if protocol == "paper" else draw(protocol, scale=2) + draw(protocol, method, scale=2)
    noise = draw(*place, method, seed, scale=0.6) + draw(*place, method, protocol, seed, network, scale=0.5)
    return min(0.999, max(0.01, (level + room * (skill + shift + noise)) / 100))


def _evaluation(expected: ExpectedEvaluation, protocol: str) -> dict[str, Any]:
    has_soft = expected.method in SOFT
    settings: dict[str, Any] = {"seeds": 5, "labels": "stored" if has_soft else "hard", "snapshot_seeds": 0}
    further: dict[str, Any] = {"labels": "probabilities"} if has_soft else {}
    if protocol == "p-sre2l" and expected.method != "full":
        settings |= {"labels": "teacher", "epochs": 300}
        further |= {
            "teacher_bytes": 1_300_000,
            "view_label_bytes": 400_000 * (expected.ipc or 0),
            "teachers_at_chance": [],
        }
    records = [
        record(0 if expected.method == "full" else 200, seed, accuracy(expected, protocol, seed))
        | {"confusion": CONFUSION}
        for seed in range(5)
    ]
    names = ("fingerprint", "dataset", "method", "ipc", "seed", "network")
    return {
        "format": FORMAT,
        "version": VERSION,
        **{name: getattr(expected, name) for name in names},
        "settings": {"network": NETWORK, "evaluation": EVALUATION | settings},
        "provenance": PROVENANCE,
        "records": records,
        **further,
    }


def _write_distilled(expected: ExpectedDistilled, side: int) -> None:
    expected.path.parent.mkdir(parents=True, exist_ok=True)
    ipc, name = expected.ipc, f"{expected.dataset}/{expected.method}/ipc{expected.ipc}/seed{expected.seed}"
    shape = (10 * ipc, 3, side, side)
    random = np.random.default_rng(expected.seed)
    with h5py.File(expected.path, "w") as file:
        kept = min(ipc, _WRITTEN) if expected.seed == 0 else 1
        images = file.create_dataset("images", shape, np.float32, chunks=(kept, *shape[1:]), fillvalue=0)
        for label in range(10):
            images[label * ipc : label * ipc + kept] = random.random((kept, *shape[1:]), dtype=np.float32)
        file["labels"] = np.repeat(np.arange(10), ipc)
        file.attrs.update(_attributes(expected, images.nbytes, diverged=name in DIVERGED))
        if expected.method in SOFT:
            file["soft_labels"] = np.full((10 * ipc, 10), 0.1, np.float32)
            file.attrs["soft_labels_kind"] = "probabilities"
        if expected.method in LEARNED_RATES:
            file["rates"] = np.array([0.02], np.float32)


def _attributes(expected: ExpectedDistilled, image_bytes: int, *, diverged: bool) -> dict[str, Any]:
    has_soft, is_partitioned = expected.method in SOFT, expected.method in PARTITIONED
    found: dict[str, Any] = {"divergence": "the loss was not finite at iteration 120"} if diverged else {}
    iterations = 0 if expected.method in METHODS[:6] else 200
    return found | {
        "fingerprint": expected.fingerprint,
        "partition": 2 if is_partitioned else 1,
        "codec": "partition" if is_partitioned else "none",
        "learned_rates": int(expected.method in LEARNED_RATES),
        "image_bytes": image_bytes,
        "label_bytes": 400 * expected.ipc if has_soft else 0,
        "decoder_bytes": 0,
        "class_names": json.dumps([f"class {label}" for label in range(10)]),
        "mean": np.zeros(3),
        "std": np.ones(3),
        "iterations": iterations,
        "iterations_per_second": 10.0,
        "wall_seconds": abs(draw(expected.method, "seconds", scale=4000)) + 10 * expected.seed + 1,
        "peak_memory_bytes": 512 * 2**20,
        "device": PROVENANCE["device"],
        "provenance": json.dumps(PROVENANCE),
    }
