"""What `bacon init` does with the path that it is given: find the data, name them, look at them, try to read them."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bacon.datasets.file_kinds import file_kind
from bacon.datasets.image_files import image_files
from bacon.datasets.inspect_source import inspect_source
from bacon.datasets.registry import REGISTRY
from bacon.datasets.source_summary import SourceSummary
from bacon.datasets.trial_reading import seconds_per_image, try_reading
from bacon.operations.configuration_text import readable
from bacon.operations.first_configuration import OwnImages
from bacon.operations.own_images import own_images
from bacon.runtime.errors import BaconError
from bacon.settings.data import DataSettings, usable_path
from bacon.settings.names import check_name_rule, suggested_name

_TRIAL_SECONDS = 10.0
_TRIAL_BYTES = 1_000_000_000
_TRIAL_SIDE = 64


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """Own data that can be used.

    Attributes:
        name: of the data set.
        summary: what was found.
        own: what the configuration depends on.
        warnings: what reading every image found; ``None``: it would have taken long, so a part of them was looked at.
    """

    name: str
    summary: SourceSummary
    own: OwnImages
    warnings: tuple[str, ...] | None


def existing(path: Path) -> Path:
    """The path with a home folder spelt out; raises :class:`BaconError` unless data and results can lie side by side."""
    text = str(path)
    if re.match(r"\w{2,}:/", text):
        raise BaconError(f"{text}: is an address; download and unpack it, then run bacon init with the folder")
    path = path.expanduser()
    if not path.exists() and path.is_symlink():
        raise BaconError(f"{path}: a link to {path.readlink()}, which does not exist")
    if not path.exists():
        raise BaconError(f"{path}: does not exist (looked in {Path.cwd()}){''.join(_hints(path))}")
    if Path.cwd().is_relative_to(path.resolve()):
        raise BaconError(
            f"{path}: is the working directory or holds it, so that results would be written among the data. "
            f"Change to another folder, such as {path.resolve().parent}, and run bacon init {path.resolve().name} there"
        )
    return path


def _hints(path: Path) -> Iterator[str]:
    if str(path) in REGISTRY:
        yield f"; {path} is a data set that the workflow downloads itself: name it in grid.datasets"
    if path.parent.is_dir():
        names = [entry.name for entry in path.parent.iterdir()]
        near = difflib.get_close_matches(path.name, names, n=1)
        yield from (f"; did you mean {path.parent / name}?" for name in near)


def title_of(path: Path) -> str:
    """What people call the data: the name of the folder, or of the file without its suffix."""
    whole = path.resolve()
    return whole.name if whole.is_dir() else whole.stem


def data_set_name(path: Path, given: str | None) -> str:
    """The name of the data set: the given one, or one made from the path.

    Raises:
        BaconError: the given name is not allowed, or a registered data set has it.
    """
    if given is None:
        name = suggested_name(title_of(path)).lower()
        return f"my-{name}" if name in REGISTRY else name
    check_name_rule("--name", given)
    if given.lower() in REGISTRY:
        raise BaconError(f"--name = {given!r}: a data set of the registry has this name; give your own another one")
    return given


def look(path: Path, name: str) -> OwnData:
    """Look at the data, and read all of them where that takes seconds.

    Raises:
        BaconError: they cannot be used as they are; the message says what to do.
    """
    _check_path_can_be_written(path)
    summary = _usable(inspect_source(path, key=f"data.{name}"), name)
    own = own_images(summary, path=str(path), title=readable(title_of(path)), unreadable=_estimated_unreadable(summary))
    own = replace(own, read_seconds=seconds_per_image(image_files(path))) if path.is_dir() else own
    if not _is_quick(own, path):
        return OwnData(name=name, summary=summary, own=own, warnings=None)
    dataset = try_reading(name, _trial_settings(own))
    unreadable = sum(own.train) + sum(own.test or ()) - len(dataset.train_images) - len(dataset.test_images)
    return OwnData(name=name, summary=summary, own=replace(own, unreadable=unreadable), warnings=dataset.warnings)


_FILES = {
    "archive": "unpack it, and give bacon init the folder of class folders that was in it",
    "image": "give bacon init the folder that holds one folder of images per class",
    "table": (
        "images are not read from tables. Sort the image files that it names into one folder per class, and give bacon init "
        "the folder of these; or save images and labels with numpy.savez as x_train and y_train, and give it that file"
    ),
    "array": "save images and labels with numpy.savez as x_train and y_train, and give bacon init that file",
}


def _usable(summary: SourceSummary, name: str) -> SourceSummary:
    """The summary; what is no data set is an error in words of this command rather than of a configuration's keys."""
    if summary.format is None and summary.path.is_file():
        kind, words = file_kind(summary.path)
        advice = _FILES.get(kind, _FILES["array"] if kind in ("npy", "parquet", "pickle", "matlab", "hdf5") else "")
        wanted = advice or "bacon init takes a folder of class folders, an .npz, or an .h5 that this workflow prepared"
        raise BaconError(f"{summary.path}: {words}; {wanted}")
    if summary.problems:
        again = (
            ". Then run bacon init with that path"
            if any(f"data.{name}.path" in each for each in summary.problems)
            else ""
        )
        raise BaconError("\n".join(summary.problems) + again)
    return summary


def _check_path_can_be_written(path: Path) -> None:
    """Refuse names that a configuration cannot hold."""
    try:
        usable_path(str(path).encode().decode())
    except ValueError:  # names that are not UTF-8, too, are an error of this kind
        raise BaconError(
            f"{str(path)!a}: the name holds characters that cannot be printed; rename the folder or file"
        ) from None


def _estimated_unreadable(summary: SourceSummary) -> int:
    """Unreadable files in all, from their share of those looked at; of arrays, none."""
    looked_at = summary.probed + summary.unreadable
    return math.ceil(summary.unreadable * summary.images / looked_at) if summary.unreadable else 0


def _is_quick(own: OwnImages, path: Path) -> bool:
    if path.is_dir():
        return own.read_seconds * (sum(own.train) + sum(own.test or ())) <= _TRIAL_SECONDS
    return path.stat().st_size <= _TRIAL_BYTES


def _trial_settings(own: OwnImages) -> DataSettings:
    """Settings with which all that can be read is read."""
    images = sum(own.train) + sum(own.test or ())
    keys = {"format": own.format, "path": own.path, "size": _TRIAL_SIDE, "value_range": own.value_range}
    limit = {"corrupt_limit": images} if own.format == "imagefolder" else {}
    return DataSettings.model_validate({key: value for key, value in (keys | limit).items() if value is not None})
