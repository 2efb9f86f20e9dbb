"""The published BACON code as a baseline: a checkout that the user fetched, run in a process of its own, in turns with ours."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from bacon.datasets.store import ImageDataset
from bacon.runtime.errors import BaconError
from benchmarks.cells import ROOT, Measured

BACON_FILES = ("BACON_cifar10.py", "dc_utils.py", "utils.py")
"""What a checkout of the published BACON code holds."""


def check_checkout(checkout: Path, needed: Sequence[str] = BACON_FILES) -> None:
    """Raise :class:`BaconError` when ``checkout`` is not the folder with the published programs."""
    missing = [name for name in needed if not (checkout / name).is_file()]
    if missing:
        raise BaconError(
            f"--published {checkout}: {', '.join(missing)} missing; give the folder that holds the published programs"
        )


def distillation_arguments(measured: Measured) -> list[str]:
    """The published program's arguments for our settings; as in its list of commands, evaluation out of the way.

    Raises:
        BaconError: the cell is not one that the program can run.
    """
    settings, queue = measured.matching, measured.matching.networks
    if measured.cell.dataset != "cifar10" or measured.cell.method != "bacon" or queue.source != "queue":
        raise BaconError(f"cell {measured.cell}: the published program is timed on cifar10/bacon cells only")
    values = {
        "dataset": "CIFAR10",
        "model": "ConvNet",
        "ipc": measured.ipc,
        "dsa_strategy": settings.dsa_strategy,
        "init": settings.init,
        "lr_img": settings.lr_img,
        "lr_net": queue.lr_net,
        "num_exp": 1,
        "num_eval": 1,
        "eval_interval": 10**9,
        "Iteration": 10**9 - 1,
        "embed_last": 1000,
        "ce_weight": queue.ce_weight,
        "train_net_num": 1,
        "batch_real": settings.batch_real,
        "trained_bs": queue.batch_train,
        "net_num": queue.capacity,
        "net_generate_interval": queue.net_generate_interval,
        "model_train_steps": queue.model_train_steps,
    }
    flags = ["net_train_real", "net_decay", "syn_ce", "aug"]
    return [text for key, value in values.items() for text in (f"--{key}", str(value))] + [
        f"--{flag}" for flag in flags
    ]


class Published:
    """The published program, stopped between its iterations (or evaluations) until asked.

    Args:
        checkout: folder with the published programs.
        dataset: the data set, which the program gets instead of its download.
        threads: CPU threads.
        specification: what ``benchmarks.published_driver`` shall do.
        needed: files that the checkout must have.
        arrays: more arrays for the program, by the name they have in the specification.
    """

    def __init__(
        self,
        checkout: Path,
        dataset: ImageDataset,
        *,
        threads: int,
        specification: dict[str, Any],
        needed: Sequence[str] = BACON_FILES,
        **arrays: Any,
    ) -> None:
        check_checkout(checkout, needed)
        self.checkout, self.dataset, self.threads = checkout, dataset, threads
        self.specification, self.arrays = specification, arrays

    def __enter__(self) -> Self:
        """Start the program and wait until it stands before its first iteration."""
        self._folder = tempfile.TemporaryDirectory(prefix="bacon-benchmark-")
        folder = Path(self._folder.name)
        names = self._write_inputs(folder)
        specification = folder / "specification.json"
        content = self.specification | names | {"threads": self.threads}
        specification.write_text(json.dumps(content), encoding="utf-8")
        self._log = (folder / "log.txt").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks" / "published_driver.py"), str(self.checkout), str(specification)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=folder,
        )
        self._read()
        return self

    def _write_inputs(self, folder: Path) -> dict[str, str]:
        data = self.dataset
        np.savez(
            folder / "arrays.npz",
            x_train=data.train_images,
            y_train=data.train_labels,
            x_test=data.test_images,
            y_test=data.test_labels,
        )
        names = {"arrays": str(folder / "arrays.npz")}
        for name, array in self.arrays.items():
            names[name] = str(folder / f"{name}.npy")
            np.save(names[name], array.numpy() if isinstance(array, torch.Tensor) else array)
        return names

    def ask(self, **order: Any) -> dict[str, Any]:
        """Let the program go on, and return what it measured."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which reading says
            self._process.stdin.write(json.dumps({"do": "go"} | order) + "\n")
            self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            tail = "".join(self._log.readlines()[-5:]).strip()
            raise BaconError(
                f"--published {self.checkout}: the published program ended with status {self._process.returncode}: {tail}\n"
                "Install what it imports (torchnet, kornia, tqdm, timm, scikit-learn) or name a folder with it in PYTHONPATH."
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the program."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # an order that nobody read
            self._process.stdin.close()
        self._process.wait()
        self._log.close()
        self._folder.cleanup()
