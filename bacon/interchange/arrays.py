"""Exports as one file of tensors: ``.pt`` (loads with weights_only=True), ``.safetensors``, ``.npz`` (no pickle)."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bacon.datasets.whitening import Whitening
from bacon.interchange.card_seal import sealed, without_checksums
from bacon.interchange.content import (
    FORMAT,
    Export,
    check_metadata,
    check_sha256,
    named_tensors,
    set_sha256,
    synthetic_of,
    tensors_sha256,
)
from bacon.interchange.raw_files import reason
from bacon.runtime.errors import BaconError

SUFFIXES = {"pt": ".pt", "safetensors": ".safetensors", "npz": ".npz"}
_WHITENING = ("mean", "matrix")
_KEY = "bacon"  # of the metadata in a safetensors file, whose metadata are strings


def write_arrays(export: Export, path: Path) -> None:
    """Write ``export`` to ``path`` in the format of its suffix; not atomic by itself."""
    tensors = _tensors(export)
    text = json.dumps(sealed(_metadata(export)))
    if path.suffix == ".pt":
        # Into memory first: torch writes the name of the file into it.
        content = io.BytesIO()
        torch.save({**tensors, "metadata": json.loads(text)}, content)
        path.write_bytes(content.getbuffer())
    elif path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(tensors, path, metadata={_KEY: text})
    else:
        arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
        np.savez(path, metadata=np.array(text), **arrays)


def read_arrays(path: Path) -> Export:
    """Read what :func:`write_arrays` wrote.

    Raises:
        BaconError: the file is missing, damaged, not an export, or its checksum does not match.
    """
    tensors, metadata = _read(path)
    metadata = check_metadata(path, metadata)
    try:
        synthetic = synthetic_of(path, tensors, metadata)
    except BaconError:
        raise
    except Exception as error:  # a tensor is missing, or is none
        raise _unreadable(path, error) from None
    check_sha256(path, "images and labels", found=set_sha256(synthetic), expected=metadata["images_sha256"])
    metadata = without_checksums(metadata)
    return Export(synthetic=synthetic, metadata=metadata, whitening=_whitening(path, tensors, metadata))


def read_metadata(path: Path) -> Any:
    """The metadata in a file of tensors as they are, unchecked; ``None``: it has none.

    Raises:
        BaconError: the file is missing or damaged.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, Tensor], Any]:
    if not path.is_file():
        raise BaconError(f"{path}: the file does not exist")
    try:
        return _READERS[path.suffix](path)
    except Exception as error:  # damaged bytes fail in any part of a reader
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> BaconError:
    return BaconError(f"{path}: not a readable {path.suffix} file of a distilled set ({reason(error)})")


def is_export(path: Path) -> bool:
    """Whether a file is one that :func:`write_arrays` wrote, as far as its metadata say; a damaged one is none."""
    if path.suffix not in _READERS or not path.is_file():
        return False
    try:
        _, metadata = _READERS[path.suffix](path)
    except Exception:  # damaged bytes fail in any part of a reader
        return False
    return isinstance(metadata, dict) and metadata.get("format") == FORMAT


def _tensors(export: Export) -> dict[str, Tensor]:
    tensors = named_tensors(export.synthetic)
    if export.whitening is not None:
        for name in _WHITENING:
            tensors[f"whitening_{name}"] = torch.from_numpy(getattr(export.whitening, name))
    return tensors


def _metadata(export: Export) -> dict[str, Any]:
    whitening = export.whitening
    if whitening is None:
        return dict(export.metadata)
    digest = tensors_sha256(*(torch.from_numpy(getattr(whitening, name)) for name in _WHITENING))
    return {**export.metadata, "whitening_epsilon": whitening.epsilon, "whitening_sha256": digest}


def _whitening(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, Any]) -> Whitening | None:
    if "whitening_matrix" not in tensors:
        return None
    parts = [tensors[f"whitening_{name}"] for name in _WHITENING]
    found = tensors_sha256(*parts)
    expected = metadata.pop("whitening_sha256", found)  # the first two versions had none
    check_sha256(path, "mean and matrix of the whitening", found=found, expected=expected)
    mean, matrix = (part.numpy() for part in parts)
    return Whitening(mean=mean, matrix=matrix, epsilon=float(metadata.pop("whitening_epsilon")))


def _read_pt(path: Path) -> tuple[dict[str, Tensor], Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch about others' old formats
        content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        return {}, None
    return content, content.pop("metadata", None)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get(_KEY, "null"))
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _read_npz(path: Path) -> tuple[dict[str, Tensor], Any]:
    with np.load(path, allow_pickle=False) as file:
        metadata = json.loads(str(file["metadata"])) if "metadata" in file else None
        return {name: torch.from_numpy(file[name]) for name in file if name != "metadata"}, metadata


_READERS = {".pt": _read_pt, ".safetensors": _read_safetensors, ".npz": _read_npz}
