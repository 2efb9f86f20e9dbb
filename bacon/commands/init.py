"""``bacon init``: a look at own data, and a configuration that runs as it is on this machine."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bacon.commands.own_data import OwnData
    from bacon.operations.first_configuration import Draft
    from bacon.operations.run_commands import RunCommands
    from bacon.plan.machine import Machine

_PRESETS = ("smoke", "demo", "fast", "paper")
_DEFAULT_MINUTES = 20.0
_WIDTH = 100
_TITLE = 11


@click.command("init")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the data set, in paths and cells.  [default: made from PATH]")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write.  [default: NAME.yaml, here]"
)
@click.option("--preset", type=click.Choice(_PRESETS), help="Preset to use.  [default: the most that fits the time]")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help=f"Time that the run may take.  [default: {_DEFAULT_MINUTES:g}; with --preset, any]",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def init_command(
    path: Path, name: str | None, output: Path | None, preset: str | None, minutes: float | None, force: bool
) -> None:
    """Look at your own data in PATH, say what is there, and write a configuration that runs as it is on this machine.

    PATH is a folder with one folder of images per class, an .npz with x_train and y_train, or an .h5 that this workflow
    prepared. Sizes, networks, images per class and the number of iterations follow from the data, the machine and the
    time that the run may take. Nothing is computed yet.
    """
    from bacon.commands.own_data import data_set_name, existing, look
    from bacon.operations.first_configuration import draft
    from bacon.operations.run_commands import run_commands

    path = existing(path)
    name = data_set_name(path, name)
    file = output or Path(f"{name}.yaml")
    _check_free(file, force=force)
    data = look(path, name)
    _print_data(data)
    machine = _machine()
    allowed = _DEFAULT_MINUTES if minutes is None and preset is None else minutes
    drafted = draft(name, data.own, machine, preset=preset, minutes=allowed)
    commands = run_commands(drafted, file, machine)
    _write(file, drafted, machine, commands)
    _print_draft(file, drafted, machine, allowed)
    _print_commands(commands)


def _check_free(file: Path, *, force: bool) -> None:
    from bacon.runtime.errors import BaconError

    if file.exists() and not force:
        raise BaconError(f"{file} exists and is kept; --force replaces it, --output names another file")


def _machine() -> Machine:
    """This machine, measured; a job starts about as PyTorch does here, and reads its data besides."""
    start = time.perf_counter()
    from bacon.jobs.machine_speed import measure_machine
    from bacon.plan.machine import START_SECONDS

    return measure_machine(max(START_SECONDS, 2 * (time.perf_counter() - start)))


def _write(file: Path, drafted: Draft, machine: Machine, commands: RunCommands) -> None:
    """Write the file, whole or not at all, once what it says has been read back."""
    from bacon.config.loading import check_config
    from bacon.config.yaml_values import parse_yaml
    from bacon.operations.configuration_text import configuration_text
    from bacon.runtime.atomic import write_text
    from bacon.runtime.errors import BaconError

    text = configuration_text(drafted, machine, (commands.dry_run, commands.run))
    if check_config(parse_yaml(text, source=str(file)), source=str(file)) != check_config(drafted.config):
        raise BaconError(f"{file}: the text does not say what was decided, so it is not written; please report this")
    try:
        write_text(file, text)
    except OSError as error:
        raise BaconError(f"{file}: cannot be written: {error.strerror or error}") from None


def _print_data(data: OwnData) -> None:
    from bacon.operations.configuration_text import readable
    from bacon.operations.own_images import described, remarks

    click.echo(readable(data.own.path))
    for title, text in described(data.own, data.summary):
        _print_item(f"  {title:<{_TITLE}}", text)
    if data.warnings is None:
        _print_item("  note       ", f"headers of {data.summary.probed} images were read; the run will read them all")
    for remark in remarks(data.own, data.summary, data.warnings or ()):
        _print_item("  ! ", remark)
    click.echo()


def _print_draft(file: Path, drafted: Draft, machine: Machine, allowed: float | None) -> None:
    from bacon.operations.job_status import duration

    grid = drafted.config["grid"]
    ipcs = " and ".join(map(str, grid["ipc"])) + (" images" if grid["ipc"] != [1] else " image")
    seeds = f"{grid['seeds']} seeds" if grid["seeds"] > 1 else "1 seed"
    _print_item(
        "",
        f"Wrote {file}: {', '.join(grid['methods'])} with {ipcs} per class at {drafted.size} x {drafted.size} pixels, "
        f"{seeds}, preset {drafted.config['preset']}.",
    )
    _print_item("", f"Estimated time on this machine ({machine}): {duration(drafted.seconds)}.")
    if allowed is not None and drafted.seconds > 60 * allowed:
        _print_item(
            "",
            f"That is more than {allowed:g} minutes: less would say nothing about data of this size. --preset smoke only "
            "tries whether everything works.",
        )
    click.echo()


def _print_commands(commands: RunCommands) -> None:
    click.echo("Next:")
    for words, command in (
        ("what would run", commands.dry_run),
        ("run it", commands.run),
        ("its accuracies", commands.table),
        ("a distilled set for PyTorch", commands.export),
    ):
        click.echo(f"  # {words}\n  {command}")


def _print_item(start: str, text: str) -> None:
    """A paragraph whose further lines are indented as its first."""
    click.echo(
        "\n".join(
            textwrap.wrap(
                text,
                _WIDTH,
                initial_indent=start,
                subsequent_indent=" " * len(start),
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    )
