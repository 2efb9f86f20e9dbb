"""Test accuracy after fixed seconds of distillation, on real images: queued as in a job, recording and compiling included."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from bacon.runtime.atomic import write_text
from benchmarks.cells import ROOT
from benchmarks.gpu.data import with_cifar10
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.request import Request as Asked
from benchmarks.machine import set_up
from benchmarks.reproduction.accuracy import evaluate
from benchmarks.reproduction.distillation import distil
from benchmarks.reproduction.target import COMPARABLE, Request, Target, make_target, parsed_cell

_EVALUATION = "tf32"
"""Precision of the networks that measure accuracy, whatever the images were distilled in."""
_LEAST = 5.0
"""Seconds that training the networks takes at the least."""


def measure(request: Asked, found: Findings, deadline: Deadline) -> None:
    """Distil in the most important precision to each point of the clock, and train networks there.

    The points are fixed beforehand, and test accuracy chooses nothing.
    """
    if request.data is None and not request.scale.compared.startswith("digits/"):
        found.skip("accuracy", "no --data")
        return
    device, reached = torch.device(request.device), 0.0
    target = _target(request)
    set_up(request.threads, request.scale.precisions[0])
    for seconds, percent in request.scale.clock.items():
        what = f"accuracy after {seconds:g} s"
        if deadline.left() < seconds - reached + _LEAST:
            found.skip(what, "no time left in this part")
            continue
        set_up(request.threads, request.scale.precisions[0])
        run = distil(target, device, seconds=seconds - reached, at=())
        reached = seconds
        set_up(request.threads, _EVALUATION)
        last = {run.iteration: run.images[run.iteration]}
        (row,) = evaluate(target, COMPARABLE, last, device, networks=request.scale.networks)
        found.row("accuracy", clock=run.clock.seconds, aim=percent, **row)
        found.figure(f"{what}, %", row["accuracy_percent"])
        found.figure(f"iterations after {seconds:g} s", run.iteration)


def _target(request: Asked) -> Target:
    """The cell with real images; state and records go to a folder of this part, emptied for every run of it."""
    folder = request.folder / "accuracy"
    shutil.rmtree(folder, ignore_errors=True)
    name = request.scale.compared
    data = request.folder if request.data is None else with_cifar10(request.data, request.folder)
    dataset = name.partition("/")[0]
    config = request.config or (
        ROOT / "config" / "config.yaml" if dataset == "digits" else _config(folder, dataset, request)
    )
    asked = Request(data=data, folder=folder, config=config, device=request.device, threads=request.threads)
    return make_target(parsed_cell(name), asked)


def _config(folder: Path, dataset: str, request: Asked) -> Path:
    """The published settings, in a precision; JSON is YAML."""
    path = folder / "settings.yaml"
    network = {dataset: {"network": {"precision": request.scale.precisions[0]}}}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(
        path, json.dumps({"preset": "paper", "datasets": network, "networks": {"convnet": {"precision": _EVALUATION}}})
    )
    return path
