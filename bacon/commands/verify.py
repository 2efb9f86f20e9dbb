"""``bacon verify``: exported sets against their cards, for anyone's CI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bacon.interchange.agreement import AccuracySample
    from bacon.interchange.verify_set import AccuracyCheck, Verification


@click.command("verify")
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--checksums-only", is_flag=True, help="Train nothing: check files, and what the card says of them.")
@click.option(
    "--data",
    multiple=True,
    help="Prepared data set (cifar10, or its .h5) that has the test images; once for each data set.  [default: "
    "results/data/NAME.h5; digits need none]",
)
@click.option(
    "--networks",
    type=click.IntRange(1, 1000),
    help="Networks to train for each accuracy.  [default: as in the card, and at least two]",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Of the interval that the new mean must lie in.  [default: 0.99]",
)
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="CPU threads.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep finished networks here, to resume a stopped call.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def verify_command(context: click.Context, /, folder: Path, as_json: bool, **options: Any) -> None:
    """Verify the exported set in FOLDER, or each of those in it, against its card (docs/use-a-distilled-set.md).

    Checksums of all files and what the card says of the images must be right; networks trained under the card's protocols
    must have its accuracies, within an interval (docs/statistics.md). The exit code is 0 if all sets are ok, 1 if one is not,
    2 for wrong use.
    """
    found = list(_verified(folder, **options))
    if as_json:
        click.echo(json.dumps([_as_dict(each) for each in found], indent=1))
    else:
        _print(folder, found)
    context.exit(0 if all(each.status == "ok" for each in found) else 1)


def _verified(
    folder: Path,
    *,
    checksums_only: bool,
    data: tuple[str, ...],
    networks: int | None,
    confidence: float | None,
    device: str,
    threads: int,
    cache: Path | None,
) -> Iterator[Verification]:
    from bacon.interchange.check_card import exported_sets
    from bacon.interchange.verify_set import CONFIDENCE, given_data, retraining, verify_set
    from bacon.runtime.devices import lease_device, set_up_arithmetic
    from bacon.runtime.errors import BaconError

    given = {"--data": data, "--networks": networks, "--confidence": confidence, "--cache": cache}
    if checksums_only and (unused := [name for name, value in given.items() if value]):
        raise click.UsageError(f"--checksums-only trains no networks; leave out {', '.join(unused)}")
    try:
        sets, prepared = exported_sets(folder), given_data(data)
    except BaconError as error:
        raise click.UsageError(str(error)) from None
    if checksums_only:
        yield from (verify_set(path, None) for path in sets)
        return
    set_up_arithmetic(threads)
    with (
        lease_device(device) as leased,
        retraining(
            data=prepared, networks=networks, confidence=confidence or CONFIDENCE, device=leased, cache=cache
        ) as how,
    ):
        yield from (verify_set(path, how) for path in sets)


def _print(folder: Path, found: list[Verification]) -> None:
    from bacon.commands.printing import print_table

    columns = ("set", "data set", "method", "IPC", "test accuracy (%): found, card, allowed", "result")
    print_table(f"Exported sets in {folder}", columns, [_row(each) for each in found])
    for each in found:
        for mismatch in each.mismatches:
            click.echo(str(mismatch))


def _row(each: Verification) -> tuple[str, ...]:
    said = [str(each.card.get(name, "")) for name in ("dataset", "method", "ipc")]
    return each.path.name or str(each.path), *said, "\n".join(map(_accuracy, each.accuracies)), each.status


def _accuracy(check: AccuracyCheck) -> str:
    allowed = f"{100 * check.low:.2f} to {100 * check.high:.2f}"
    return f"{check.network}: {_sample(check.found)}, {_sample(check.stated)}, {allowed}"


def _sample(sample: AccuracySample) -> str:
    spread = "" if sample.sd is None else f" ± {100 * sample.sd:.2f}"
    return f"{100 * sample.mean:.2f}{spread} (n {sample.n})"


def _as_dict(each: Verification) -> dict[str, Any]:
    return {
        "set": str(each.path),
        **{name: each.card.get(name) for name in ("dataset", "method", "ipc", "seed")},
        "result": each.status,
        "accuracies": [{**asdict(check), "agrees": check.agrees} for check in each.accuracies],
        "mismatches": [asdict(mismatch) for mismatch in each.mismatches],
    }
