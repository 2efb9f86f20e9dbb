"""A drafted configuration as YAML for people: every value with the reason why it is there. No torch."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bacon.config.yaml_values import yaml_text
from bacon.operations.job_status import duration

if TYPE_CHECKING:
    from bacon.operations.first_configuration import Draft, OwnImages
    from bacon.plan.machine import Machine

_WIDTH = 100
_NAME_LENGTH = 40
_PRESETS = {
    "paper": "the published settings: 20,000 iterations, networks trained for 1001 epochs",
    "fast": "fewer iterations than the published 20,000; evaluation as published, 1001 epochs",
    "demo": "150 iterations and a tenth of the published epochs: a first look, not a result to report",
    "smoke": "a few iterations of everything: to see that the data are read, not what they give",
}


def configuration_text(drafted: Draft, machine: Machine, commands: Sequence[str]) -> str:
    """The file, ready to be written.

    Args:
        drafted: the configuration.
        machine: where it is to run, for the estimate.
        commands: command lines that run it, for its head.
    """
    return "".join(f"{line}\n".replace(" \n", "\n") for line in _lines(drafted, machine, commands))


def scalar(value: Any) -> str:
    """A value as it stands in YAML on one line, quoted where YAML would read it as something else."""
    # In single quotes YAML would fold a line break, so such a text stands in double ones.
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    return yaml_text([value], flow=True, quotes=style, width=math.inf).strip()[1:-1]


def readable(name: str) -> str:
    """A name of the user's in a comment or on the terminal: on one line, and not too long."""
    plain = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in name)
    return plain if len(plain) <= _NAME_LENGTH else f"{plain[: _NAME_LENGTH - 3]}..."


def _lines(drafted: Draft, machine: Machine, commands: Sequence[str]) -> Iterator[str]:
    own, config = drafted.own, drafted.config
    yield from _comment(
        f"Dataset distillation of {readable(own.title)}: {len(own.classes)} classes, {sum(own.kept)} training and "
        f"{own.tested} test images. Written by `bacon init`; change what you like. Every key is explained in "
        "config/README.md."
    )
    yield "#"
    yield from (f"#   {command}" for command in commands)
    yield "#"
    yield from _comment(f"Estimated time on this machine ({machine}): {duration(drafted.seconds)}.")
    yield ""
    yield from _comment(f"{config['preset']}: {_PRESETS[config['preset']]}. The others: {_others(config['preset'])}.")
    yield f"preset: {config['preset']}"
    yield ""
    yield from _grid(drafted)
    yield ""
    yield from _data(drafted)
    yield ""
    yield from _network(drafted)
    yield from _methods(config["methods"])
    if "run" in config:
        yield ""
        yield "run:"
        yield from _key(
            "chunk_images", config["run"]["chunk_images"], "less than usual, for the memory of this machine"
        )


def _others(preset: str) -> str:
    return ", ".join(name for name in _PRESETS if name != preset)


def _grid(drafted: Draft) -> Iterator[str]:
    grid, kept = drafted.config["grid"], drafted.own.kept
    least, most = min(kept), max(kept)
    each = f"{least}" if least == most else f"{least} to {most}"
    yield "grid:"
    yield from _key("datasets", grid["datasets"], "the entry under `data` below")
    yield from _key(
        "methods",
        grid["methods"],
        "random real images, the baseline; two methods of distillation; idm is another. The full data set is always "
        "added as the upper reference",
    )
    yield from _key("ipc", grid["ipc"], f"images per class of the distilled sets; a class has {each} training images")
    spread = "each of them repeats everything, which gives the spread" if grid["seeds"] > 1 else "3 show the spread"
    yield from _key("seeds", grid["seeds"], f"distillation seeds: {spread}")


def _data(drafted: Draft) -> Iterator[str]:
    own, values = drafted.own, drafted.config["data"][drafted.name]
    reasons = _reasons(own, values)
    yield "data:"
    yield f"  {scalar(drafted.name)}:"
    for key, value in values.items():
        yield from _key(key, value, reasons.get(key, ""), indent=4)


def _reasons(own: OwnImages, values: Mapping[str, Any]) -> dict[str, str]:
    low, middle, high = own.sides
    sides = f"yours is {low}" if low == high else f"yours is {low} to {high}, half of them below {middle}"
    cut = "shorter side in pixels after resizing; the centre is cropped to a square"
    return {
        "format": {"imagefolder": "one folder per class"}.get(own.format, ""),
        "path": "relative to the folder that snakemake runs in" if not own.path.startswith("/") else "",
        "title": "in tables and figures",
        "size": "side of the images in pixels, as they are" if own.square == values["size"] else f"{cut}; {sides}",
        "channels": "grey" if own.channels == 1 else "colour; grey images are converted",
        "corrupt_limit": "at most this many unreadable files are skipped, each named in the log; more are an error",
        "value_range": "values of black and of white, which the files do not say; these were guessed from the values",
        "test_fraction": "there is no test set: this share of each class is held out for testing",
    }


def _network(drafted: Draft) -> Iterator[str]:
    settings = drafted.config["datasets"][drafted.name]["network"]
    yield "datasets:"
    yield f"  {scalar(drafted.name)}:"
    yield "    network:"
    sides = f"each block halves the image, from {drafted.size} pixels on"
    yield from _key("depth", settings["depth"], f"blocks of the ConvNet: {sides}", indent=6)
    published = "the published networks' channels" if settings["width"] == 128 else "channels; 128 in the papers"
    yield from _key("width", settings["width"], published, indent=6)
    yield from _comment(
        "Images are mirrored at random while networks train. Where left and right must not be swapped (characters, "
        "arrows), remove the # of these lines:",
        indent=4,
    )
    strategy = "{dsa_strategy: color_crop_cutout_scale_rotate}"
    yield f"    # distillation: {strategy}"
    yield f"    # evaluation: {strategy}"


_METHOD_REASONS = {
    "iterations": "the published number is 20000",
    "snapshot_interval": "accuracies along the way",
    "batch_real": "real images per class and iteration",
    "lr_img": "higher than the published 0.2: few iterations have to do",
    "partition": "whole images instead of four in one: the smallest class has fewer than four",
    "epochs": "on the full data set, whose training takes longest; more make a better upper reference",
}


def _methods(methods: Mapping[str, Any]) -> Iterator[str]:
    if methods:
        yield ""
        yield "methods:"
    told: set[str] = set()
    for method, sections in methods.items():
        yield f"  {method}:"
        for section, values in sections.items():
            yield f"    {section}:"
            for key, value in values.items():
                yield from _key(key, value, "" if key in told else _METHOD_REASONS.get(key, ""), indent=6)
                told.add(key)


def _key(key: str, value: Any, reason: str, *, indent: int = 2) -> Iterator[str]:
    """``key: value # reason``; a reason that does not fit on the line stands above it."""
    line = f"{' ' * indent}{key}: {scalar(value)}"
    if reason and len(line) + len(reason) + 3 > _WIDTH:
        yield from _comment(f"{reason[:1].upper()}{reason[1:]}.", indent=indent)
    elif reason:
        line = f"{line} # {reason}"
    yield line


def _comment(text: str, *, indent: int = 0) -> Iterable[str]:
    start = " " * indent + "# "
    return textwrap.wrap(
        text,
        width=_WIDTH,
        initial_indent=start,
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
    )
