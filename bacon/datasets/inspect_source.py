"""What a folder or file of the user's own data is, before it is read: for `bacon init`, in seconds and without torch.

Names and headers are read, not pixels: of many image files a sample, evenly spaced over the classes; of arrays their headers,
their labels, and the values of the first images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bacon.datasets.decoding import (
    ImageFacts,
    UnreadableImageError,
    probe,
    read_image,
    value_extremes,
)
from bacon.datasets.deep_pixels import likely_range
from bacon.datasets.file_kinds import advice_for, file_kind
from bacon.datasets.folder_layout import FolderLayout, find_layout
from bacon.datasets.inspect_arrays import inspect_hdf5, inspect_npz
from bacon.datasets.source_summary import SourceSummary, with_class_problems
from bacon.runtime.errors import BaconError

_PROBED = 2000
_DEEP = 50
_DECODED = 20


def inspect_source(path: Path | str, *, key: str = "data.NAME") -> SourceSummary:
    """Look at a folder or file of the user's own data.

    Args:
        path: a folder, or a file of any kind.
        key: what the data set's settings are called in advice, such as ``data.pictures``.

    Returns:
        What was found; whatever is wrong with it is in ``problems``.

    Raises:
        BaconError: the path does not exist or cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise BaconError(f"{path}: does not exist (looked in {Path.cwd()})")
    try:
        kind, words = file_kind(path)
        if kind == "folder":
            return _folder(path, key)
        if kind == "npz":
            return inspect_npz(path, words, key)
        if kind == "hdf5":
            return inspect_hdf5(path, words)
    except OSError as error:
        raise BaconError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from None
    return SourceSummary(path=path, kind=words, problems=(f"{path}: is {words}; {advice_for(kind, key)}",))


def _folder(path: Path, key: str) -> SourceSummary:
    try:
        layout = find_layout(path, key)
    except BaconError as error:
        return SourceSummary(path=path, kind="a folder", problems=(str(error),))
    summary = SourceSummary(
        path=path,
        kind="a folder of class folders",
        format="imagefolder",
        layout=layout.layout,
        classes=layout.classes,
        train_counts=tuple(map(len, layout.train)),
        test_counts=None if layout.test is None else tuple(map(len, layout.test)),
        skipped=layout.skipped,
        warnings=layout.warnings,
    )
    return with_class_problems(_with_value_range(_probed(summary, layout), layout, key))


def _probed(summary: SourceSummary, layout: FolderLayout) -> SourceSummary:
    """The summary with what the headers of the images say, or of a sample of them."""
    files = [file for per_class in (*layout.train, *(layout.test or ())) for file in per_class]
    chosen = files[:: math.ceil(len(files) / _PROBED)]
    found: dict[Path, ImageFacts] = {}
    unreadable: list[str] = []
    for file in chosen:
        try:
            found[file] = probe(file)
        except UnreadableImageError as error:
            unreadable.append(f"{file.relative_to(summary.path)}: {error}")
    named = (_unreadable(unreadable, len(chosen)),) if unreadable else ()
    facts = list(found.values())
    return replace(
        summary,
        sizes=dict(Counter(fact.size for fact in facts)),
        modes=dict(Counter(fact.mode for fact in facts)),
        channels=None if not facts else 1 if all(fact.grey for fact in facts) else 3,
        values=_deep_values([file for file, fact in found.items() if fact.bits > 8][:_DEEP]),
        probed=len(facts),
        unreadable=len(unreadable),
        problems=() if facts else named,  # a run can leave some of them out
        warnings=summary.warnings + (named if facts else ()) + _fact_warnings(facts),
    )


def _unreadable(found: Sequence[str], probed: int) -> str:
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return (
        f"{len(found)} of {probed} files looked at cannot be read as images: {'; '.join(found[:5])}{more}. Repair them, move "
        "them out of the folder, or set corrupt_limit to at least their number"
    )


def _with_value_range(summary: SourceSummary, layout: FolderLayout, key: str) -> SourceSummary:
    """The summary with the range that ``value_range`` must state: of 32-bit images, and of masks of 0 and 1."""
    if summary.values is not None:
        low, high = summary.values
        wide = {"I", "F"}.intersection(summary.modes)
        needed = likely_range(low, high) if wide or high == 1 else None
        odd = f"the range of images of more than 8 bits is not known; they hold values from {low:g} to {high:g}"
    else:
        needed = (0.0, 1.0) if _are_masks([files[0] for files in layout.train if files][:_DECODED]) else None
        odd = "the images hold only the values 0 and 1"
    if needed is None:
        return summary
    stated = f"{odd}: {key}.value_range must say what is black and white"
    return replace(summary, value_range=needed, warnings=(*summary.warnings, stated))


def _are_masks(files: Sequence[Path]) -> bool:
    """Whether no pixel of some images is brighter than 1 of 255, and one is."""
    brightest = 0
    for file in files:
        try:
            brightest = max(brightest, int(read_image(file, channels=1, size=None).max()))
        except UnreadableImageError:
            continue
    return brightest == 1


def _deep_values(files: Sequence[Path]) -> tuple[float, float] | None:
    extremes = []
    for file in files:
        try:
            extremes.append(value_extremes(file))
        except UnreadableImageError:
            continue  # counted already, or only its pixels are damaged, which reading it says
    return (min(low for low, _ in extremes), max(high for _, high in extremes)) if extremes else None


def _fact_warnings(facts: Sequence[ImageFacts]) -> tuple[str, ...]:
    count = len(facts)
    grey, transparent = sum(fact.grey for fact in facts), sum(fact.transparent for fact in facts)
    deep, animated = sum(fact.bits > 8 for fact in facts), sum(fact.animated for fact in facts)
    found = []
    if 0 < grey < count:
        found.append(f"{grey} of {count} images are grey, the others have colour")
    if transparent:
        found.append(f"{transparent} of {count} images have transparency; they are laid on a background")
    if deep:
        found.append(f"{deep} of {count} images have more than 8 bits per channel")
    if animated:
        found.append(f"{animated} of {count} images have several frames; the first is read")
    return tuple(found)
