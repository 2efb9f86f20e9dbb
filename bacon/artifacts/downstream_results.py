"""Results of downstream tasks: what one repetition measured, the file of a cell's, and a cache so that none is made twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bacon.artifacts.record_lines import write_record_lines
from bacon.runtime.atomic import write_json
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger

log = get_logger(__name__)

FORMAT = "bacon-downstream"
VERSION = 1
_AGAIN = "run `snakemake` again"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number.

    Attributes:
        metric: what was measured.
        value: finite.
        condition: under which, such as the name of an attack; empty: none.
        at: place on an abscissa, such as the size of a perturbation or the number of classes seen; ``None``: none.
    """

    metric: str
    value: float
    condition: str = ""
    at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a task found in one repetition.

    Attributes:
        measurements: numbers for tables and figures.
        details: what else a file shall hold, as JSON.
    """

    measurements: tuple[Measurement, ...]
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """One repetition of a task on a cell.

    Attributes:
        repetition: its number, from 0; with networks of the cell's evaluation, their evaluation seed.
        fingerprint: of everything that it depends on.
        wall_seconds: its time.
        measurements: numbers for tables and figures.
        details: further results as JSON.
    """

    repetition: int
    fingerprint: str
    wall_seconds: float
    measurements: tuple[Measurement, ...]
    details: Mapping[str, Any]

    def content(self) -> dict[str, Any]:
        """The record as a file holds it."""
        return asdict(self)


def parse_task_record(value: Any) -> TaskRecord:
    """The record in decoded JSON; raises ``ValueError``, ``TypeError`` or ``KeyError`` unless it is whole."""
    record = TaskRecord(
        **{**value, "measurements": tuple(Measurement(**one) for one in value["measurements"])},
    )
    if not record.measurements or any(type(one.value) not in (int, float) for one in record.measurements):
        raise ValueError("a measurement is no number")
    return record


@dataclass(frozen=True, kw_only=True)
class TaskCache:
    """Finished pieces of work of one fingerprint, in ``folder/{fingerprint}/{name}.json``.

    Attributes:
        folder: the cache.
        fingerprint: of everything that they depend on.
    """

    folder: Path
    fingerprint: str

    def load(self, name: str) -> Any:
        """A finished piece; ``None`` where there is none, or a damaged one, which the log names."""
        path = self._path(name)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["fingerprint"] != self.fingerprint:
                raise ValueError("it holds another result")
            return content["value"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s is damaged (%s); it will be computed again", path, error)
            return None

    def store(self, name: str, value: Any) -> None:
        """Keep a finished piece, JSON, atomically."""
        write_json(self._path(name), {"fingerprint": self.fingerprint, "value": value})

    def _path(self, name: str) -> Path:
        return self.folder / self.fingerprint / f"{name}.json"


def write_task_results(path: Path, content: Mapping[str, Any], records: Sequence[TaskRecord]) -> None:
    """Write the results of a task on a cell atomically, one record a line.

    Args:
        path: the JSON file.
        content: everything but format, version and records.
        records: in the order of the file.
    """
    head = {"format": FORMAT, "version": VERSION, **content}
    write_record_lines(path, head, [record.content() for record in records])


def read_task_results(path: Path) -> dict[str, Any]:
    """The results of a task on a cell; ``records`` are :class:`TaskRecord`, everything else is unchanged.

    Raises:
        BaconError: the file is missing, unreadable, of another format or version, or a record is not whole.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (content["format"], content["version"]) != (FORMAT, VERSION):
            raise ValueError(f"format {content['format']} version {content['version']}")
        return {**content, "records": [parse_task_record(record) for record in content["records"]]}
    except FileNotFoundError:
        raise BaconError(f"{path}: the results of a downstream task are missing; {_AGAIN}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaconError(
            f"{path}: not a readable file of a downstream task ({error}); delete it and {_AGAIN}"
        ) from None
