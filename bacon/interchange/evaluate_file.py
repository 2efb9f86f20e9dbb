"""Evaluate the distilled set in a file, ours or anyone's, under a named protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bacon.artifacts.evaluation_records import Record, write_evaluation
from bacon.config.presets import NETWORKS, PROTOCOLS
from bacon.datasets.registry import REGISTRY
from bacon.datasets.store import ImageDataset, read_dataset
from bacon.evaluation.evaluate_cell import evaluation_content, train_all
from bacon.evaluation.trained_networks import EvaluationFingerprints, EvaluationJob, Networks
from bacon.interchange.arrays import is_export
from bacon.interchange.content import images_sha256
from bacon.interchange.load import read_export
from bacon.interchange.published_layouts import Pixels, Statement, image_set, read_foreign
from bacon.plan.fingerprint import fingerprint
from bacon.plan.plan import EVALUATE_MODULES, EVALUATION_COUNTS, augmentation_code
from bacon.runtime.errors import BaconError
from bacon.settings.cells import DATA
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings

METHOD = "file"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asks for.

    Attributes:
        file: the distilled set.
        data: name of a prepared data set, or its HDF5 file; empty: what a file of ours says.
        pixels: how a foreign file's pixels are given; ``None``: not stated.
        partition: of a foreign file; ``None``: not stated.
        mean: of normalised pixels; the text ``data`` stands for the data set's.
        std: likewise.
        experiment: which of several sets in a file.
        network: name of the evaluation network.
        protocol: name of the protocol.
        evaluation: keys of ``evaluation`` that win over the protocol.
    """

    file: Path
    data: str
    pixels: Pixels | None = None
    partition: int | None = None
    mean: str = ""
    std: str = ""
    experiment: int | None = None
    network: str = "convnet"
    protocol: str = "paper"
    evaluation: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an evaluation found.

    Attributes:
        records: one a network.
        selection: what the validation split chose; ``None``: nothing was to be chosen.
        settings: the protocol as it was used.
        network: the network as it was used.
        statement: what the file holds.
        dataset: name of the data set.
        images: training images, decoded.
    """

    records: list[Record]
    selection: dict[str, Any] | None
    settings: EvaluationSettings
    network: NetworkSettings
    statement: Statement
    dataset: str
    images: int


@dataclass(frozen=True, kw_only=True)
class _Content:
    """A file's images and labels as they are, what they are, and the distillation seed that keys the draws."""

    images: Tensor
    labels: Tensor
    statement: Statement
    seed: int


def evaluate_file(request: Request, *, device: torch.device, cache: Path, output: Path | None = None) -> Result:
    """Train and test the networks of a protocol on the distilled set in a file.

    Args:
        request: what is asked for.
        device: where networks are trained.
        cache: folder of finished networks, so that a stopped call goes on where it was.
        output: the evaluation file to write (JSON), as the workflow's with ``source`` added; ``None``: none.

    Raises:
        BaconError: something about the file is not stated, contradicts it, or does not fit the data set.
    """
    content, data_path = _content_and_data(request)
    dataset = read_dataset(data_path, train=False)
    train = image_set(request.file, content.images, content.labels, content.statement, dataset, device)
    job = _job(request, dataset, content, device, cache)
    networks = Networks(job, lambda *_: train, data_path, final=0)
    records, selection = train_all(networks)
    if output is not None:
        source = {
            "file": str(request.file),
            "sha256": hashlib.sha256(_bytes(request.file)).hexdigest(),
            "pixels": content.statement.pixels,
            "mean": list(content.statement.mean),
            "std": list(content.statement.std),
            "partition": content.statement.partition,
            "training_images": len(train),
        }
        write_evaluation(output, {**evaluation_content(job, selection), "source": source}, records)
    return Result(
        records=records,
        selection=selection,
        settings=job.evaluation,
        network=job.network,
        statement=content.statement,
        dataset=dataset.name,
        images=len(train),
    )


def _bytes(file: Path) -> bytes:
    """Of a file; of a folder its metadata, which hold a checksum of its images."""
    return (file / "bacon.json" if file.is_dir() else file).read_bytes()


def _content_and_data(request: Request) -> tuple[_Content, Path]:
    file = request.file
    if file.is_dir() or file.suffix in (".h5", ".safetensors") or is_export(file):
        return _ours(request)
    if not request.data:
        raise BaconError(f"{file}: say with --data which data set it is distilled from, for example --data cifar10")
    images, labels = read_foreign(file, experiment=request.experiment)
    data_path = _data_path(request.data)
    return _Content(images=images, labels=labels, statement=_stated(request, data_path), seed=0), data_path


def _ours(request: Request) -> tuple[_Content, Path]:
    """A file of ours says everything itself."""
    stated = {
        "--pixels": request.pixels,
        "--partition": request.partition,
        "--mean": request.mean or None,
        "--std": request.std or None,
        "--experiment": request.experiment,
    }
    given = [name for name, value in stated.items() if value is not None]
    if given:
        raise BaconError(f"{request.file}: says itself what it holds; leave {', '.join(given)} out")
    export = read_export(request.file)
    data_path = _data_path(request.data or str(export.metadata["dataset"]))
    partition = int(export.metadata["partition"])
    if export.whitening is not None:  # linear, so partition may be undone before or after
        statement, images = Statement(pixels="raw", partition=partition), export.raw()
    else:
        mean, std = (tuple(float(value) for value in export.metadata[name]) for name in ("mean", "std"))
        statement, images = Statement(pixels="normalised", partition=partition, mean=mean, std=std), export.images
    return _Content(
        images=images, labels=export.labels, statement=statement, seed=int(export.metadata["seed"])
    ), data_path


def _data_path(data: str) -> Path:
    path = Path(data) if data.endswith(".h5") else Path(DATA.format(dataset=data))
    if not path.is_file():
        raise BaconError(f"{path}: the data set is not prepared; `snakemake {path}` prepares one of the configuration")
    return path


def _stated(request: Request, data_path: Path) -> Statement:
    """What the options say about a foreign file; raises :class:`BaconError` that lists everything that is missing."""
    missing = []
    if request.pixels is None:
        missing.append(
            "--pixels raw (floats in [0, 1]), --pixels uint8 (0 to 255), or --pixels normalised with --mean and --std: one "
            "number a channel, such as 0.4914,0.4822,0.4465, or `data` for those of the data set"
        )
    elif request.pixels == "normalised":
        missing += [
            f"{name}: what the pixels were normalised with, one number a channel, or `data` for those of the data set"
            for name, value in (("--mean", request.mean), ("--std", request.std))
            if not value
        ]
    elif request.mean or request.std:
        raise BaconError(f"--mean and --std belong to --pixels normalised, not to --pixels {request.pixels}")
    if request.partition is None:
        missing.append("--partition 1 (each image is one), or 2 (four in one, as IDM and BACON store them)")
    if missing or request.pixels is None or request.partition is None:
        listing = "\n".join(f"  {line}" for line in missing)
        raise BaconError(
            f"{request.file}: does not say how its pixels and images are to be read, and nothing is guessed. Give\n{listing}"
        )
    return Statement(
        pixels=request.pixels,
        partition=request.partition,
        mean=_numbers("mean", request.mean, data_path),
        std=_numbers("std", request.std, data_path),
    )


def _numbers(name: str, text: str, data_path: Path) -> tuple[float, ...]:
    if text == "data":
        return tuple(getattr(read_dataset(data_path), name))
    try:
        values = tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise BaconError(f"--{name} {text!r}: numbers with commas between them, one a channel, or `data`") from None
    if name == "std" and any(not value > 0 for value in values):
        raise BaconError(f"--std {text!r}: must be positive")
    return values


def _job(
    request: Request, dataset: ImageDataset, content: _Content, device: torch.device, cache: Path
) -> EvaluationJob:
    registered = REGISTRY[dataset.name].settings if dataset.name in REGISTRY else {}
    network = _network(request.network, registered.get("network", {}))
    layers = (PROTOCOLS[request.protocol].evaluation, registered.get("evaluation", {}), request.evaluation)
    evaluation = EvaluationSettings.model_validate({key: value for layer in layers for key, value in layer.items()})
    stated = {
        "statement": [content.statement.pixels, content.statement.partition, *map(list, _mean_std(content.statement))]
    }
    protocol = evaluation.model_dump(mode="json", exclude=set(EVALUATION_COUNTS))
    record = fingerprint(
        "evaluate file",
        settings={**stated, "evaluation": protocol, "network": network.model_dump(mode="json"), "seed": content.seed},
        modules=(*EVALUATE_MODULES, *evaluation.shared_modules(), "bacon.interchange.published_layouts"),
        inputs={"data": dataset.fingerprint, "images": images_sha256(content.images, content.labels)},
    )
    return EvaluationJob(
        dataset=dataset.name,
        method=METHOD,
        ipc=None,
        seed=content.seed,
        network_name=request.network,
        network=network,
        evaluation=evaluation,
        protocol=request.protocol,
        fingerprints=EvaluationFingerprints(
            rule=record, record=record, data=dataset.fingerprint, augmentations=augmentation_code(evaluation)
        ),
        cache=cache,
        device=device,
    )


def _mean_std(statement: Statement) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return statement.mean, statement.std


def _network(name: str, own: Mapping[str, Any]) -> NetworkSettings:
    """A network known by name; a variant of ConvNet is one of the data set's own."""
    known: Mapping[str, Mapping[str, Any]] = {"convnet": {}, **NETWORKS}
    if name not in known:
        raise BaconError(f"--network {name!r} is unknown (allowed: {', '.join(known)})")
    changes = known[name]
    return NetworkSettings.model_validate({**({} if "architecture" in changes else own), **changes})
