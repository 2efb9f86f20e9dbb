"""Distilled sets for DC-BENCH (Cui et al., NeurIPS 2022): what goes into its folder ``distilled_results``.

Its loaders belong to methods, and find a file by its name, which says method, data set and IPC. Sets of methods that it does
not know are written as it reads MTT's ("TM"), the loader of plain tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bacon.interchange.benchmark_data import (
    CIFAR10_MOMENTS,
    CIFAR100_MOMENTS,
    IMAGENET_MOMENTS,
    BenchmarkData,
    benchmark_data,
    normalised_for,
)
from bacon.interchange.content import Export

DATA: Mapping[str, BenchmarkData] = {
    "cifar10": BenchmarkData(name="CIFAR10", classes=10, size=32, moments=CIFAR10_MOMENTS),
    "cifar100": BenchmarkData(name="CIFAR100", classes=100, size=32, moments=CIFAR100_MOMENTS),
    "tinyimagenet": BenchmarkData(name="tinyimagenet", classes=200, size=64, moments=IMAGENET_MOMENTS),
}
# Its loader wants the set of TM, TinyImageNet, IPC 50 in this number of files.
_SPLIT = ("tinyimagenet", 50, 5)

Writer = Callable[[Path, BenchmarkData, int, Tensor, Tensor], None]


@dataclass(frozen=True, kw_only=True)
class Loader:
    """How DC-BENCH reads the sets of a method.

    Attributes:
        method: the value of its option ``--method``.
        folder: in ``distilled_results``.
        write: writes images and labels into the folder of data set and IPC.
    """

    method: str
    folder: str
    write: Writer


def write_dc_bench(export: Export, folder: Path) -> None:
    """Write a set below an empty ``folder``; not atomic by itself.

    Args:
        export: decoded; of CIFAR-10, CIFAR-100 or TinyImageNet. Its soft labels and learning rates are left out.
        folder: gets ``METHOD/DATA/IPCn/`` with images (N, 3, H, W) float32, normalised as DC-BENCH does with real images, and
            labels (N,) int64; and ``README.md``.

    Raises:
        BaconError: DC-BENCH does not have the data set as it is in the export.
    """
    data = benchmark_data(export, DATA, "DC-BENCH")
    loader, ipc = loader_of(export.metadata["method"]), int(export.metadata["ipc"])
    target = folder / loader.folder / data.name / f"IPC{ipc}"
    target.mkdir(parents=True)
    loader.write(target, data, ipc, normalised_for(export, data).contiguous(), export.synthetic.classes)
    (folder / "README.md").write_text(_readme(export, loader, data, ipc), encoding="utf-8")


def loader_of(method: str) -> Loader:
    """The loader of a method's sets."""
    return _LOADERS.get(method, _LOADERS["mtt"])


def _experiments(method: str) -> Writer:
    """One file with a list of (images, labels), as the code of DC, DSA and DM writes it."""

    def write(folder: Path, data: BenchmarkData, ipc: int, images: Tensor, labels: Tensor) -> None:
        network = "ConvNetD4" if data.name == "tinyimagenet" else "ConvNet"
        name = f"res_{method}_{data.name}_{network}_{ipc}ipc.pt"
        torch.save({"data": [[images, labels]]}, folder / name)

    return write


def _two_files(middle: str) -> Writer:
    """A file of images and one of labels."""

    def write(folder: Path, data: BenchmarkData, ipc: int, images: Tensor, labels: Tensor) -> None:
        for what, tensor in (("images", images), ("labels", labels)):
            torch.save(tensor, folder / f"{data.name}_IPC{ipc}_{middle}{what}.pt")

    return write


def _best(folder: Path, data: BenchmarkData, ipc: int, images: Tensor, labels: Tensor) -> None:
    """``images_best.pt`` and ``labels_best.pt``, as the code of MTT writes them."""
    split, split_ipc, parts = _SPLIT
    for what, tensor in (("images", images), ("labels", labels)):
        if (data.name, ipc) == (split, split_ipc):
            for part, piece in enumerate(tensor.chunk(parts)):
                torch.save(piece.clone(), folder / f"{what}_best_{part}.pt")
        else:
            torch.save(tensor, folder / f"{what}_best.pt")


_LOADERS: Mapping[str, Loader] = {
    "dc": Loader(method="dc", folder="DC", write=_experiments("DC")),
    "dsa": Loader(method="dsa", folder="DSA", write=_experiments("DSA")),
    "dm": Loader(method="dm", folder="DM", write=_experiments("DM")),
    "random": Loader(method="random", folder="random", write=_two_files("normalize_")),
    "kmeans": Loader(method="kmeans", folder="Kmeans", write=_two_files("")),
    "mtt": Loader(method="tm", folder="TM", write=_best),
}


def _readme(export: Export, loader: Loader, data: BenchmarkData, ipc: int) -> str:
    synthetic = export.synthetic
    notes = ["Images are normalised as DC-BENCH does with the real images."]
    if export.whitening is not None:
        notes.append(
            "They were distilled whitened, which DC-BENCH does not do: networks are trained with their pixels."
        )
    if export.metadata["method"] not in _LOADERS:
        notes.append("DC-BENCH does not know the method: the set lies where it looks for one of MTT.")
    if synthetic.soft is not None:
        notes.append("DC-BENCH takes no soft labels: the labels are the classes, with which the method may do worse.")
    if synthetic.rates is not None:
        notes.append("DC-BENCH takes no learned learning rates: it trains with its own.")
    listed = "\n".join(f"- {note}" for note in notes)
    command = (
        f"cp -r {loader.folder} DC_BENCHMARK/distilled_results/\ncd DC_BENCHMARK\n"
        f"python evaluator/evaluator.py --method {loader.method} --dataset {data.name} --ipc {ipc} --model convnet --dsa"
    )
    return f"# {export.name} for DC-BENCH\n\n```sh\n{command}\n```\n\n{listed}\n"
