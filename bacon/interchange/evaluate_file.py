"""Evaluate the distilled set in a file, ours or anyone's, under a named protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bacon.artifacts.distilled_file import is_distilled
from bacon.artifacts.evaluation_records import Record, write_evaluation
from bacon.config.presets import NETWORKS
from bacon.datasets.registry import REGISTRY
from bacon.datasets.store import ImageDataset, read_dataset
from bacon.evaluation.evaluate_cell import evaluation_content, train_all
from bacon.evaluation.trained_networks import EvaluationFingerprints, EvaluationJob, Networks
from bacon.interchange.arrays import is_export
from bacon.interchange.class_images import read_class_images
from bacon.interchange.content import tensors_sha256
from bacon.interchange.file_content import FileContent, FileFormat, LabelKind, Pixels, training_set
from bacon.interchange.folders import METADATA, is_own_folder
from bacon.interchange.load import read_export
from bacon.interchange.published_layouts import has_soft_labels, may_be_classes, published_content, read_tensors
from bacon.interchange.train_teachers import teacher_runs
from bacon.plan.fingerprint import digest, fingerprint
from bacon.plan.plan import EVALUATION_COUNTS, augmentation_code
from bacon.plan.stage_code import evaluate_modules
from bacon.runtime.errors import BaconError
from bacon.settings.cells import DATA
from bacon.settings.evaluation import EvaluationSettings, merged_evaluation
from bacon.settings.network import NetworkSettings
from bacon.settings.protocol_data import DataFacts
from bacon.settings.protocols import protocol_settings
from bacon.settings.training_need import TrainingNeed

METHOD = "file"
LEARNED = "learned"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks for.

    Attributes:
        file: the distilled set.
        data: name of a prepared data set, or its HDF5 file; empty: what a file of ours says.
        pixels: how the pixels of someone else's file are given; ``None``: not stated.
        partition: of such a file; ``None``: not stated.
        labels: what soft labels of such a file are; ``None``: not stated.
        mean: that pixels were normalised with; the text ``data`` means the data set's.
        std: the standard deviation, in the same form.
        experiment: which of several sets in a file.
        lr: initial learning rate, a number, in place of the protocol's; ``learned``: the one that a file of ours holds; empty:
            the protocol's.
        network: name of the evaluation network.
        protocol: name of the protocol.
        evaluation: keys of ``evaluation`` that win over the protocol.
        network_settings: the evaluation network as it is, whatever its name says; ``None``: what the name leads to.
        own_network: keys of ``network`` that a data set which is not registered has in a configuration.
        title: of the method that made the set, for a leaderboard; empty: not stated.
        teachers: what is trained on the real set to label the batches, where the protocol's labels come from teachers;
            ``None``: not known, and such a protocol is refused.
    """

    file: Path
    data: str
    pixels: Pixels | None = None
    partition: int | None = None
    labels: LabelKind | None = None
    mean: str = ""
    std: str = ""
    experiment: int | None = None
    lr: str = ""
    network: str = "convnet"
    protocol: str = "paper"
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    network_settings: NetworkSettings | None = None
    own_network: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    teachers: Sequence[TrainingNeed] | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an evaluation found.

    Attributes:
        records: one a network.
        said: what an evaluation file says of them.
        selection: what the validation split chose; ``None``: nothing was to be chosen.
        settings: the protocol as it was used.
        network: the network as it was used.
        content: what the file holds.
        dataset: name of the data set.
        images: training images, decoded.
    """

    records: list[Record]
    said: Mapping[str, Any]
    selection: dict[str, Any] | None
    settings: EvaluationSettings
    network: NetworkSettings
    content: FileContent
    dataset: str
    images: int


def evaluate_file(request: Request, *, device: torch.device, cache: Path, output: Path | None = None) -> Result:
    """Train and test the networks of a protocol on the distilled set in a file.

    Args:
        request: what is asked for.
        device: where networks are trained.
        cache: folder of finished networks, so that a stopped call resumes.
        output: the evaluation file to write (JSON), as the workflow's with ``source`` added; ``None``: none.

    Raises:
        BaconError: something about the file is not stated, contradicts it, or does not fit the data set.
    """
    content, seed, data_path = _content_and_data(request)
    dataset = read_dataset(data_path, train=False)
    train = training_set(request.file, content, dataset, device)
    job = _job(request, dataset, content, seed, device, cache)
    if request.teachers:
        job = _with_teachers(job, request.teachers, dataset, data_path)
    networks = Networks(job, lambda *_: train, data_path, final=0)
    records, selection = train_all(networks)
    learned_rates = 0 if content.rates is None else len(content.rates)
    said = evaluation_content(job, selection, labels=content.format.labels, learned_rates=learned_rates)
    if output is not None:
        write_evaluation(output, {**said, "source": _source(request, content, dataset, len(train))}, records)
    return Result(
        records=records,
        said={**said, "records": records},
        selection=selection,
        settings=job.evaluation,
        network=job.network,
        content=content,
        dataset=dataset.name,
        images=len(train),
    )


def _with_teachers(
    job: EvaluationJob, needs: Sequence[TrainingNeed], dataset: ImageDataset, data_path: Path
) -> EvaluationJob:
    """The job with its teachers trained; networks of other teachers are others."""
    runs = teacher_runs(needs, dataset, data=data_path, device=job.device, folder=job.cache)
    record = digest({"record": job.fingerprints.record, "teachers": [[one.fingerprint, len(one)] for one in runs]})
    return replace(job, teachers=runs, fingerprints=replace(job.fingerprints, rule=record, record=record))


def _source(request: Request, content: FileContent, dataset: ImageDataset, training_images: int) -> dict[str, Any]:
    """What an evaluation file says of the file that was evaluated; bytes are of its tensors, uncompressed."""
    registered = REGISTRY.get(dataset.name)
    soft = (part for part in (content.soft, content.rates) if part is not None)
    return {
        "file": str(request.file),
        "title": request.title or request.file.name,
        "dataset_title": registered.title if registered else dataset.name,
        "ipc": len(content.classes) // len(dataset.class_names),
        "image_bytes": content.images.nbytes,
        "label_bytes": sum(part.nbytes for part in soft),
        "sha256": _sha256(request.file, content),
        "pixels": content.format.pixels,
        "mean": list(content.format.mean),
        "std": list(content.format.std),
        "partition": content.format.partition,
        "labels": content.format.labels,
        "learned_rates": [] if content.rates is None else content.rates.tolist(),
        "training_images": training_images,
    }


def _sha256(file: Path, content: FileContent) -> str:
    """Of a file; of a folder of ours its metadata, which hold a checksum of its images; of class folders pixels and labels."""
    if not file.is_dir():
        return hashlib.sha256(file.read_bytes()).hexdigest()
    if not is_own_folder(file):
        return tensors_sha256(content.images, content.classes)
    return hashlib.sha256((file / METADATA).read_bytes()).hexdigest()


def _content_and_data(request: Request) -> tuple[FileContent, int, Path]:
    """What the file holds, the distillation seed that keys the draws, and the prepared data set."""
    file = request.file
    if is_own_folder(file) or is_distilled(file) or is_export(file):
        return _ours(request)
    # A file that cannot be read is told of before what its reader would have to be told.
    tensors = None if file.is_dir() else read_tensors(file, experiment=request.experiment)
    if not request.data:
        raise BaconError(
            f"{file}: give the data set that it was distilled from with --data, for example --data cifar10"
        )
    if request.lr == LEARNED:
        raise BaconError(f"{file}: does not hold its learned learning rate; give it as a number: --lr 0.02")
    data_path = data_path_of(request.data)
    images, labels = _class_images(request, data_path) if tensors is None else tensors
    if tensors is None:
        request = replace(request, pixels=request.pixels or "uint8")
    file_format = _stated(request, labels, data_path)
    return published_content(file, images, labels, file_format), 0, data_path


def _class_images(request: Request, data_path: Path) -> tuple[Tensor, Tensor]:
    if request.experiment is not None:
        raise BaconError(f"{request.file}: holds one distilled set; leave --experiment out")
    dataset = read_dataset(data_path, train=False)
    channels = dataset.test_images.shape[1]
    return read_class_images(request.file, class_names=dataset.class_names, channels=channels)


def _ours(request: Request) -> tuple[FileContent, int, Path]:
    """A file of ours says everything itself."""
    stated = {
        "--pixels": request.pixels,
        "--partition": request.partition,
        "--labels": request.labels,
        "--mean": request.mean or None,
        "--std": request.std or None,
        "--experiment": request.experiment,
    }
    given = [name for name, value in stated.items() if value is not None]
    if given:
        raise BaconError(f"{request.file}: the file already says what it holds; leave out {', '.join(given)}")
    export = read_export(request.file)
    synthetic = export.synthetic
    mean, std = (tuple(float(value) for value in export.metadata[name]) for name in ("mean", "std"))
    whitened = export.whitening is not None
    file_format = FileFormat(
        pixels="whitened" if whitened else "normalised",
        partition=synthetic.partition,
        labels=synthetic.soft_kind or "classes",
        mean=() if whitened else mean,
        std=() if whitened else std,
    )
    content = FileContent(
        images=synthetic.images,
        classes=synthetic.classes,
        format=file_format,
        soft=synthetic.soft,
        rates=synthetic.rates,
        whitening=export.whitening,
    )
    return content, int(export.metadata["seed"]), data_path_of(request.data or str(export.metadata["dataset"]))


def data_path_of(data: str) -> Path:
    """The file of a prepared data set, given by name or path; raises :class:`BaconError` if it is not there."""
    path = Path(data) if data.endswith(".h5") else Path(DATA.format(dataset=data))
    if not path.is_file():
        raise BaconError(
            f"{path}: the data set is not prepared; `snakemake {path}` prepares a data set of the configuration"
        )
    return path


def _stated(request: Request, labels: Tensor, data_path: Path) -> FileFormat:
    """What the options say of someone else's file; raises :class:`BaconError` that lists everything that is missing."""
    missing = []
    if request.pixels is None:
        missing.append(
            "--pixels raw (floats in [0, 1]), --pixels uint8 (0 to 255), or --pixels normalised with --mean and "
            "--std: one number per channel, such as 0.4914,0.4822,0.4465, or `data` for those of the data set"
        )
    elif request.pixels == "normalised":
        missing += [
            f"{name}: what the pixels were normalised with, one number per channel, or `data` for those of the data set"
            for name, value in (("--mean", request.mean), ("--std", request.std))
            if not value
        ]
    elif request.mean or request.std:
        raise BaconError(f"--mean and --std belong to --pixels normalised, not to --pixels {request.pixels}")
    if request.partition is None:
        missing.append(
            "--partition 1 (each image is one training image), or 2 (four in one, as IDM and BACON store them)"
        )
    kind = _label_kind(request, labels)
    if kind is None:
        missing.append("--labels probabilities or --labels logits: what its soft labels are")
    if missing or request.pixels is None or request.partition is None or kind is None:
        raise BaconError(
            f"{request.file}: the file does not say how to read its tensors, and nothing is guessed. "
            f"Give {'; and '.join(missing)}"
        )
    return FileFormat(
        pixels=request.pixels,
        partition=request.partition,
        labels=kind,
        mean=_numbers("mean", request.mean, data_path),
        std=_numbers("std", request.std, data_path),
    )


def _label_kind(request: Request, labels: Tensor) -> LabelKind | None:
    """What the labels are: integers, and one-hot rows if nothing else is said, are classes. ``None``: soft, of unknown kind."""
    soft, classes = has_soft_labels(labels), may_be_classes(labels)
    if request.labels is not None and not (classes if request.labels == "classes" else soft):
        raise BaconError(
            f"{request.file}: labels are {labels.dtype} {tuple(labels.shape)}, which is not what --labels {request.labels} says"
        )
    return request.labels or ("classes" if classes else None)


def _numbers(name: str, text: str, data_path: Path) -> tuple[float, ...]:
    if text == "data":
        return tuple(getattr(read_dataset(data_path), name))
    try:
        values = tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise BaconError(
            f"--{name} {text!r}: must be numbers separated by commas, one per channel, or `data`"
        ) from None
    if name == "std" and any(not value > 0 for value in values):
        raise BaconError(f"--std {text!r}: must be positive")
    return values


def _evaluation(
    request: Request, dataset: ImageDataset, content: FileContent, registered: Mapping[str, Any]
) -> EvaluationSettings:
    """The settings of the request's protocol for this set, over those that are the data set's own."""
    classes = len(dataset.class_names)
    facts = DataFacts(
        name=dataset.name, size=dataset.test_images.shape[-1], classes=classes, ipc=len(content.classes) // classes
    )
    own = {**request.evaluation, **_learning_rate(request, content)}
    evaluation = merged_evaluation(protocol_settings(request.protocol, facts), registered, own)
    if evaluation.labels == "teacher" and request.teachers is None:
        raise BaconError(
            f"protocol {request.protocol}: its labels come from networks trained on the real set, which a file alone does not "
            "have; evaluate the method in a workflow with this protocol, or the file with another one (docs/evaluation.md)"
        )
    return evaluation


def _job(
    request: Request, dataset: ImageDataset, content: FileContent, seed: int, device: torch.device, cache: Path
) -> EvaluationJob:
    registered = REGISTRY[dataset.name].settings if dataset.name in REGISTRY else {}
    network = request.network_settings or _network(request.network, registered.get("network", request.own_network))
    evaluation = _evaluation(request, dataset, content, registered.get("evaluation", {}))
    protocol = evaluation.model_dump(mode="json", exclude={*EVALUATION_COUNTS, "teachers"})
    tensors = (content.images, content.classes, content.soft, content.rates)
    record = fingerprint(
        "evaluate file",
        settings={
            "format": asdict(content.format),
            "evaluation": protocol,
            "network": network.model_dump(mode="json"),
            "seed": seed,
        },
        modules=(*evaluate_modules(network), *evaluation.shared_modules(), "bacon.interchange.file_content"),
        inputs={
            "data": dataset.fingerprint,
            "content": tensors_sha256(*(part for part in tensors if part is not None)),
        },
    )
    return EvaluationJob(
        dataset=dataset.name,
        method=METHOD,
        ipc=None,
        seed=seed,
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


def _learning_rate(request: Request, content: FileContent) -> dict[str, Any]:
    """Keys of ``evaluation`` for the learning rate that is asked for."""
    if not request.lr:
        return {}
    if request.lr == LEARNED:
        if content.rates is None or len(content.rates) != 1:
            found = (
                "no learned learning rate" if content.rates is None else f"{len(content.rates)} of them, one per step"
            )
            raise BaconError(f"{request.file}: --lr learned needs one learned learning rate; it holds {found}")
        return {"lr": "fixed", "lr_net": float(content.rates[0]), "lr_search": ()}
    try:
        rate = float(request.lr)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise BaconError(
            f"--lr {request.lr!r}: must be a number above 0, or `learned` for the one stored in a file of this project"
        )
    return {"lr": "fixed", "lr_net": rate, "lr_search": ()}


def _network(name: str, own: Mapping[str, Any]) -> NetworkSettings:
    """A network known by name; a variant of ConvNet is one of the data set's own."""
    known: Mapping[str, Mapping[str, Any]] = {"convnet": {}, **NETWORKS}
    if name not in known:
        raise BaconError(f"--network {name!r} is unknown (allowed: {', '.join(known)})")
    changes = known[name]
    return NetworkSettings.model_validate({**({} if "architecture" in changes else own), **changes})
