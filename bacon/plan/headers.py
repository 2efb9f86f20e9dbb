"""What an artifact says of itself, read from its file. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Header:
    """What an artifact says of itself; ``fingerprint`` is ``None`` when it cannot be read.

    Attributes:
        fingerprint: of everything it was made from.
        seconds: wall time of making it, over all parts and networks.
        inputs: fingerprints of its inputs by the names of their stages.
        settings: its settings.
        packages: versions of the packages that made it, where it says so.
        parts: file below the artifact's folder -> its size in bytes, of those that belong to it.
        evaluations: of the index of a cell's evaluations: file -> its fingerprint.
    """

    fingerprint: str | None
    seconds: float = 0.0
    inputs: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    evaluations: dict[str, str] = field(default_factory=dict)


def read_header(path: Path) -> Header:
    """Read what an artifact says of itself; a damaged file has no fingerprint."""
    try:
        return _hdf5_header(path) if path.suffix == ".h5" else _json_header(path)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # h5py reports damaged attributes as the last
        return Header(fingerprint=None)


def _hdf5_header(path: Path) -> Header:
    import h5py

    with h5py.File(path) as file:
        attributes = dict(file.attrs)
    inputs = {"data": str(attributes["data_fingerprint"])} if "data_fingerprint" in attributes else {}
    inputs |= _trained(json.loads(attributes.get("training_fingerprints", "{}")))
    return Header(
        fingerprint=str(attributes["fingerprint"]),
        seconds=float(attributes.get("wall_seconds", 0.0)),
        inputs=inputs,
        settings=json.loads(attributes["settings"]) if "data_fingerprint" in attributes else {},
        packages=json.loads(attributes["provenance"])["packages"] if "provenance" in attributes else {},
    )


def _json_header(path: Path) -> Header:
    content = json.loads(path.read_text(encoding="utf-8"))
    inputs = {"data": content["data_fingerprint"], "distill": content["distilled_fingerprint"]}
    trained = content.get("training_fingerprints", {})
    if "evaluations" in content:
        files = content["evaluations"]
        return Header(
            fingerprint=content["fingerprint"],
            seconds=sum(one["seconds"] for one in files),
            inputs={name: value for name, value in inputs.items() if value is not None} | _trained(trained),
            packages=content["provenance"]["packages"],
            parts={one["file"]: one["bytes"] for one in files},
            evaluations={one["file"]: one["fingerprint"] for one in files},
        )
    return Header(
        fingerprint=content["fingerprint"],
        seconds=content.get("testing_seconds", sum(record["wall_seconds"] for record in content["records"])),
        inputs={name: value for name, value in inputs.items() if value is not None} | _trained(trained),
        settings=content["settings"],
        packages=content["provenance"]["packages"],
    )


def _trained(fingerprints: dict[str, str]) -> dict[str, str]:
    """Inputs of the stage train: key of each training -> its fingerprint."""
    return {training_input(key): fingerprint for key, fingerprint in fingerprints.items()}


def training_input(key: str) -> str:
    """Name among ``inputs`` of networks trained on the real set."""
    return f"train {key}"


def read_training_header(path: Path) -> Header:
    """What the index of a block of training runs says of itself."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Header(
            fingerprint=content["fingerprint"],
            seconds=sum(run["wall_seconds"] for run in content["runs"]),
            inputs={"data": content["data_fingerprint"]},
            settings=content["settings"],
            packages=content["provenance"]["packages"],
            parts={run["file"]: run["bytes"] for run in content["runs"]},
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Header(fingerprint=None)
