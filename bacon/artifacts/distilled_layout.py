"""Where the parts of a synthetic set lie in a file of a distillation's result; read by figures and tables without PyTorch.

Layout of version 2 (HDF5). At the root ``images`` and ``labels`` (the class index), with ``soft_labels`` and ``rates`` where
the set has them; the attributes ``partition``, ``codec``, ``soft_labels_kind`` and ``learned_rates`` (their number) say how
they are to be read. Snapshots have the same parts: ``snapshots/{iteration}`` images, ``snapshot_labels/{iteration}``,
``snapshot_soft_labels/{iteration}`` and ``snapshot_rates/{iteration}``. A part that is equal to the final one is a hard link to
it and takes no room.
"""

from __future__ import annotations

import h5py
import numpy as np
import numpy.typing as npt

from bacon.runtime.errors import BaconError

FORMAT = "bacon-distilled"
VERSION = 2
HDF5_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)
"""What h5py raises at a damaged file, by the structure that it meets; the last two where a data set is something else now."""
# Field of the synthetic set -> data set in the file, and group of the snapshots'.
_PARTS = {
    "images": ("images", "snapshots"),
    "classes": ("labels", "snapshot_labels"),
    "soft": ("soft_labels", "snapshot_soft_labels"),
    "rates": ("rates", "snapshot_rates"),
}


def data_set(part: str, iteration: int | None = None) -> str:
    """Name in the file of a part (``images``, ``classes``, ``soft``, ``rates``), the final one or a snapshot's."""
    final, group = _PARTS[part]
    return final if iteration is None else f"{group}/{iteration}"


def snapshot_iterations(file: h5py.File) -> list[int]:
    """Iterations of the snapshots in an open file, ascending."""
    return sorted(int(name) for name in file.get(_PARTS["images"][1], ()))


def read_classes(file: h5py.File, iteration: int | None = None) -> npt.NDArray[np.int64]:
    """(M,) int64, the class of each stored image, of the final set or of a snapshot.

    Raises:
        KeyError: it is missing.
        BaconError: it holds something else, such as soft labels, which no cast makes a class index of.
    """
    name = data_set("classes", iteration)
    values = file[name][()]
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise BaconError(
            f"{file.filename}: {name} is {values.dtype} {values.shape}; the class index of images is (M,), whole numbers. "
            "Delete the file and run snakemake again"
        )
    return np.asarray(values, np.int64)


def soft_label_words(file: h5py.File, rows: npt.NDArray[np.int64] | slice) -> str:
    """Note on images that are shown by class but carry soft labels; empty where they carry none.

    Args:
        file: an open file.
        rows: of the final images that are shown, increasing.
    """
    kind = file.attrs.get("soft_labels_kind")
    if kind is None:
        return ""
    classes, soft = read_classes(file)[rows], file[data_set("soft")][rows]
    agreeing = int((soft.argmax(axis=1) == classes).sum())
    return (
        f"Shown by class; each image also has a soft label ({kind}), which is largest for that class in {agreeing} of "
        f"{len(classes)} images."
    )
