"""The configurations of the runs that made a results folder: recorded by the workflow, read by every command. No torch.

``results/configurations/{digest}.yaml`` is a configuration as Snakemake merged it, named by its content; ``runs.json`` beside
it lists the runs, oldest first. A later run of the same file takes the place of an earlier one: the file was edited. Runs
that changed keys with ``--config`` on the command line each stand for themselves.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bacon.config.yaml_values import yaml_text
from bacon.plan.fingerprint import digest
from bacon.runtime.atomic import write_json, write_text
from bacon.runtime.errors import BaconError

CONFIGURATIONS = "results/configurations"
_INDEX = f"{CONFIGURATIONS}/runs.json"
_HEAD = """\
# The configuration of a run, as Snakemake read it{source}.
# `bacon` commands read it unless --config names another. Delete it when `bacon prune` may offer its results.
"""


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """A run of the workflow.

    Attributes:
        digest: of its configuration, which names the recorded file.
        files: the configuration files that Snakemake read, relative to the working directory where they are below it.
        overridden: whether the command line changed keys of them.
        started: local time, ISO 8601.
    """

    digest: str
    files: tuple[str, ...]
    overridden: bool
    started: str

    @property
    def path(self) -> Path:
        """Of the recorded configuration, relative to the working directory."""
        return Path(CONFIGURATIONS) / f"{self.digest}.yaml"

    @property
    def source(self) -> str:
        """What it was started with, in words; empty when no file is known."""
        return " + ".join((*self.files, *(["--config"] if self.overridden else [])))

    @property
    def only_file(self) -> str | None:
        """The one file that it is the whole configuration of, if it is one."""
        return self.files[0] if len(self.files) == 1 and not self.overridden else None

    def replaces(self, other: RecordedRun) -> bool:
        """Whether an earlier run was one of the same configuration: of equal content, or of the same files since edited."""
        same_files = not self.overridden and not other.overridden and self.files == other.files
        return self.digest == other.digest or (bool(self.files) and same_files)


def record_run(
    config: Mapping[str, Any], *, files: Sequence[Path | str], overridden: bool, directory: Path = Path()
) -> RecordedRun:
    """Record that a run with ``config`` starts now.

    Args:
        config: as Snakemake merged it.
        files: the configuration files that it was merged from.
        overridden: whether the command line changed keys.
        directory: the working directory.

    Raises:
        OSError: the disk is full or cannot be written.
        BaconError: what was recorded before cannot be read.
    """
    run = RecordedRun(
        digest=digest(dict(config)),
        files=tuple(_relative(Path(file), directory) for file in files),
        overridden=overridden,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    path = directory / run.path
    if not path.exists():
        # Through JSON: Snakemake's mappings are of classes that YAML has no words for.
        plain = yaml_text(json.loads(json.dumps(config)))
        write_text(path, _HEAD.format(source=f" from {run.source}" if run.source else "") + plain)
    kept = [one for one in recorded_runs(directory) if not run.replaces(one)]
    write_json(directory / _INDEX, {"runs": [asdict(one) for one in (*kept, run)]})
    return run


def record_or_warn(
    config: Mapping[str, Any], files: Sequence[Path | str], overridden: bool, log: logging.Logger
) -> None:
    """As :func:`record_run` in the working directory; a run that cannot be recorded goes on with a warning."""
    try:
        record_run(config, files=files, overridden=overridden)
    except (OSError, BaconError) as error:
        log.warning(f"The configuration of this run cannot be recorded: {error}")


def record_call(workflow: Any, config: Mapping[str, Any], log: logging.Logger) -> None:
    """As :func:`record_or_warn`, of a call of Snakemake."""
    record_or_warn(config, workflow.configfiles, bool(workflow.config_settings.config), log)


def recorded_runs(directory: Path = Path()) -> tuple[RecordedRun, ...]:
    """The runs recorded under ``directory``, oldest first, without those whose configuration was deleted.

    Raises:
        BaconError: the list of runs is damaged.
    """
    index = directory / _INDEX
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))["runs"]
        runs = [RecordedRun(**{**one, "files": tuple(one["files"])}) for one in listed]
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaconError(
            f"{index}: the list of runs cannot be read ({type(error).__name__}: {error}); delete it, and name the "
            "configuration with --config until the next run"
        ) from None
    return tuple(run for run in runs if (directory / run.path).is_file())


def _relative(file: Path, directory: Path) -> str:
    """A path as the user would write it in the working directory."""
    absolute, base = file.absolute(), directory.absolute()
    return str(absolute.relative_to(base)) if absolute.is_relative_to(base) else str(absolute)
