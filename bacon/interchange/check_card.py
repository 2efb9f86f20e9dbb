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

from bacon.interchange.arrays import SUFFIXES, read_metadata
from bacon.interchange.card_seal import FILES, SEAL, file_sha256, seal_of
from bacon.interchange.content import VERSION, Export, check_metadata
from bacon.interchange.folders import METADATA, is_own_folder
from bacon.reporting.collect.statistics import CONFIDENCE
from bacon.runtime.errors import BaconError
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings

_KEYS = ("dataset", "method", "ipc", "seed", "form", "partition", "class_names", "count", "shape", "evaluations", SEAL)
_OF_AN_EVALUATION = ("network", "network_text", "protocol", "mean", "sd", "n", "interval", "settings")
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
    """What the checksums find: files that are missing or changed, images that are too many, and a card that was edited."""
    found = [] if seal_of(card) == card.get(SEAL) else [_edited(path, card)]
    missing = [name for name in _KEYS if name not in card]
    if missing:
        found.append(_of_card(path, f"a card without {', '.join(missing)}", "each of them"))
    elif path.is_dir():
        found += [*_changed_beside(path, card), *_additional(path, card)]
    return found


def _edited(path: Path, card: Mapping[str, Any]) -> Mismatch:
    return _of_card(
        path,
        f"a card with the sha256 {seal_of(card)}",
        f"{card.get(SEAL, 'one')}, which it states of itself: it was edited",
    )


def _of_card(path: Path, found: str, expected: str) -> Mismatch:
    return Mismatch(file=str(card_file(path)), found=found, expected=expected)


def _changed_beside(folder: Path, card: Mapping[str, Any]) -> Iterator[Mismatch]:
    for name, expected in card.get(FILES, {}).items():
        file = folder / name
        if not file.is_file():
            yield Mismatch(file=str(file), found="no file", expected=f"one with the sha256 {expected}")
        elif (found := file_sha256(file)) != expected:
            yield Mismatch(file=str(file), found=f"the sha256 {found}", expected=str(expected))


def _additional(folder: Path, card: Mapping[str, Any]) -> Iterator[Mismatch]:
    """Files in class folders that the card does not know: readers would take them for images of the set."""
    for name in card.get("folders", ()):
        for file in sorted((folder / card["images"] / name).glob("*")):
            if file.relative_to(folder).as_posix() not in card.get(FILES, {}):
                yield Mismatch(file=str(file), found="a file that the card does not list", expected="none")


def contradictions(path: Path, card: Mapping[str, Any], export: Export) -> list[Mismatch]:
    """What the card states that the set in the file, or the card itself, contradicts."""
    found = _of_images(card, export)
    for one in card["evaluations"]:
        found += _of_evaluation(one)
    return [_of_card(path, *each) for each in found]


def _of_images(card: Mapping[str, Any], export: Export) -> list[tuple[str, str]]:
    """Shape, number, classes and IPC, as (found, expected)."""
    synthetic, classes = export.synthetic, len(card["class_names"])
    shape, count = list(synthetic.images.shape[1:]), len(synthetic)
    found = []
    if shape != list(card["shape"]):
        found.append((f"images of shape {shape} (C, H, W)", f"{card['shape']}, as the card states"))
    if count != card["count"]:
        found.append((f"{count} images", f"{card['count']}, as the card states"))
    low, high = int(synthetic.classes.min()), int(synthetic.classes.max())
    if low < 0 or high >= classes:
        return [*found, (f"labels from {low} to {high}", f"0 to {classes - 1}: the card names {classes} classes")]
    per_class = sorted(set(synthetic.classes.bincount(minlength=classes).tolist()))
    if len(per_class) > 1 or per_class[0] % card["ipc"] or not per_class[0]:
        many = " to ".join(str(number) for number in dict.fromkeys((per_class[0], per_class[-1])))
        found.append((f"{many} images of a class", f"as many of each, a multiple of the card's IPC, {card['ipc']}"))
    return found


def _of_evaluation(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is impossible about a stated accuracy, as (found, expected)."""
    missing = [name for name in _OF_AN_EVALUATION if name not in one]
    if missing:
        return [(f"an evaluation without {', '.join(missing)}", "each of them")]
    name, mean, sd, n = one["network"], one["mean"], one["sd"], one["n"]
    if not 0 <= mean <= 1 or n < 1 or (sd is None) != (n == 1):
        return [
            (f"{name}: mean {mean}, sd {sd}, n {n}", "a mean in [0, 1], n of at least 1, and sd where n is above 1")
        ]
    try:
        NetworkSettings.model_validate(one["settings"]["network"])
        settings = EvaluationSettings.model_validate(one["settings"]["evaluation"])
    except (KeyError, ValidationError) as error:
        return [(f"{name}: settings that this program does not read ({_short(error)})", "settings of this version")]
    found = [] if settings.seeds == n else [(f"{name}: n {n}", f"{settings.seeds}, the seeds of its protocol")]
    expected = _interval(mean, sd, n)
    if not _same(one["interval"], expected):
        found.append((f"{name}: the interval {one['interval']}", f"{expected}, which follows from mean, sd and n"))
    return found


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{error} is missing"


def _interval(mean: float, sd: float | None, n: int) -> list[float] | None:
    if sd is None:
        return None
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * sd / math.sqrt(n)
    return [max(0.0, mean - half), min(1.0, mean + half)]


def _same(found: Any, expected: list[float] | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return len(found) == 2 and all(abs(a - b) < _ROUNDING for a, b in zip(found, expected, strict=True))
