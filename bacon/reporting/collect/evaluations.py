"""Evaluation and distilled artifacts brought into tidy tables; nothing is used whose fingerprint is not the one expected.

A rerun that failed can leave an older file that the workflow believes to be current. So the fingerprint of every file
is compared with the one that the current configuration, data and code give; other files are refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bacon.artifacts.evaluation_records import check_version
from bacon.config.setting_errors import check_name
from bacon.reporting.collect.comparable import comparable_facts
from bacon.reporting.collect.protocol_text import evaluated_text, protocol_of
from bacon.runtime.errors import BaconError

RERUN = "Run `snakemake` again: it recomputes what is missing or out of date."
GROUP = ["dataset", "method", "ipc", "network", "iteration"]
_PUBLISHED = ("published_dataset", "published_method")
# Where they are missing, a column may have no text at all; and digits that look like a number are none.
_TEXTS = (
    *_PUBLISHED, "teachers_at_chance", "protocol_digest", "data_fingerprint", "version", "fingerprint", "commit",
)  # fmt: skip
_RECORD_KEYS = ("iteration", "final", "evaluation_seed", "test_accuracy", "train_accuracy", "train_loss", "epochs")


@dataclass(frozen=True, kw_only=True)
class ExpectedEvaluation:
    """An evaluation file that the configuration asks for."""

    path: Path
    """The JSON file."""
    fingerprint: str
    """The cumulative fingerprint it must carry."""
    dataset: str
    method: str
    ipc: int | None
    """Images per class; ``None`` for the full data set, as is ``seed``."""
    seed: int | None
    """Distillation seed."""
    network: str
    """Name of the evaluation network."""
    dataset_title: str
    method_title: str
    published_dataset: str | None
    """The data set's name in ``published_results.csv``; ``None``: nothing is published on it."""
    published_method: str | None
    """The method's name in it; ``None``: nothing is published on it."""
    protocol_name: str = "paper"
    """The protocol's name in the configuration."""
    whitened: bool = False
    """Whether its networks are trained and tested on images whitened by ZCA."""


@dataclass(frozen=True, kw_only=True)
class ExpectedDistilled:
    """A distilled set that the configuration asks for."""

    path: Path
    """The HDF5 file."""
    fingerprint: str
    """The cumulative fingerprint it must carry."""
    dataset: str
    method: str
    ipc: int
    seed: int
    dataset_title: str
    method_title: str


class OutOfDateError(BaconError):
    """A result that is there with another fingerprint."""


def check_fingerprint(path: Path, *, expected: str, found: object) -> None:
    """Raise :class:`OutOfDateError` unless the fingerprint in a file is the one expected."""
    if found != expected:
        raise OutOfDateError(
            f"{path}: out of date. It carries the fingerprint {found!r}; the current configuration, data and code need "
            f"{expected!r}. {RERUN}"
        )


def collect_networks(expected: Sequence[ExpectedEvaluation]) -> pd.DataFrame:
    """One row per trained network.

    Args:
        expected: the evaluation files, in the order of the tables.

    Returns:
        Columns: dataset, method, ipc, seed, network, iteration, final, evaluation_seed, augmentation, lr_net,
        test_accuracy_percent, validation_accuracy_percent (missing without a validation split), train_accuracy_percent,
        train_loss (nats), epochs, protocol_name (in the configuration), protocol (in words), network_text, n (rows of
        the same data set, method, IPC, network, iteration and augmentation), wall_seconds, evaluation_steps (of the
        optimiser) and evaluation_images (of their batches; both missing where the network was trained elsewhere),
        device, view_label_bytes and teacher_bytes (of labels that teachers make for every view, were they stored, and
        of the teachers; 0 for others), teachers_at_chance (missing for none), fingerprint, commit, dataset_title,
        method_title, published_dataset, published_method, protocol_digest, label_kind, stored_labels, data_fingerprint and
        version (:func:`bacon.reporting.collect.comparable.comparable_facts`). ``ipc`` and ``seed`` are missing for the full
        data set.

    Raises:
        BaconError: a file is missing, unreadable, of another cell, of another fingerprint, or lacks records.
    """
    if not expected:
        raise BaconError("there are no evaluations, because the grid of the configuration has no cells")
    table = pd.DataFrame([row for one in expected for row in network_rows(one)])
    table = table.astype(
        {"ipc": "Int64", "seed": "Int64", "validation_accuracy_percent": "float64", **dict.fromkeys(_TEXTS, "str")}
    )
    table["n"] = table.groupby([*GROUP, "augmentation"], dropna=False)["test_accuracy_percent"].transform("size")
    return table


def collect_accuracy(expected: Sequence[ExpectedEvaluation]) -> pd.DataFrame:
    """One row per evaluation seed: :func:`collect_networks`, averaged over the protocol's augmentations.

    With one augmentation, as in the paper, a row is a trained network. ``augmentation`` then names several joined by +, and
    ``lr_net`` is the largest of their rates, ``wall_seconds``, ``evaluation_steps`` and
    ``evaluation_images`` their sums.
    """
    return average_augmentations(collect_networks(expected))


def average_augmentations(networks: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`collect_networks` with those that differ only by augmentation averaged; columns and order stay."""
    keys = [*GROUP, "seed", "evaluation_seed"]
    grouped = networks.groupby(keys, dropna=False, sort=False)
    if (grouped.ngroup().value_counts() == 1).all():
        return networks
    how: dict[str, Any] = {name: "first" for name in networks.columns if name not in keys}
    how |= dict.fromkeys(
        ("test_accuracy_percent", "validation_accuracy_percent", "train_accuracy_percent", "train_loss"), "mean"
    )
    # The sum of what is missing is missing.
    how |= dict.fromkeys(("evaluation_steps", "evaluation_images"), lambda values: values.sum(min_count=1))
    how |= {"wall_seconds": "sum", "epochs": "max", "lr_net": "max", "augmentation": "+".join}
    return grouped.agg(how).reset_index()[networks.columns]


def read_accuracy(path: Path) -> pd.DataFrame:
    """The table of :func:`collect_accuracy` read back from its CSV."""
    if not path.is_file():
        raise BaconError(f"{path}: the table does not exist. {RERUN}")
    # `final` is written as True and False; names such as "nan" or "None" are data, so only empty fields are missing.
    kinds = {"ipc": "Int64", "seed": "Int64", **dict.fromkeys(_TEXTS, "str")}
    table = pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=[""])
    missing = [name for name in ("test_accuracy_percent", "protocol_name", *_PUBLISHED) if name not in table.columns]
    if missing:
        raise BaconError(f"{path}: no column {', '.join(missing)}; another version wrote this table. {RERUN}")
    return table


def under_protocol(accuracy: pd.DataFrame, protocol: str | None = None) -> pd.DataFrame:
    """The rows of one protocol, for networks of several do not add up to one accuracy.

    Args:
        accuracy: rows of :func:`collect_accuracy` or :func:`read_accuracy`.
        protocol: its name in the configuration; ``None``: that of the first row, the headline's.

    Raises:
        BaconError: no row is of that protocol.
    """
    names = accuracy["protocol_name"].drop_duplicates().tolist()
    if protocol is not None:
        check_name("--protocol", protocol, names)
    return accuracy[accuracy["protocol_name"] == (names[0] if protocol is None else protocol)]


def read_evaluation(expected: ExpectedEvaluation) -> dict[str, Any]:
    """The content of an evaluation file, its fingerprint and its cell checked.

    Raises:
        BaconError: the file is missing, unreadable, of another cell or of another fingerprint.
    """
    content = _load(expected.path)
    check_fingerprint(expected.path, expected=expected.fingerprint, found=content.get("fingerprint"))
    for key in ("dataset", "method", "ipc", "seed", "network"):
        if content.get(key) != getattr(expected, key):
            raise BaconError(
                f"{expected.path}: `{key}` is {content.get(key)!r}, expected {getattr(expected, key)!r}; the file belongs "
                f"to another cell. {RERUN}"
            )
    return content


def network_rows(expected: ExpectedEvaluation) -> list[dict[str, Any]]:
    """The rows of one file; columns and errors as :func:`collect_networks`."""
    content = read_evaluation(expected)
    try:
        _check_records(expected.path, content["records"], content["settings"]["evaluation"])
        said = {"protocol": protocol_of({**content, "whitened": expected.whitened}), **comparable_facts(content)}
        return [{**_row(expected, content, record), **said} for record in content["records"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BaconError(f"{expected.path}: not a complete evaluation file ({error!r}). {RERUN}") from error


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BaconError(f"{path}: the evaluation is missing. {RERUN}") from error
    except (OSError, ValueError) as error:
        raise BaconError(
            f"{path}: not a readable evaluation file ({error}). Delete it and run `snakemake` again."
        ) from error
    check_version(path, content)
    return dict(content)


def _check_records(path: Path, records: Sequence[Mapping[str, Any]], evaluation: Mapping[str, Any]) -> None:
    """Each final and each snapshot iteration has exactly the networks that the settings ask for, once each."""
    # Every seed trains one network with each augmentation.
    first = records[0]["augmentation"] if records else ""
    counts = Counter(
        (record["iteration"], bool(record["final"])) for record in records if record["augmentation"] == first
    )
    finals = [count for (_, final), count in counts.items() if final]
    if finals != [evaluation["seeds"]]:
        raise BaconError(
            f"{path}: {sum(finals)} records of the final images over {len(finals)} iterations, expected "
            f"{evaluation['seeds']} of one iteration. {RERUN}"
        )
    for (iteration, final), count in counts.items():
        if not final and count != evaluation["snapshot_seeds"]:
            raise BaconError(
                f"{path}: {count} records of iteration {iteration}, expected {evaluation['snapshot_seeds']}. {RERUN}"
            )
    if len({_place(record) for record in records}) != len(records):
        raise BaconError(f"{path}: an evaluation seed occurs twice in one iteration. {RERUN}")
    if len(records) != sum(counts.values()) * len(evaluation["augmentations"]):
        raise BaconError(
            f"{path}: {len(records)} records, expected {sum(counts.values())} with each of the augmentations "
            f"{', '.join(evaluation['augmentations'])}. {RERUN}"
        )


def _place(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return record["iteration"], record["evaluation_seed"], record["augmentation"]


def _row(expected: ExpectedEvaluation, content: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    values = {key: record[key] for key in _RECORD_KEYS}
    return {
        "dataset": expected.dataset,
        "method": expected.method,
        "ipc": expected.ipc,
        "seed": expected.seed,
        "network": expected.network,
        "iteration": int(values["iteration"]),
        "final": bool(values["final"]),
        "evaluation_seed": int(values["evaluation_seed"]),
        "augmentation": str(record["augmentation"]),
        "lr_net": float(record["lr_net"]),
        "test_accuracy_percent": 100.0 * float(values["test_accuracy"]),
        "validation_accuracy_percent": None
        if record["validation_accuracy"] is None
        else 100.0 * float(record["validation_accuracy"]),
        "train_accuracy_percent": 100.0 * float(values["train_accuracy"]),
        "train_loss": float(values["train_loss"]),
        "epochs": int(values["epochs"]),
        "protocol_name": expected.protocol_name,
        "protocol": "",
        "network_text": evaluated_text(content["settings"]),
        "n": 0,
        "wall_seconds": float(record["wall_seconds"]),
        "evaluation_steps": _work(content, "steps", record),
        "evaluation_images": _work(content, "images_seen", record),
        "device": content["provenance"]["device"],
        "view_label_bytes": int(content.get("view_label_bytes", 0)),
        "teacher_bytes": int(content.get("teacher_bytes", 0)),
        "teachers_at_chance": ", ".join(content.get("teachers_at_chance", ())) or None,
        "fingerprint": expected.fingerprint,
        "commit": content["provenance"]["commit"],
        "dataset_title": expected.dataset_title,
        "method_title": expected.method_title,
        "published_dataset": expected.published_dataset,
        "published_method": expected.published_method,
    }


def _work(content: Mapping[str, Any], name: str, record: Mapping[str, Any]) -> float:
    """What training a record's network took, as the file says it for the record's augmentation; NaN where it does not."""
    return float(content.get(name, {}).get(record["augmentation"], float("nan")))
