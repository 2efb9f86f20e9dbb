"""The data sets of a folder: prepared files as they are, raw files prepared once.

A folder may hold, for a data set called NAME: ``NAME.h5``, prepared by this project, and ``NAME-zca.h5``, its whitened form;
``NAME.npz``, its images and labels (docs/data.md); or the official files, in ``NAME/``, ``NAME-raw/`` or the folder itself. The
digits need nothing. A form that is not there is made of what is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bacon.datasets.checksums import find_verified
from bacon.datasets.prepare import prepare
from bacon.datasets.source import registered
from bacon.datasets.store import check_fingerprint, open_store
from bacon.plan.plan import Plan
from bacon.runtime.errors import BaconError
from bacon.settings.cells import WHITENED, Cell


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a data set lies in the folder.

    Attributes:
        settings: keys of ``data.NAME`` that read it.
        prepared: the file that this project has prepared; ``None``: there are raw files.
        folder: of the official files.
    """

    settings: dict[str, Any]
    prepared: Path | None = None
    folder: Path = Path()


def found_source(name: str, data: Path, *, zca: bool = False) -> Source:
    """What ``data`` holds of the data set ``name``: a prepared file before an archive of arrays before the official files.

    Args:
        name: of the data set.
        data: the folder.
        zca: whether images have to be whitened; a prepared file of the other form is read as raw images.

    Raises:
        BaconError: the data set is not known, or nothing of it is there.
    """
    info = registered(name)
    prepared = [path for path in (data / f"{name}.h5", data / f"{name}-{WHITENED}.h5") if path.is_file()]
    for path in prepared:
        if _is_whitened(path, name) == zca:
            return Source(settings={}, prepared=path)
    if prepared:
        return Source(settings={"format": "hdf5", "path": str(prepared[0].resolve())})
    if (arrays := data / f"{name}.npz").is_file():
        return Source(settings={"format": "npz", "path": str(arrays.resolve())})
    folders = (data / name, data / f"{name}-raw", data)
    for folder in folders:
        if all(find_verified(folder, source)[0] is not None for source in info.sources):
            return Source(settings={}, folder=folder)
    files = ", ".join(source.file for source in info.sources)
    raise BaconError(
        f"--data {data}: holds no {info.title}. Looked for {name}.h5 (prepared), {name}.npz (arrays), and the official, whole "
        f"files ({files}) in {', '.join(map(str, folders))}"
    )


def prepared_file(cell: Cell, source: Source, plan: Plan) -> Path:
    """The prepared data set: the one in the folder, or one made of the raw files under the plan's directory.

    Args:
        cell: whose data set it is.
        source: where it lies.
        plan: of the cell; its settings say how raw files are prepared.

    Raises:
        BaconError: raw files are not what they should be, or a prepared file is damaged.
    """
    if source.prepared is not None:
        return source.prepared
    suffix = f"-{WHITENED}" if plan.is_whitened(cell) else ""
    path = plan.directory / "results" / "data" / f"{cell.dataset}{suffix}.h5"
    fingerprint = plan.cell_data_fingerprint(cell)
    if not _is_current(path, fingerprint):
        settings = plan.prepared(cell).settings
        prepare(cell.dataset, settings, download_dir=source.folder, output=path, fingerprint=fingerprint)
    return path


def fingerprint_in(path: Path) -> str:
    """The fingerprint that a prepared data set carries; raises :class:`BaconError` where it is no such file."""
    with open_store(path) as file:
        return str(file.attrs["fingerprint"])


def _is_whitened(path: Path, name: str) -> bool:
    with open_store(path) as file:
        whitened, found = "whitening" in file, str(file.attrs["name"])
    if found != name:
        raise BaconError(f"{path}: holds the data set {found!r}, not {name!r}; name the file after its data set")
    return whitened


def _is_current(path: Path, fingerprint: str) -> bool:
    if not path.is_file():
        return False
    try:
        with open_store(path) as file:
            check_fingerprint(file, path, fingerprint)
    except BaconError:
        return False
    return True
