"""Whether an exported set is what its card says, without training a network."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from scipy import stats

from bacon.datasets.checksums import file_digest
from bacon.interchange.arrays import SUFFIXES, read_metadata
from bacon.interchange.card_seal import FILES, SEAL, seal_of
from bacon.interchange.content import VERSION, Export, check_metadata
from bacon.interchange.folders import METADATA, is_own_folder
from bacon.interchange.stated_card import StatedAccuracy, StatedCard, first_error
from bacon.reporting.collect.statistics import CONFIDENCE
from bacon.runtime.errors import BaconError

# Means of fractions, and their intervals, computed twice differ by rounding alone.
_ROUNDING = 1e-9


class NoCardError(BaconError):
    """A set has no card that says how to verify it."""


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """One thing that is not as a card says.

    Attributes:
        file: where it was found.
        found: what was found.
        expected: what the card says, or what a card must be.
    """

    file: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}: found {self.found}; expected {self.expected}"


def card_file(path: Path) -> Path:
    """The file that holds a set's card."""
    return path / METADATA if path.is_dir() else path


def exported_sets(path: Path) -> list[Path]:
    """The exported sets at ``path``: itself, or the folders and files of tensors that are directly in it, by name.

    A folder without a card beside others with one is listed too, so that a card that is gone is noticed.

    Raises:
        BaconError: there is none.
    """
    if path.is_file() or is_own_folder(path):
        return [path]
    visible = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    sets = [entry for entry in visible if entry.is_dir() or entry.suffix in SUFFIXES.values()]
    if not any(entry.is_file() or is_own_folder(entry) for entry in sets):
        raise BaconError(
            f"{path}: no exported set: it has neither {METADATA}, nor folders with one, nor files "
            f"{', '.join(SUFFIXES.values())}; `bacon export` writes them"
        )
    return sets


def read_card(path: Path) -> dict[str, Any]:
    """The card of the exported set at ``path``.

    Raises:
        NoCardError: it has none, or that of an older or a newer version.
        BaconError: the file that holds it is damaged.
    """
    if path.is_dir() and not is_own_folder(path):
        raise NoCardError(f"{path / METADATA}: the card is missing; export the set again with `bacon export`")
    if path.is_file() and path.suffix not in SUFFIXES.values():
        raise NoCardError(f"{path}: not a file that `bacon export` writes ({', '.join(SUFFIXES.values())})")
    found = _read_json(path / METADATA) if path.is_dir() else read_metadata(path)
    try:
        card = check_metadata(card_file(path), found)
    except BaconError as error:
        raise NoCardError(str(error)) from None
    if card["version"] < VERSION:
        raise NoCardError(
            f"{card_file(path)}: a card of version {card['version']}, which has no checksums of files and no settings to train "
            f"networks with; version {VERSION} has: export the set again with `bacon export`"
        )
    return card


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BaconError(f"{path}: not readable as JSON ({error})") from None


def changed_files(path: Path, card: Mapping[str, Any]) -> list[Mismatch]:
    """What the checksums find: a card that was edited, and files that are missing or changed."""
    found = [] if seal_of(card) == card.get(SEAL) else [_edited(path, card)]
    if path.is_dir() and isinstance(card.get(FILES), dict):
        found += _changed_beside(path, card[FILES])
    return found


def _edited(path: Path, card: Mapping[str, Any]) -> Mismatch:
    stated = f"{card[SEAL]}, as it states: it was edited" if SEAL in card else f"one that states its own ({SEAL})"
    return _of_card(path, f"a card with the sha256 {seal_of(card)}", stated)


def _of_card(path: Path, found: str, expected: str) -> Mismatch:
    return Mismatch(file=str(card_file(path)), found=found, expected=expected)


def _changed_beside(folder: Path, checksums: Mapping[str, str]) -> Iterator[Mismatch]:
    for name, expected in checksums.items():
        file = folder / name
        if not file.is_file():
            yield Mismatch(file=str(file), found="no file", expected=f"one with the sha256 {expected}")
        elif (found := file_digest(file)) != expected:
            yield Mismatch(file=str(file), found=f"the sha256 {found}", expected=str(expected))


def stated_card(path: Path, card: Mapping[str, Any]) -> StatedCard:
    """The card, typed.

    Raises:
        BaconError: a value is missing or impossible.
    """
    try:
        stated = StatedCard.model_validate(card)
    except ValidationError as error:
        raise BaconError(f"{card_file(path)}: {first_error(error)}") from None
    if path.is_dir() and stated.files is None:
        raise BaconError(f"{card_file(path)}: {FILES}: no checksums of files")
    return stated


def contradictions(path: Path, stated: StatedCard, export: Export) -> list[Mismatch]:
    """What the card states that the set in the file, or the card itself, contradicts."""
    found = [*_of_images(stated, export), *(pair for one in stated.evaluations for pair in _of_accuracy(one))]
    return [_of_card(path, *pair) for pair in found]


def additional(folder: Path, stated: StatedCard) -> Iterator[Mismatch]:
    """Files in class folders that the card does not list: readers take them for images of the set."""
    for name in stated.folders:
        for file in sorted((folder / stated.images / name).glob("*")):
            if file.relative_to(folder).as_posix() not in (stated.files or {}):
                yield Mismatch(file=str(file), found="a file that the card does not list", expected="none")


def _of_images(stated: StatedCard, export: Export) -> list[tuple[str, str]]:
    """Shape, number, classes and IPC, as (found, expected)."""
    synthetic, classes = export.synthetic, len(stated.class_names)
    shape, count = list(synthetic.images.shape[1:]), len(synthetic)
    found = []
    if shape != stated.shape:
        found.append((f"images of shape {shape} (C, H, W)", f"{stated.shape}, as the card states"))
    if count != stated.count:
        found.append((f"{count} images", f"{stated.count}, as the card states"))
    low, high = int(synthetic.classes.min()), int(synthetic.classes.max())
    if low < 0 or high >= classes:
        return [*found, (f"labels from {low} to {high}", f"0 to {classes - 1}: the card names {classes} classes")]
    per_class = sorted(set(synthetic.classes.bincount(minlength=classes).tolist()))
    if len(per_class) > 1 or per_class[0] % stated.ipc or not per_class[0]:
        many = " to ".join(str(number) for number in dict.fromkeys((per_class[0], per_class[-1])))
        found.append((f"{many} images of a class", f"as many of each, a multiple of the card's IPC, {stated.ipc}"))
    return found


def _of_accuracy(one: StatedAccuracy) -> Iterator[tuple[str, str]]:
    """What of a stated accuracy contradicts the rest of it, as (found, expected)."""
    seeds = one.settings.evaluation.get("seeds")
    if one.n != seeds:
        yield f"{one.network}: n {one.n}", f"{seeds}, the seeds of its protocol"
    if one.sd is None or one.interval is None:
        return
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, one.n - 1)) * one.sd / math.sqrt(one.n)
    expected = [max(0.0, one.mean - half), min(1.0, one.mean + half)]
    if any(abs(a - b) > _ROUNDING for a, b in zip(one.interval, expected, strict=True)):
        yield f"{one.network}: the interval {one.interval}", f"{expected}, which follows from mean, sd and n"
