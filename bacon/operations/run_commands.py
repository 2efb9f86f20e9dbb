"""The command lines that run a configuration here: with the options that the working directory makes necessary. No torch."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bacon.operations.first_configuration import Draft
    from bacon.plan.machine import Machine

_SNAKEFILE = Path("workflow", "Snakefile")
# Where Snakemake itself looks, in this order.
_FOUND_BY_SNAKEMAKE = (Path("Snakefile"), Path("snakefile"), _SNAKEFILE, Path("workflow", "snakefile"))


@dataclass(frozen=True, kw_only=True)
class RunCommands:
    """Command lines for a person to copy.

    Attributes:
        dry_run: shows what would be computed.
        run: computes everything.
        table: prints the accuracies.
        export: writes a distilled set for other programs.
    """

    dry_run: str
    run: str
    table: str
    export: str


def run_commands(drafted: Draft, file: Path, machine: Machine) -> RunCommands:
    """The commands for a configuration in ``file``, to be run in the working directory."""
    snakemake, bacon = f"{_program('snakemake')} all{_snakefile()}", _program("bacon")
    configuration = quote(str(file))
    ipc = drafted.config["grid"]["ipc"][-1]
    cell = f"{drafted.name}/bacon/ipc{ipc}/seed0"
    at_once = f"--cores {machine.cores} --resources gpu={drafted.jobs}"
    return RunCommands(
        dry_run=f"{snakemake} -n --configfile {configuration}",
        run=f"{snakemake} {at_once} --configfile {configuration}",
        table=f"{bacon} table",
        export=f"{bacon} export {cell} --format pt --output exports --config {configuration}",
    )


def _program(name: str) -> str:
    """A program of this environment: by name where the shell finds it, otherwise with its folder."""
    beside = Path(sys.executable).with_name(name)
    return name if shutil.which(name) or not beside.exists() else quote(str(beside))


def _snakefile() -> str:
    """The option that names this project's Snakefile; none where Snakemake finds it by itself."""
    ours = Path(__file__).resolve().parents[2] / _SNAKEFILE
    found = next((path for path in _FOUND_BY_SNAKEMAKE if path.exists()), None)
    if found is not None and found.resolve() == ours:
        return ""
    return f" --snakefile {quote(str(ours))}" if ours.exists() else " --snakefile CHECKOUT/workflow/Snakefile"
