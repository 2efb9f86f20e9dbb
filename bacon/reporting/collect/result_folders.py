"""Folders of results, of other versions or people, read for a leaderboard: their tables, and evaluations of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bacon.reporting.collect.distilled_files import STORAGE
from bacon.reporting.collect.evaluations import read_accuracy
from bacon.reporting.collect.file_evaluations import read_file_evaluations
from bacon.reporting.collect.protocol_text import FULL
from bacon.runtime.errors import BaconError

CELL = ["dataset", "method", "ipc", "seed", "network", "protocol_name"]
"""What one cell's evaluation is called in a folder."""
NEEDED = (
    "dataset", "dataset_title", "method", "method_title", "ipc", "seed", "network", "network_text", "final", "evaluation_seed",
    "test_accuracy_percent", "protocol_name", "protocol", "protocol_digest", "label_kind", "data_fingerprint",
    "teacher_bytes", "fingerprint", "commit", "version",
)  # fmt: skip
"""Columns of ``accuracy.csv`` that a leaderboard is made from."""
_COST = ("dataset", "method", "ipc", "wall_seconds_mean", *STORAGE)
_AGAIN = "run `snakemake` there with this version"


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What the folders hold.

    Attributes:
        networks: one row per trained network of the final images: the columns ``NEEDED``, and source (the folder as it was
            given), root (where its cells lie), seconds (of distillation; missing where unknown), stored_bytes (missing for full
            data sets), path (of the evaluation file of a set from a file; else empty).
        remarks: what was counted once or left out, in sentences.
    """

    networks: pd.DataFrame
    remarks: tuple[str, ...]


def collect_folders(folders: Sequence[Path]) -> Collected:
    """Read result folders; a cell that two of them hold with the same fingerprint is counted in the first alone.

    Args:
        folders: each a folder of results (``results``, or the one it lies in), or one of files that
            ``bacon evaluate --output`` wrote, or both.

    Raises:
        BaconError: a folder has neither, is given twice, or a table of it is damaged or of an older version.
    """
    _check_once(folders)
    remarks: list[str] = []
    frames = [frame for folder in folders for frame in _read(folder, remarks)]
    networks = pd.concat(frames, ignore_index=True)
    return Collected(networks=_once(networks, remarks), remarks=tuple(remarks))


def _check_once(folders: Sequence[Path]) -> None:
    roots: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise BaconError(f"{folder}: no such folder; give folders of results, such as results")
        root = _root(folder).resolve()
        if root in roots:
            raise BaconError(f"{folder}: is the same folder of results as {roots[root]}; give each once")
        roots[root] = folder


def _root(folder: Path) -> Path:
    """The folder that holds ``tables``, where the given one or ``results`` in it does."""
    inside = folder / "results"
    return inside if not (folder / "tables").is_dir() and (inside / "tables").is_dir() else folder


def _read(folder: Path, remarks: list[str]) -> list[pd.DataFrame]:
    root = _root(folder)
    outside = read_file_evaluations(list(dict.fromkeys((folder, root))), remarks)
    frames = [outside] if outside is not None else []
    if (root / "tables").is_dir():
        frames.insert(0, _read_tables(root / "tables").assign(path=""))
    if not frames:
        raise BaconError(
            f"{folder}: holds neither tables/accuracy.csv (also not in results) nor a file that `bacon evaluate --output` "
            "wrote; give a folder of finished results"
        )
    return [frame.assign(source=str(folder), root=str(root)) for frame in frames]


def _read_tables(tables: Path) -> pd.DataFrame:
    path = tables / "accuracy.csv"
    try:
        accuracy = read_accuracy(path)
    except (ValueError, OSError) as error:  # pandas' errors of parsing and of decoding are ValueErrors
        raise BaconError(f"{path}: not a readable table ({error}); {_AGAIN}") from error
    _check_columns(path, accuracy, NEEDED)
    _check_values(path, accuracy)
    final = accuracy.loc[accuracy["final"], list(NEEDED)]
    return _with_cost(final, tables / "cost.csv")


def _check_columns(path: Path, table: pd.DataFrame, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise BaconError(f"{path}: no column {', '.join(missing)}; an older version wrote this table: {_AGAIN}")


def _check_values(path: Path, accuracy: pd.DataFrame) -> None:
    """Every row says which cell it is of, and has an accuracy; seeds and IPCs are missing only for full data sets."""
    if accuracy.empty:
        raise BaconError(f"{path}: has no rows; {_AGAIN}")
    if accuracy["final"].dtype != bool:
        raise BaconError(f"{path}: column final must hold True and False alone; {_AGAIN}")
    percent = accuracy["test_accuracy_percent"]
    if not pd.api.types.is_numeric_dtype(percent) or not percent.between(0, 100).all():
        raise BaconError(f"{path}: column test_accuracy_percent must hold numbers from 0 to 100; {_AGAIN}")
    may_miss = {"ipc", "seed", "version", "data_fingerprint"}
    gaps = [name for name in NEEDED if name not in may_miss and accuracy[name].isna().any()]
    distilled = accuracy[accuracy["method"] != FULL]
    gaps += [name for name in ("ipc", "seed") if distilled[name].isna().any()]
    if gaps:
        raise BaconError(f"{path}: rows without {', '.join(gaps)}; {_AGAIN}")


def _with_cost(networks: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The rows with ``seconds`` and ``stored_bytes`` from the table of costs beside them."""
    if not path.is_file():
        raise BaconError(f"{path}: the table does not exist; {_AGAIN}")
    try:
        cost = pd.read_csv(path, dtype={"ipc": "Int64"}, keep_default_na=False, na_values=[""])
        _check_columns(path, cost, _COST)
        stored = cost[list(STORAGE)].astype("float64").sum(axis=1)
        cost = cost.assign(stored_bytes=stored, seconds=cost["wall_seconds_mean"].astype("float64"))
    except (ValueError, OSError) as error:
        raise BaconError(f"{path}: not a readable table ({error}); {_AGAIN}") from error
    keys = ["dataset", "method", "ipc"]
    if cost.duplicated(keys).any():
        raise BaconError(f"{path}: a method has two rows at one IPC; {_AGAIN}")
    joined = networks.merge(cost[[*keys, "seconds", "stored_bytes"]], on=keys, how="left", validate="many_to_one")
    lacking = joined[(joined["method"] != FULL) & joined["stored_bytes"].isna()]
    if not lacking.empty:
        row = lacking.iloc[0]
        raise BaconError(
            f"{path}: has no row for {row['dataset']}/{row['method']}/ipc{row['ipc']}, which accuracy.csv has; {_AGAIN}"
        )
    return joined


def _once(networks: pd.DataFrame, remarks: list[str]) -> pd.DataFrame:
    """Without rows of cells that an earlier folder holds with the same fingerprint, which is said for each pair of folders."""
    # Seeds of sets from files are numbered within a folder, and their fingerprints hold the content.
    numbered = networks.assign(seed=networks["seed"].where(networks["path"] == "", -1))
    keys = [*CELL, "fingerprint"]
    first = numbered.groupby(keys, dropna=False, sort=False)["source"].transform("first")
    again = numbered[numbered["source"] != first]
    for (source, other), rows in again.groupby(["source", first.loc[again.index].rename("other")], sort=False):
        count = len(rows.drop_duplicates(keys))
        cells = f"{count} evaluated cell{'s' if count > 1 else ''}"
        remarks.append(
            f"{source}: {cells} also in {other} with the same fingerprint, counted once, there: {_names(rows)}."
        )
    return networks[networks["source"] == first].reset_index(drop=True)


def _names(rows: pd.DataFrame) -> str:
    """The first of them by name."""
    names = [
        "/".join(str(value) for value in each if not pd.isna(value))
        for each in rows[["dataset", "method", "ipc", "seed"]].drop_duplicates().itertuples(index=False)
    ]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
