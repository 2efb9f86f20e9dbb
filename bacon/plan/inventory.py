"""What lies on the disk, held against a plan: the fingerprint that each artifact carries is the truth about it.

Snakemake knows what it recorded in ``.snakemake``; after a clone into which only ``results/`` was copied, or when a process
that a killed call left behind writes its file late, that says nothing. ``bacon status`` and the Snakefile ask here. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bacon.plan.plan import Plan
from bacon.runtime.atomic import write_json
from bacon.settings.cells import CACHE, DATA, Cell

Stage = Literal["data", "distill", "evaluate"]

_HEADERS = f"{CACHE}/artifacts.json"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """An artifact of the plan.

    Attributes:
        stage: what makes it.
        path: where it lies.
        fingerprint: that it must carry.
        cell: the cell; ``None`` for a data set.
        network: the evaluation network; empty for other stages.
    """

    stage: Stage
    path: Path
    fingerprint: str
    cell: Cell | None = None
    network: str = ""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What an artifact says of itself; ``fingerprint`` is ``None`` when it cannot be read.

    Attributes:
        fingerprint: of everything it was made from.
        seconds: wall time of making it, over all parts and networks.
        inputs: fingerprints of its inputs by name.
        settings: its settings.
        packages: versions of the packages that made it, where it says so.
    """

    fingerprint: str | None
    seconds: float = 0.0
    inputs: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)


def expected_artifacts(plan: Plan) -> Iterator[Expected]:
    """Every data set, distilled set and evaluation of a plan, in the order they are made."""
    for dataset in plan.datasets:
        path = Path(DATA.format(dataset=dataset))
        yield Expected(stage="data", path=path, fingerprint=plan.data_fingerprint(dataset))
    for cell in plan.cells:
        fingerprint = plan.distilled_fingerprint(cell)
        yield Expected(stage="distill", path=cell.distilled_path, fingerprint=fingerprint, cell=cell)
    for cell in (*plan.references, *plan.cells):
        for network in plan.networks:
            yield Expected(
                stage="evaluate",
                path=cell.evaluation_path(network),
                fingerprint=plan.evaluation_fingerprint(cell, network),
                cell=cell,
                network=network,
            )


class Inventory:
    """Headers of the artifacts in a working directory; each file is opened once, and again only after it changed.

    Args:
        directory: the working directory.
    """

    def __init__(self, directory: Path | str = ".") -> None:
        self.directory = Path(directory)
        self._file = self.directory / _HEADERS
        self._known = _read_known(self._file)
        self._changed = False

    def header(self, path: Path) -> Header | None:
        """What the artifact says of itself; ``None`` when there is no such file."""
        try:
            stat = (self.directory / path).stat()
        except OSError:
            return None
        key, version = str(path), [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        known = self._known.get(key)
        if known is None or known.get("version") != version:
            header = read_header(self.directory / path)
            known = {"version": version, "header": vars(header)}
            self._known[key], self._changed = known, True
        return Header(**known["header"])

    def save(self) -> None:
        """Remember the headers for the next call; a folder that cannot be written is no reason to stop."""
        if self._changed:
            try:
                write_json(self._file, self._known)
            except OSError:
                return
            self._changed = False


def _read_known(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def read_header(path: Path) -> Header:
    """Read what an artifact says of itself; a damaged file carries no fingerprint."""
    try:
        return _hdf5_header(path) if path.suffix == ".h5" else _json_header(path)
    except (OSError, ValueError, KeyError, TypeError):
        return Header(fingerprint=None)


def _hdf5_header(path: Path) -> Header:
    import h5py

    with h5py.File(path) as file:
        attributes = dict(file.attrs)
    inputs = {"data": str(attributes["data_fingerprint"])} if "data_fingerprint" in attributes else {}
    return Header(
        fingerprint=str(attributes["fingerprint"]),
        seconds=float(attributes.get("wall_seconds", 0.0)),
        inputs=inputs,
        settings=json.loads(attributes["settings"]) if "data_fingerprint" in attributes else {},
        packages=json.loads(attributes["provenance"])["packages"] if "provenance" in attributes else {},
    )


def _json_header(path: Path) -> Header:
    content = json.loads(path.read_text(encoding="utf-8"))
    inputs = {"data": content["data_fingerprint"], "distilled": content["distilled_fingerprint"]}
    return Header(
        fingerprint=content["fingerprint"],
        seconds=sum(record["wall_seconds"] for record in content["records"]),
        inputs={name: value for name, value in inputs.items() if value is not None},
        settings=content["settings"],
        packages=content["provenance"]["packages"],
    )


def outdated(plan: Plan) -> frozenset[str]:
    """Paths of files that are there but carry another fingerprint than the plan's, as the workflow names them."""
    inventory = Inventory(plan.directory)
    found = [(expected, inventory.header(expected.path)) for expected in expected_artifacts(plan)]
    inventory.save()
    return frozenset(
        str(expected.path) for expected, header in found if header and header.fingerprint != expected.fingerprint
    )
