"""The file of a distillation's result: the synthetic set, its snapshots, the history and where they came from.

``bacon.artifacts.distilled_layout`` says where in the file each part lies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch

from bacon.artifacts.distilled_layout import FORMAT, HDF5_DAMAGE, VERSION, data_set, snapshot_iterations
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.artifacts.unfailing_file import UnfailingFile
from bacon.datasets.store import read_whitening, write_whitening
from bacon.datasets.whitening import Whitening
from bacon.runtime.atomic import atomic_path
from bacon.runtime.errors import BaconError


@dataclass(frozen=True, kw_only=True)
class DistillationResult:
    """What a distillation, or a selection, has made.

    Attributes:
        synthetic: the final synthetic set, on the CPU.
        snapshots: iteration -> the whole synthetic set then, the last one included; empty for coresets.
        history: term -> (T,) float32, mean over classes per iteration; empty for coresets.
        whitening: ZCA of the data set, which the images are in the space of; ``None``: only mean and std.
        attributes: names and values of the file's attributes; JSON attributes are decoded. What a file says of the synthetic
            set (partition, codec, bytes) follows from the set when it is written.
    """

    synthetic: SyntheticSet
    snapshots: Mapping[int, SyntheticSet] = field(default_factory=dict)
    history: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    whitening: Whitening | None = None


_JSON_ATTRIBUTES = ("settings", "class_names", "provenance", "training_fingerprints", "training_costs")


def write_distilled(path: Path | str, result: DistillationResult) -> None:
    """Write a distillation's result atomically; every data set in the file is checksummed (fletcher32).

    Raises:
        OSError: the disk is full or cannot be written; an existing file is left unchanged.
        BaconError: a snapshot has other parts than the final set.
    """
    with atomic_path(path) as temporary, UnfailingFile(temporary) as written:
        with h5py.File(written, "w") as file:
            _write(file, result, written)
        written.check()


def _write(file: h5py.File, result: DistillationResult, written: UnfailingFile) -> None:
    """The content of a file, one array after the other; ends with the first one that the disk refuses."""
    file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
    for name, value in {**result.attributes, **_described(result.synthetic)}.items():
        file.attrs[name] = json.dumps(value) if name in _JSON_ATTRIBUTES else value
    for name, tensor in result.synthetic.tensors().items():
        _store(file, data_set(name), tensor.numpy())
    if result.whitening is not None:
        write_whitening(file, result.whitening)
    for iteration, snapshot in result.snapshots.items():
        written.check()
        _write_snapshot(file, iteration, snapshot, result.synthetic)
    if result.history:
        _store(file, "history/iteration", np.arange(len(next(iter(result.history.values()))), dtype=np.int64))
    for name, values in result.history.items():
        _store(file, f"history/{name}", values)


def _described(synthetic: SyntheticSet) -> dict[str, Any]:
    """What the attributes say of the synthetic set."""
    kind = {} if synthetic.soft_kind is None else {"soft_labels_kind": synthetic.soft_kind}
    rates = 0 if synthetic.rates is None else len(synthetic.rates)
    codec = {"partition": synthetic.partition, "codec": synthetic.codec, "learned_rates": rates}
    return {**codec, **kind, **synthetic.storage().attributes()}


def _write_snapshot(file: h5py.File, iteration: int, snapshot: SyntheticSet, final: SyntheticSet) -> None:
    parts, others = snapshot.tensors(), final.tensors()
    wanted, found = ((one.partition, one.soft_kind, *one.tensors()) for one in (final, snapshot))
    if found != wanted:
        raise BaconError(
            f"the snapshot of iteration {iteration} has the parts {found}, the final synthetic set has {wanted}"
        )
    for name, tensor in parts.items():
        if torch.equal(tensor, others[name]):
            file[data_set(name, iteration)] = file[data_set(name)]
        else:
            _store(file, data_set(name, iteration), tensor.numpy())


def _store(file: h5py.File, name: str, values: npt.NDArray[Any]) -> None:
    # Chunks hold whole images; an empty array cannot be chunked.
    chunks = (min(len(values), 256), *values.shape[1:]) if values.size else None
    file.create_dataset(
        name, data=values, chunks=chunks, fletcher32=bool(chunks), compression="gzip" if chunks else None
    )


def copy_distilled(source: Path, target: Path, *, method: str, expected_fingerprint: str) -> None:
    """Write a set again as that of ``method``, a variant that changes nothing of it; errors as :func:`read_distilled`."""
    found = read_distilled(source, expected_fingerprint=expected_fingerprint)
    write_distilled(target, replace(found, attributes={**found.attributes, "method": method}))


def is_distilled(path: Path | str) -> bool:
    """Whether a file is one that :func:`write_distilled` wrote, of whatever version; a damaged one is none."""
    try:
        with h5py.File(path) as file:
            return bool(file.attrs.get("format") == FORMAT)
    except HDF5_DAMAGE:
        return False


def read_distilled(path: Path | str, *, expected_fingerprint: str | None = None) -> DistillationResult:
    """Read a distillation's result.

    Raises:
        BaconError: the file is missing, damaged, not of this format and version, or has another fingerprint.
    """
    try:
        with h5py.File(path) as file:
            _check_format(path, file)
            attributes = {name: _attribute(name, value) for name, value in file.attrs.items()}
            check_fingerprint(path, attributes.get("fingerprint"), expected_fingerprint)
            history = file.get("history", {})
            return DistillationResult(
                synthetic=read_synthetic(file),
                snapshots={iteration: read_synthetic(file, iteration) for iteration in snapshot_iterations(file)},
                history={key: history[key][()] for key in history if key != "iteration"},
                attributes=attributes,
                whitening=read_whitening(file),
            )
    except FileNotFoundError:
        raise BaconError(f"{path}: the distilled set is missing; run snakemake, which makes it") from None
    except HDF5_DAMAGE as error:
        raise BaconError(f"{path}: not a readable distilled set ({error}); delete it and run snakemake again") from None


def read_synthetic(file: h5py.File, iteration: int | None = None) -> SyntheticSet:
    """The final synthetic set of an open file, or the one of a snapshot.

    Raises:
        KeyError: a part is missing.
        BaconError: the parts are not a synthetic set.
    """
    kind = file.attrs.get("soft_labels_kind")
    learned = ("soft", kind is not None), ("rates", bool(file.attrs["learned_rates"]))
    names = ["images", "classes", *(name for name, present in learned if present)]
    parts = {name: torch.from_numpy(file[data_set(name, iteration)][()]) for name in names}
    try:
        return SyntheticSet(**parts, soft_kind=kind, partition=int(file.attrs["partition"]))
    except BaconError as error:
        raise BaconError(f"{file.filename}: {error}; delete the file and run snakemake again") from None


def _check_format(path: Path | str, file: h5py.File) -> None:
    found = (file.attrs.get("format"), file.attrs.get("version"))
    if found != (FORMAT, VERSION):
        raise BaconError(f"{path}: format {found[0]} version {found[1]}, this program reads {FORMAT} version {VERSION}")


def check_fingerprint(path: Path | str, found: str | None, expected: str | None) -> None:
    """Raise :class:`BaconError` when an artifact is not the one that the configuration asks for."""
    if expected is not None and found != expected:
        raise BaconError(
            f"{path}: out of date: it was computed from other settings, data or code (fingerprint {found}, the "
            f"configuration needs {expected}). Run snakemake again"
        )


def _attribute(name: str, value: Any) -> Any:
    return json.loads(value) if name in _JSON_ATTRIBUTES else value
