"""``bacon evaluate``: the accuracy of a distilled set in a file, of this project or from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bacon.settings.protocol_records import PROTOCOLS

if TYPE_CHECKING:
    from bacon.interchange.evaluate_file import Result


@click.command("evaluate")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data", default="", help="Prepared data set (cifar10, or its .h5) that has the test images.")
@click.option(
    "--pixels",
    type=click.Choice(("raw", "uint8", "normalised")),
    help="Scale of the pixels; required for files not written by this project, but not for folders of images.",
)
@click.option(
    "--mean", default="", help="Mean of the normalisation, one number per channel: 0.49,0.48,0.45; or `data`."
)
@click.option("--std", default="", help="Standard deviation of the normalisation, in the same form.")
@click.option(
    "--partition",
    type=click.IntRange(1, 8),
    help="1, or 2 if each image holds four smaller ones (IDM, BACON); required for files not written by this project.",
)
@click.option(
    "--labels",
    type=click.Choice(("classes", "probabilities", "logits")),
    help="Kind of the labels; required for files with soft labels that this project did not write.",
)
@click.option(
    "--experiment", type=click.IntRange(min=0), help="Which set to use if the file holds several, counted from 0."
)
@click.option("--protocol", type=click.Choice(tuple(PROTOCOLS)), default="paper", show_default=True)
@click.option("--network", default="convnet", show_default=True, help="Name of the evaluation network.")
@click.option("--seeds", type=click.IntRange(1, 1000), help="Number of networks to train (with each augmentation).")
@click.option("--epochs", type=click.IntRange(min=1), help="Number of epochs, instead of the protocol's.")
@click.option(
    "--lr",
    default="",
    help="Initial learning rate, instead of the protocol's; `learned`: the one stored in a file of this project.",
)
@click.option("--title", default="", help="The method that made the set, as `bacon leaderboard` is to call it.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the result of every network to this JSON file.",
)
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="CPU threads.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/.cache/evaluation"),
    show_default=True,
)
def evaluate_command(
    file: Path,
    seeds: int | None,
    epochs: int | None,
    output: Path | None,
    device: str,
    threads: int,
    cache: Path,
    **options: Any,
) -> None:
    """Train networks on the distilled set in FILE, test them, and print mean, sd and n (docs/evaluation.md).

    FILE is a distilled set of this project (.h5, or written by `bacon export`), or one from elsewhere: a .pt, .npz, .h5
    or .safetensors file of images and labels, as DM, IDM and BACON publish them for example, or a folder of class folders
    of images. Those from elsewhere do not say how pixels are normalised, whether images are partitioned and what soft
    labels are, so you must state it.
    """
    from bacon.interchange.evaluate_file import evaluate_file
    from bacon.interchange.requested_set import Request
    from bacon.runtime.devices import lease_device, set_up_arithmetic

    own: dict[str, Any] = {} if seeds is None else {"seeds": seeds}
    own |= {} if epochs is None else {"epochs": epochs, "epochs_plain": None}
    network = _own_network(options["data"]) if options["network"] == "convnet" else {}
    request = Request(file=file, evaluation=own, own_network=network, **options)
    set_up_arithmetic(threads)
    with lease_device(device) as leased:
        result = evaluate_file(request, device=leased, cache=cache, output=output)
    _print(request.file, result)
    if output is not None:
        click.echo(f"wrote {output}")


def _own_network(data: str) -> dict[str, Any]:
    """The network of an own data set in the configuration of the last run here, which is said; a registered one has its own."""
    from bacon.config.loading import load_config
    from bacon.datasets.registry import REGISTRY
    from bacon.operations.recorded_runs import recorded_runs

    name, runs = Path(data).stem, recorded_runs()
    if not runs or name in REGISTRY:
        return {}
    layer = load_config(runs[-1].path).datasets.get(name)
    if layer is None or not layer.network:
        return {}
    click.echo(f"Configuration: the network of {name} is that of the last run here, {runs[-1].path}", err=True)
    return dict(layer.network)


def _print(file: Path, result: Result) -> None:
    from bacon.commands.printing import print_table
    from bacon.reporting.collect.protocol_text import network_text, protocol_of

    names = list(dict.fromkeys(record.augmentation for record in result.records))
    rows = [_row(result, [name]) for name in names]
    if len(names) > 1:
        rows.append(_row(result, names))
    columns = ("augmentation", "learning rate", "test accuracy (%)", "sd", "n")
    print_table(f"{file} on {result.dataset}: mean, sample sd over n evaluation seeds", columns, rows)
    said = result.content.format
    how = f" with mean {_numbers(said.mean)} and std {_numbers(said.std)}" if said.pixels == "normalised" else ""
    click.echo(f"{result.images} training images; pixels {said.pixels}{how}; partition {said.partition}")
    protocol = protocol_of(result.said)
    click.echo(f"{network_text(result.network.model_dump())}, {protocol}")
    if result.selection is not None:
        click.echo("Learning rates were chosen on the validation split, never on test images.")


def _numbers(values: Sequence[float]) -> str:
    """As `--mean` and `--std` take them."""
    return ",".join(f"{value:.4g}" for value in values)


def _row(result: Result, names: list[str]) -> tuple[str, ...]:
    from statistics import mean, stdev

    chosen = [record for record in result.records if record.augmentation in names]
    seeds = sorted({record.evaluation_seed for record in chosen})
    values = [100 * mean(one.test_accuracy for one in chosen if one.evaluation_seed == seed) for seed in seeds]
    rates = ", ".join(dict.fromkeys(f"{record.lr_net:g}" for record in chosen))
    spread = f"{stdev(values):.2f}" if len(values) > 1 else ""
    return " + ".join(names), rates, f"{mean(values):.2f}", spread, str(len(values))
