"""Records of trained networks: one JSON file each, named by everything it depends on, so none is computed twice."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bacon.runtime.atomic import write_json
from bacon.runtime.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One network trained on the images of one iteration; accuracies in [0, 1], loss in nats.

    Attributes:
        iteration: distillation iteration of the images.
        final: whether it is the cell's last.
        evaluation_seed: seed of the network's initialisation, order and augmentation.
        test_accuracy: of the whole test set after the last epoch.
        train_accuracy: of the augmented training batches of the last epoch.
        train_loss: mean cross-entropy of those batches.
        epochs: epochs trained.
        wall_seconds: time to build, train and test.
        fingerprint: record fingerprint; with iteration and evaluation seed it names the record.
    """

    iteration: int
    final: bool
    evaluation_seed: int
    test_accuracy: float
    train_accuracy: float
    train_loss: float
    epochs: int
    wall_seconds: float
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class RecordCache:
    """The finished records of one record fingerprint, in ``folder/{fingerprint}/{iteration}-{evaluation_seed}.json``."""

    folder: Path
    fingerprint: str

    def path(self, iteration: int, evaluation_seed: int) -> Path:
        """Where a record is kept."""
        return self.folder / self.fingerprint / f"{iteration}-{evaluation_seed}.json"

    def load(self, iteration: int, evaluation_seed: int) -> Record | None:
        """The record if it is there and whole; a damaged one is as good as none, and is named in the log."""
        path = self.path(iteration, evaluation_seed)
        try:
            record = _parse(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("%s is damaged (%s): this network is trained again", path, error)
            return None
        if (record.fingerprint, record.iteration, record.evaluation_seed) != (
            self.fingerprint,
            iteration,
            evaluation_seed,
        ):
            log.warning("%s holds the record of another network: this one is trained again", path)
            return None
        return record

    def store(self, record: Record) -> None:
        """Keep a finished record, atomically."""
        write_json(self.path(record.iteration, record.evaluation_seed), asdict(record))


def _parse(text: str) -> Record:
    """The record in a JSON text; raises ``ValueError`` unless every field is there with its type, and nothing else."""
    value = json.loads(text)
    types = {"int": int, "bool": bool, "float": float, "str": str}
    expected = {field.name: types[str(field.type)] for field in fields(Record)}
    if not isinstance(value, dict) or value.keys() != expected.keys():
        raise ValueError("not the fields of a record")
    wrong = [name for name, kind in expected.items() if type(value[name]) is not kind]
    if wrong:
        raise ValueError(f"{wrong[0]} is {value[wrong[0]]!r}")
    return Record(**value)
