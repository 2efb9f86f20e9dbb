"""Own data in this project's own HDF5 layout (see ``bacon.datasets.store``); splits made by its writer are kept."""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np

from bacon.datasets.file_kinds import advice_for, file_kind
from bacon.datasets.raw import RawDataset, ReadRequest
from bacon.datasets.store import FORMAT, open_store, read_array
from bacon.runtime.errors import BaconError

# Own data may be all that there is of it, so nothing here tells anybody to delete it.
_ADVICE = "Prepare it again with the workflow that wrote it, or use an undamaged copy"


def read(request: ReadRequest) -> RawDataset:
    """Training and test images of a store; a validation split in it is returned to the training images.

    The file's own normalisation and whitening are not used: the settings say, or they are measured.

    Raises:
        BaconError: the file is not a store of this version, or is damaged.
    """
    _check_kind(request)
    with open_store(request.path, advice=_ADVICE) as file:
        arrays: dict[str, Any] = {}
        for split in ("train", "test"):
            parts = [split, "validation"] if split == "train" and "validation" in file else [split]
            for what, dtype in (("images", np.uint8), ("labels", np.int64)):
                found = [read_array(file, f"{part}/{what}", dtype) for part in parts]
                arrays[f"{split}_{what}"] = found[0] if len(found) == 1 else np.concatenate(found)
        return RawDataset(**arrays, class_names=tuple(json.loads(str(file.attrs["class_names"]))))


def _check_kind(request: ReadRequest) -> None:
    """Whether the file is HDF5 and, if it is whole, one of ours; what else it is decides what to do."""
    path = request.path
    try:
        kind, words = file_kind(path)
    except OSError as error:
        raise BaconError(f"{path}: cannot be read: {error.strerror or error}") from None
    if kind != "hdf5":
        raise BaconError(f"{path}: not an HDF5 file, but {words}: {advice_for(kind, request.key)}")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") == FORMAT:
                return
            held = ", ".join(file) or "nothing"
    except (OSError, RuntimeError, KeyError, ValueError):
        return  # opening it as a store says what is damaged
    raise BaconError(
        f"{path}: an HDF5 file, but not a prepared data set of this project; it holds {held}. Read its arrays with "
        f"h5py, save them "
        f"with numpy.savez as x_train, y_train, x_test and y_test, and set {request.key}.format to npz"
    )
