"""The configuration of a call of Snakemake: read again by the rules of :mod:`bacon.config.reading`, and read first. No torch.

Snakemake's own reader lets a repeated key win without a word and takes ``5e-4`` for text, and what it cannot read it reports
as a traceback or without the name of the file. So the workflow reads the files once more, and a profile calls
:func:`check_command_line` before Snakemake reads them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bacon.config.reading import read_entry, read_file, read_merged
from bacon.runtime.errors import BaconError


def read_configuration(workflow: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """What the files and ``--config`` entries of a call say.

    Args:
        workflow: Snakemake's.
        config: as Snakemake merged it: what a workflow that uses this one as a module gives.

    Raises:
        BaconError: a file or an entry cannot be read, or Snakemake cannot work in this folder.
    """
    if set("{}") & set(str(Path.cwd())):
        raise BaconError(
            f"{Path.cwd()}: Snakemake takes the braces of this folder for wildcards; rename it, or run elsewhere"
        )
    if workflow.modifier.skip_configfile:
        return dict(config)
    return read_merged(workflow.configfiles, _entries(workflow))


def _entries(workflow: Any) -> list[str]:
    given = workflow.config_settings.config_args
    return [given] if isinstance(given, str) else list(given or ())


def configuration_source(workflow: Any) -> str:
    """The files that a configuration was read from, for messages."""
    here = Path.cwd()
    paths = [Path(path) for path in workflow.configfiles]
    names = [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in paths]
    return " + ".join(names + ["--config"] * bool(_entries(workflow))) or "configuration"


def check_command_line(arguments: Sequence[str] | None = None) -> None:
    """End the process with one line where a configuration that the command line names cannot be read.

    Args:
        arguments: of the command, by default those of this process.
    """
    try:
        for option, value in _named(sys.argv[1:] if arguments is None else arguments):
            (read_file if option == "--configfile" else read_entry)(value)
    except BaconError as error:
        hint = "" if Path(value).suffix or "=" in value else f" (if {value} is a target, write it before {option})"
        sys.exit(f"Error: {error}{hint}")


def _named(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """(option, value) of the options that name configuration files or give values; each takes several."""
    found: list[tuple[str, str]] = []
    option = ""
    for argument in arguments:
        if argument.startswith("-"):
            name, _, value = argument.partition("=")
            option = _OPTIONS.get(name, "")
            if option and value:
                found.append((option, value))
        elif option:
            found.append((option, argument))
    return found


_OPTIONS = {"--configfile": "--configfile", "--configfiles": "--configfile", "--config": "--config", "-C": "--config"}
