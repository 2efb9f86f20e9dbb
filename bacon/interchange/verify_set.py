"""Verify exported sets against their cards: checksums, what the cards state, and the accuracy of networks trained anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch

from bacon.datasets.prepare import prepare
from bacon.datasets.registry import REGISTRY
from bacon.datasets.source import reader_module
from bacon.datasets.store import read_dataset
from bacon.interchange.accuracy_summary import accuracy_summary
from bacon.interchange.agreement import AccuracySample, agreement_interval
from bacon.interchange.check_card import (
    Mismatch,
    NoCardError,
    additional,
    card_file,
    changed_files,
    contradictions,
    read_card,
    stated_card,
)
from bacon.interchange.content import RENEW, ChangedContentError
from bacon.interchange.evaluate_file import evaluate_file
from bacon.interchange.load import read_export
from bacon.interchange.requested_set import Request, data_path_of, prepared_forms
from bacon.interchange.stated_card import StatedAccuracy, StatedCard
from bacon.plan.fingerprint import fingerprint
from bacon.plan.stage_code import DATA_MODULES
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger
from bacon.settings.cells import DATA, WHITENED
from bacon.settings.data import DataSettings

log = get_logger(__name__)

CONFIDENCE = 0.99
"""Of the interval that a new mean must lie in; above that of tables, as every set is one more chance of a false alarm."""

Status = Literal["ok", "changed", "accuracy outside", "not verified"]


@dataclass(frozen=True, kw_only=True)
class AccuracyCheck:
    """An accuracy that a card states, and that of networks trained now; all in [0, 1].

    Attributes:
        network: name of the evaluation network in the card.
        protocol: in words, as the card has it.
        stated: what the card states.
        found: what was found.
        low: lower end of the interval in which the found mean agrees with the stated one.
        high: upper end.
    """

    network: str
    protocol: str
    stated: AccuracySample
    found: AccuracySample
    low: float
    high: float

    @property
    def agrees(self) -> bool:
        """Whether the found mean lies in the interval."""
        return self.low <= self.found.mean <= self.high


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found about one set.

    Attributes:
        path: of the set.
        status: ``ok``; ``changed``: it is not what its card says; ``accuracy outside``: networks trained on it now have another
            accuracy; ``not verified``: something is missing for that.
        mismatches: why it is not ok.
        accuracies: one for each accuracy of the card that was checked.
        card: of the set; empty where it could not be read.
    """

    path: Path
    status: Status
    mismatches: Sequence[Mismatch] = ()
    accuracies: Sequence[AccuracyCheck] = ()
    card: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """How networks are trained to verify an accuracy.

    Attributes:
        data: name of a data set, and whether it is whitened -> its prepared file; others are looked for where the workflow puts
            them.
        networks: number of networks; ``None``: as many as the card has, and at least two.
        confidence: of the interval, in (0, 1).
        device: where they are trained.
        cache: folder of finished networks.
        scratch: folder for an embedded data set that is not prepared.
    """

    data: Mapping[tuple[str, bool], Path]
    networks: int | None
    confidence: float
    device: torch.device
    cache: Path
    scratch: Path


def given_data(values: Sequence[str]) -> dict[tuple[str, bool], Path]:
    """Prepared data sets given by name or file, by the name in the file and whether they are whitened.

    Raises:
        BaconError: one is not there or no data set, or two are of one name and form.
    """
    found: dict[tuple[str, bool], Path] = {}
    for value in values:
        path = data_path_of(value)
        dataset = read_dataset(path, train=False)
        key = dataset.name, dataset.whitening is not None
        if key in found:
            raise BaconError(f"--data: both {found[key]} and {path} are the data set {dataset.name}; give one")
        found[key] = path
    return found


@contextmanager
def retraining(
    *,
    data: Mapping[tuple[str, bool], Path],
    networks: int | None,
    confidence: float,
    device: torch.device,
    cache: Path | None,
) -> Iterator[Retraining]:
    """A :class:`Retraining` whose scratch folder, and cache unless one is given, vanish at the end.

    Networks of an earlier verification would say nothing about the programs that are installed now.
    """
    with TemporaryDirectory(prefix="bacon-verify-") as name:
        scratch = Path(name)
        yield Retraining(
            data=data,
            networks=networks,
            confidence=confidence,
            device=device,
            cache=cache or scratch / "networks",
            scratch=scratch,
        )


def verify_set(path: Path, how: Retraining | None) -> Verification:
    """Verify one exported set.

    Args:
        path: file or folder that ``bacon export`` wrote.
        how: how networks are trained; ``None``: only checksums, and what the card states, are checked.
    """
    try:
        card = read_card(path)
    except NoCardError as error:
        return Verification(path=path, status="not verified", mismatches=[_told(path, error, "a card")])
    except BaconError as error:
        return Verification(
            path=path, status="changed", mismatches=[_told(path, error, f"a card that can be read; {RENEW}")]
        )
    changed = changed_files(path, card)
    if changed:
        return Verification(path=path, status="changed", mismatches=changed, card=card)
    try:
        stated = stated_card(path, card)
        # Before the set is read: a file that is no image would be told of as damage.
        changed = [*additional(path, stated)] or contradictions(path, stated, read_export(path))
    except KeyError as error:
        changed = [Mismatch(file=str(card_file(path)), found=f"a card without {error}", expected="a whole one")]
    except ChangedContentError as error:
        changed = [_changed_content(path, error)]
    except BaconError as error:
        changed = [_told(path, error, f"a set as `bacon export` wrote it; {RENEW}")]
    if changed:
        return Verification(path=path, status="changed", mismatches=changed, card=card)
    if how is None:
        return Verification(path=path, status="ok", card=card)
    return _trained(path, stated, how, card)


def _changed_content(path: Path, error: ChangedContentError) -> Mismatch:
    return Mismatch(
        file=str(card_file(path)),
        found=f"{error.what} with the sha256 {error.found}",
        expected=f"{error.expected}, as its card states: they were changed or damaged after the export; {RENEW}",
    )


def _told(path: Path, error: BaconError, expected: str) -> Mismatch:
    """An error as a mismatch; its text names the file first, as all do."""
    file, words = str(card_file(path)), str(error)
    for prefix in (f"{file}: ", f"{path}: "):
        words = words.removeprefix(prefix)
    words = words.removesuffix("; export it again")  # what is expected says what to do
    return Mismatch(file=file, found=words.replace("\n", " "), expected=expected)


def _trained(path: Path, stated: StatedCard, how: Retraining, card: Mapping[str, Any]) -> Verification:
    """Networks of every evaluation that the card states, against what it states."""
    if not stated.evaluations:
        none = Mismatch(
            file=str(card_file(path)), found="no accuracy", expected="one to compare with; --checksums-only needs none"
        )
        return Verification(path=path, status="not verified", mismatches=[none], card=card)
    checks: list[AccuracyCheck] = []
    failed: list[Mismatch] = []
    for one in stated.evaluations:
        try:
            checks.append(_check(path, stated, one, how))
        except BaconError as error:
            told = _told(path, error, "networks trained under the card's protocol")
            failed.append(Mismatch(file=told.file, found=f"{one.network}: {told.found}", expected=told.expected))
    outside = [_outside(path, check) for check in checks if not check.agrees]
    status: Status = "accuracy outside" if outside else "not verified" if failed else "ok"
    return Verification(path=path, status=status, mismatches=[*outside, *failed], accuracies=checks, card=card)


def _check(path: Path, card: StatedCard, one: StatedAccuracy, how: Retraining) -> AccuracyCheck:
    data = _data(card.dataset, one.whitened, how)
    dataset = read_dataset(data, train=False)
    for ours, theirs in zip_longest(dataset.class_names, card.class_names):
        if ours != theirs:
            raise BaconError(f"{data}: its classes are others: {ours!r}, which the card calls {theirs!r}")
    network, _ = one.settings.typed()
    stated = AccuracySample(mean=one.mean, sd=one.sd, n=one.n)
    count = how.networks or max(2, stated.n)
    log.info("%s: training %d networks: %s, %s", path, count, one.network_text, one.protocol)
    request = Request(
        file=path,
        data=str(data),
        network=one.network,
        evaluation={**one.settings.evaluation, "seeds": count},
        network_settings=network,
        teachers=card.teachers(one.settings),
    )
    found = accuracy_summary(evaluate_file(request, device=how.device, cache=how.cache).records)
    sample = AccuracySample(mean=found["mean"], sd=found["sd"], n=found["n"])
    image = 1 / len(dataset.test_labels)
    low, high = agreement_interval(stated, sample, confidence=how.confidence, resolution=image)
    protocol = f"{one.protocol_name}: {one.protocol}".removeprefix(": ")
    return AccuracyCheck(network=one.network, protocol=protocol, stated=stated, found=sample, low=low, high=high)


def _outside(path: Path, check: AccuracyCheck) -> Mismatch:
    return Mismatch(
        file=str(card_file(path)),
        found=f"{check.network}: mean test accuracy {100 * check.found.mean:.2f} % of {check.found.n} networks "
        f"({check.protocol})",
        expected=f"{100 * check.low:.2f} to {100 * check.high:.2f} %: the card states {100 * check.stated.mean:.2f} % of "
        f"{check.stated.n}",
    )


def _data(name: str, whitened: bool, how: Retraining) -> Path:
    """The prepared data set of that name and form; an embedded one is prepared where there is none.

    A card that does not speak of whitening may be of a version that did not: its data set is then the one there is.
    """
    given = [path for form in (whitened, True) if (path := how.data.get((name, form))) is not None]
    forms = sorted(prepared_forms(name), key=lambda form: form.whitened != whitened)
    usual = [form.path for form in forms if form.whitened or not whitened]
    for path in (*given, *usual):
        return path
    form = f"{name}-{WHITENED}" if whitened else name
    if name in REGISTRY and not REGISTRY[name].sources:
        return _embedded(name, whitened, how.scratch / f"{form}.h5")
    raise BaconError(
        f"{DATA.format(dataset=form)}: the data set is not prepared{' (whitened by ZCA)' if whitened else ''}, which has the "
        "test images; give it with --data, or use --checksums-only"
    )


def _embedded(name: str, whitened: bool, output: Path) -> Path:
    if not output.is_file():
        data = DataSettings(zca=whitened)
        print_of_data = fingerprint(
            "data",
            settings=data.model_dump(mode="json") | {"name": name},
            modules=(*DATA_MODULES, reader_module(name, data)),
            inputs={},
        )
        prepare(name, data, download_dir=output.parent, output=output, fingerprint=print_of_data)
    return output
