"""Runs in a process of its own: the user's checkout of a published program, unmodified, timed from outside.

    python -m benchmarks.published_driver CHECKOUT SPECIFICATION.json

The checkout's modules are imported as they are. Data come from the parent: ``torchvision.datasets.CIFAR10`` is replaced
before the import. The clock is read, and the process waits until the parent lets it go on, so that both programs can take
turns, where an iteration begins: the programs of DC, DSA, DM, MTT and TESLA build one network in each, and BACON's calls
``random.shuffle`` twice, once to draw the network for matching and once to draw those to train. Answers go to stdout, one
JSON per line; what the program prints, to stderr.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import random
import runpy
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
import torchvision
from PIL import Image


class Channel:
    """Lines of JSON to and from the parent."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers

    def say(self, **content: Any) -> None:
        """Tell the parent."""
        self._answers.write(json.dumps(content) + "\n")
        self._answers.flush()

    def wait(self) -> dict[str, Any]:
        """The parent's next order; ends the process when the parent is gone or says so."""
        line = sys.stdin.readline()
        order: dict[str, Any] = json.loads(line) if line else {"do": "stop"}
        if order["do"] == "stop":
            os._exit(0)  # the published loop has no other way out
        return order


CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
_clock: Callable[[], float] = time.perf_counter


def now() -> float:
    """The clock, with the GPU's queue empty."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return _clock()


class FakeCifar10:
    """Stands in for ``torchvision.datasets.CIFAR10``: the parent's arrays, the caller's transform."""

    arrays: Path
    classes = tuple(str(label) for label in range(10))

    def __init__(self, root: str, *, train: bool, download: bool, transform: Any) -> None:  # noqa: ARG002
        with np.load(self.arrays) as arrays:
            part = "train" if train else "test"
            self.images = arrays[f"x_{part}"].transpose(0, 2, 3, 1)
            self.labels = arrays[f"y_{part}"].tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def gate_shuffles(channel: Channel) -> None:
    """Stop the published loop at each of its iterations and report what the last one took."""
    stamps: list[float] = []
    shuffle = random.shuffle

    def gated(values: Any) -> None:
        stamps.append(now())
        if len(stamps) == 1:
            channel.say(ready=True)
        elif len(stamps) == 3:
            channel.say(matching=stamps[1] - stamps[0], queue=stamps[2] - stamps[1])
        if len(stamps) != 2:
            channel.wait()
            stamps[:] = [now()]
        shuffle(values)

    setattr(random, "shuffle", gated)  # noqa: B010


def distil(channel: Channel, specification: dict[str, Any]) -> None:
    """Run the published main program for as long as the parent wants."""
    program = importlib.import_module("BACON_cifar10")
    gate_shuffles(channel)
    sys.argv = ["BACON_cifar10.py", *specification["arguments"]]
    program.main()


def gate_networks(channel: Channel, library: Any, network: Callable[..., Any]) -> None:
    """Stop a loop that builds one network an iteration whenever it does, and report what the last iteration took."""
    started: list[float] = []

    def gated(*args: Any, **kwargs: Any) -> Any:
        channel.say(**({"iteration": now() - started[0]} if started else {"ready": True}))
        channel.wait()
        started[:] = [now()]
        return network(*args, **kwargs)

    library.get_network = gated


def condense(channel: Channel, specification: dict[str, Any]) -> None:
    """Run a published program of DC, DSA or DM for as long as the parent wants."""
    library = importlib.import_module("utils")
    gate_networks(channel, library, library.get_network)
    if loops := specification.get("loops"):
        library.get_loops = lambda _ipc: tuple(loops)  # steps alone: the program has no argument for it
    program = importlib.import_module(specification["program"])
    sys.argv = [f"{specification['program']}.py", *specification["arguments"]]
    program.main()


def match_trajectories(channel: Channel, specification: dict[str, Any]) -> None:
    """Run the published program of MTT or TESLA, a script that reads its arguments, for as long as the parent wants."""
    stand_in_for_reporting()
    library = importlib.import_module("utils")
    gate_networks(channel, library, library.get_network)
    sys.argv = ["distill.py", *specification["arguments"]]
    runpy.run_module("distill", run_name="__main__")


def stand_in_for_reporting() -> None:
    """Modules of published trajectory matching that compute nothing in an iteration: reports to a server, bars, ZCA's."""
    reports = types.ModuleType("wandb")
    reports.config = types.SimpleNamespace(_items={})  # type: ignore[attr-defined]
    reports.init = lambda **given: reports.config._items.update(vars(given["config"]))  # type: ignore[attr-defined]
    for name in ("log", "finish", "Image", "Histogram"):
        setattr(reports, name, lambda *_, **__: None)
    sys.modules["wandb"] = reports  # also where it is installed: a benchmark tells no server
    bars = types.ModuleType("tqdm")
    bars.tqdm = lambda values: values  # type: ignore[attr-defined]
    for module in (bars, types.ModuleType("kornia")):
        if importlib.util.find_spec(module.__name__) is None:
            sys.modules[module.__name__] = module


def stand_in_for_old_modules() -> None:
    """What published code imports from where current SciPy no longer has it."""
    module = types.ModuleType("scipy.ndimage.interpolation")
    module.rotate = importlib.import_module("scipy.ndimage").rotate  # type: ignore[attr-defined]
    sys.modules.setdefault("scipy.ndimage.interpolation", module)


def allow_overlapping_assignment() -> None:
    """``x[:] = x[0]``, in published augmentations: what PyTorch of their time took, and today's refuses."""
    assign = torch.Tensor.__setitem__

    def cloned(target: torch.Tensor, place: Any, value: Any) -> None:
        same = (
            isinstance(value, torch.Tensor)
            and value.untyped_storage().data_ptr() == target.untyped_storage().data_ptr()
        )
        assign(target, place, value.clone() if same else value)

    setattr(torch.Tensor, "__setitem__", cloned)  # noqa: B010


def evaluate(channel: Channel, specification: dict[str, Any]) -> None:
    """Run the published evaluation of one network for each order, and report its epochs' times."""
    library = importlib.import_module("dc_utils")
    original, stamps = library.epoch, []

    def timed(mode: str, *args: Any, **kwargs: Any) -> Any:
        start = now()
        result = original(mode, *args, **kwargs)
        stamps.append((mode, now() - start))
        return result

    setattr(library, "epoch", timed)  # noqa: B010
    channel_count, size, classes, *_, loader = library.get_dataset("CIFAR10", ".")
    images, labels = (torch.from_numpy(np.load(specification[name])) for name in ("images", "labels"))
    options = argparse.Namespace(
        device="cuda" if torch.cuda.is_available() else "cpu",
        lr_net=0.01,
        batch_train=256,
        epoch_eval_train=0,
        dsa=True,
        dsa_strategy="color_crop_cutout_flip_scale_rotate",
        dsa_param=library.ParamDiffAug(),
    )
    channel.say(ready=True)
    while True:
        options.epoch_eval_train = int(channel.wait()["epochs"]) - 1
        network = library.get_network("ConvNet", channel_count, classes, size)
        stamps.clear()
        library.evaluate_synset(0, network, images, labels, loader, options)
        channel.say(
            train=[seconds for mode, seconds in stamps if mode == "train"],
            test=[seconds for mode, seconds in stamps if mode == "test"],
        )


def main() -> None:
    """Run what the specification asks for."""
    checkout, specification = Path(sys.argv[1]).resolve(), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    answers = os.fdopen(os.dup(1), "w")
    sys.stdout = sys.stderr
    sys.path.insert(0, str(checkout))
    torch.set_num_threads(specification["threads"])
    FakeCifar10.arrays = Path(specification["arrays"])
    torchvision.datasets.CIFAR10 = FakeCifar10
    stand_in_for_old_modules()
    allow_overlapping_assignment()
    global _clock
    _clock = CLOCKS[specification.get("clock", "wall")]
    programs = {"distil": distil, "evaluate": evaluate, "condense": condense, "trajectories": match_trajectories}
    programs[specification["do"]](Channel(answers), specification)


if __name__ == "__main__":
    main()
