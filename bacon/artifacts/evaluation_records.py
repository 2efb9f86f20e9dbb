"""Records of trained networks: what one holds, the cell's evaluation file of them, and a cache so none is computed twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from bacon.artifacts.record_lines import write_record_lines
from bacon.runtime.atomic import write_json
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger

log = get_logger(__name__)

FORMAT = "bacon-evaluation"
VERSION = 2
_CURVE = frozenset({"curve_epochs", "curve_test", "curve_validation"})
_AGAIN = "run `snakemake` again to evaluate the cell again"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One network trained on the images of one iteration; accuracies in [0, 1], loss in nats.

    Attributes:
        iteration: distillation iteration of the images.
        final: whether it is the cell's last.
        evaluation_seed: seed of the network's initialisation, order and augmentation.
        test_accuracy: of the whole test set after the last epoch.
        augmentation: of the training batches, a name of ``evaluation.augmentations``.
        lr_net: learning rate that training began with.
        train_accuracy: of the augmented training batches of the last epoch.
        train_loss: mean cross-entropy of those batches.
        epochs: epochs trained.
        wall_seconds: time to build, train and test.
        fingerprint: record fingerprint; with iteration, evaluation seed, augmentation and learning rate it names the record.
        confusion: (classes, classes) counts of test images after the last epoch: row the true class, column the predicted one.
        class_accuracy: test accuracy of each class, in class order.
        validation_accuracy: of the validation split after the last epoch; ``None`` where the data set has none.
        curve_epochs: epochs before the last, ascending, after which the network was tested as well; empty in most.
        curve_test: test accuracy after each of them: for information, nothing is chosen by it.
        curve_validation: that on the validation split after each; empty where the data set has none.
    """

    iteration: int
    final: bool
    evaluation_seed: int
    augmentation: str
    lr_net: float
    test_accuracy: float
    train_accuracy: float
    train_loss: float
    epochs: int
    wall_seconds: float
    fingerprint: str
    confusion: list[list[int]]
    class_accuracy: list[float]
    validation_accuracy: float | None
    curve_epochs: list[int] = field(default_factory=list)
    curve_test: list[float] = field(default_factory=list)
    curve_validation: list[float] = field(default_factory=list)

    def content(self) -> dict[str, Any]:
        """The record as a file holds it, without an empty curve."""
        return {name: value for name, value in asdict(self).items() if value or name not in _CURVE}

    @property
    def key(self) -> RecordKey:
        """What tells it from the other records of its fingerprint."""
        return RecordKey(
            iteration=self.iteration,
            evaluation_seed=self.evaluation_seed,
            augmentation=self.augmentation,
            lr_net=self.lr_net,
        )


@dataclass(frozen=True, kw_only=True)
class RecordKey:
    """Names one record among those of its fingerprint; attributes as in :class:`Record`."""

    iteration: int
    evaluation_seed: int
    augmentation: str
    lr_net: float

    def __str__(self) -> str:
        return f"{self.iteration}-{self.evaluation_seed}-{self.augmentation}-{self.lr_net:g}"


@dataclass(frozen=True, kw_only=True)
class RecordCache:
    """The finished records of one record fingerprint, in ``folder/{fingerprint}/{key}.json``.

    Attributes:
        folder: the cache.
        fingerprint: of what all its records share.
        augmentations: augmentation -> digest of its code, which a record's own fingerprint covers too.
    """

    folder: Path
    fingerprint: str
    augmentations: Mapping[str, str] = field(default_factory=dict)

    def path(self, key: RecordKey) -> Path:
        """Where a record is kept."""
        return self.folder / self.fingerprint / f"{key}.json"

    def fingerprint_of(self, key: RecordKey) -> str:
        """The fingerprint of a record: what all share, and the code of its augmentation."""
        code = self.augmentations.get(key.augmentation)
        return self.fingerprint if code is None else f"{self.fingerprint}-{code}"

    def load(self, key: RecordKey) -> Record | None:
        """The record if it is there and whole; a damaged one is as good as none, and is named in the log."""
        path = self.path(key)
        try:
            record = parse_record(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("%s is damaged (%s); the network will be trained again", path, error)
            return None
        if (record.fingerprint, record.key) != (self.fingerprint_of(key), key):
            log.warning("%s holds the record of another network; this one will be trained again", path)
            return None
        return record

    def store(self, record: Record) -> None:
        """Keep a finished record, atomically."""
        write_json(self.path(record.key), record.content())


def parse_record(value: Any) -> Record:
    """The record in decoded JSON; raises ``ValueError`` unless every field is there with its type, and nothing else."""
    expected = {each.name: str(each.type) for each in fields(Record)}
    if not isinstance(value, dict) or {*value, *_CURVE} != expected.keys():
        raise ValueError("not the fields of a record")
    for name, kind in expected.items():
        if name in value and not _has_type(value[name], kind):
            raise ValueError(f"{name} is {str(value[name])[:60]}")
    record = Record(**value)
    classes = len(record.class_accuracy)
    points = len(record.curve_epochs)
    if len(record.curve_test) != points or len(record.curve_validation) not in (0, points):
        raise ValueError(f"the curve has {points} epochs and {len(record.curve_test)} test accuracies")
    if [len(row) for row in record.confusion] != [classes] * classes:
        raise ValueError(f"confusion is not a {classes} x {classes} table of counts")
    return record


def _has_type(value: Any, kind: str) -> bool:
    """Whether decoded JSON is of the type that a field's annotation names; JSON keeps int, float and bool apart."""
    if kind == "float | None":
        return value is None or type(value) is float
    if kind.startswith("list["):
        return isinstance(value, list) and all(_has_type(part, kind[5:-1]) for part in value)
    return type(value).__name__ == kind


def write_evaluation(path: Path | str, content: Mapping[str, Any], records: Sequence[Record]) -> None:
    """Write a cell's evaluation file atomically, one record a line.

    Args:
        path: the JSON file.
        content: everything but format, version and records.
        records: in the order of the file.
    """
    head = {"format": FORMAT, "version": VERSION, **content}
    write_record_lines(path, head, [record.content() for record in records])


def read_evaluation(path: Path | str) -> dict[str, Any]:
    """A cell's evaluation file; ``records`` are :class:`Record`, everything else is unchanged.

    Raises:
        BaconError: the file is missing, unreadable, of another format or version, or a record is not whole.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BaconError(f"{path}: the evaluation is missing; {_AGAIN}") from None
    except (OSError, ValueError) as error:
        raise BaconError(f"{path}: not a readable evaluation file ({error}); delete it and {_AGAIN}") from None
    check_version(path, content)
    try:
        return {**content, "records": [parse_record(record) for record in content["records"]]}
    except (KeyError, TypeError, ValueError) as error:
        raise BaconError(f"{path}: not a complete evaluation file ({error}); delete it and {_AGAIN}") from None


def check_version(path: Path | str, content: Any) -> None:
    """Raise :class:`BaconError` unless decoded JSON is an evaluation file of the version that this program writes."""
    if not isinstance(content, dict) or "records" not in content:
        raise BaconError(f"{path}: not an evaluation file; delete it and {_AGAIN}")
    # The first version carried no number.
    found = content.get("version", 1)
    if found != VERSION:
        raise BaconError(
            f"{path}: an evaluation file of version {found}, this program reads version {VERSION}, whose records hold the "
            f"confusion matrix; {_AGAIN}"
        )
