"""What the Snakefile needs while it parses: the plan of the merged configuration, and the file the scripts read it from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bacon.cells import CACHE
from bacon.configuration import check_config, load_config
from bacon.fingerprint import digest
from bacon.plan import Plan
from bacon.runtime.atomic import write_json
from bacon.runtime.errors import BaconError


def plan(config: Mapping[str, Any]) -> Plan:
    """The plan of a configuration as Snakemake merged it; raises :class:`BaconError` on bad input."""
    return Plan(check_config(config))


def config_path(config: Mapping[str, Any]) -> Path:
    """Where the merged configuration is written, named by its content."""
    return Path(CACHE) / "config" / f"{digest(dict(config))}.json"


def write_config(config: Mapping[str, Any]) -> None:
    """Write the merged configuration for the scripts, once."""
    path = config_path(config)
    if not path.exists():
        write_json(path, dict(config))


def load_plan(path: Path | str) -> Plan:
    """The plan of a configuration file."""
    return Plan(load_config(path))


def check_asked(what: str, asked: str | None, computed: str) -> None:
    """Refuse to compute something else than the workflow asked for.

    Args:
        what: the artifact, for the message.
        asked: the fingerprint that the workflow passed; ``None`` when a person runs the script by hand.
        computed: the fingerprint of the settings and code as they are now.

    Raises:
        BaconError: they differ, so the code or the configuration changed after the workflow started.
    """
    if asked is not None and asked != computed:
        raise BaconError(
            f"{what}: the workflow asked for fingerprint {asked}, settings and code now give {computed}: they changed while "
            "the workflow ran; run snakemake again"
        )
