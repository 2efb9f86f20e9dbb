"""Own data in this project's own HDF5 layout (see ``bacon.datasets.store``); splits made by its writer are kept."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from bacon.datasets.raw import RawDataset, ReadRequest
from bacon.datasets.store import open_store, read_array

# Own data may be all that there is of it, so nothing here tells anybody to delete it.
_ADVICE = "Prepare it again with the workflow that wrote it, or use an undamaged copy"


def read(request: ReadRequest) -> RawDataset:
    """Training and test images of a store; a validation split in it is returned to the training images.

    The file's own normalisation and whitening are not used: the settings say, or they are measured.

    Raises:
        BaconError: the file is not a store of this version, or is damaged.
    """
    with open_store(request.path, advice=_ADVICE) as file:
        arrays: dict[str, Any] = {}
        for split in ("train", "test"):
            parts = [split, "validation"] if split == "train" and "validation" in file else [split]
            for what, dtype in (("images", np.uint8), ("labels", np.int64)):
                found = [read_array(file, f"{part}/{what}", dtype) for part in parts]
                arrays[f"{split}_{what}"] = found[0] if len(found) == 1 else np.concatenate(found)
        return RawDataset(**arrays, class_names=tuple(json.loads(str(file.attrs["class_names"]))))
