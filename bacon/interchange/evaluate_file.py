"""Evaluate the distilled set in a file, ours or anyone's, under a named protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bacon.artifacts.evaluation_records import Record, write_evaluation
from bacon.config.presets import NETWORKS
from bacon.datasets.registry import REGISTRY
from bacon.datasets.store import ImageDataset, read_dataset
from bacon.evaluation.evaluate_cell import evaluation_content, train_all
from bacon.evaluation.evaluation_inputs import EvaluationFingerprints, EvaluationJob
from bacon.evaluation.trained_networks import Networks
from bacon.interchange.content import tensors_sha256
from bacon.interchange.file_content import FileContent, training_set
from bacon.interchange.folders import METADATA, is_own_folder
from bacon.interchange.requested_set import LEARNED, Request, content_and_data
from bacon.interchange.train_teachers import teacher_runs
from bacon.plan.fingerprint import digest, fingerprint
from bacon.plan.plan import EVALUATION_COUNTS, augmentation_code
from bacon.plan.stage_code import evaluate_modules
from bacon.runtime.errors import BaconError
from bacon.settings.evaluation import EvaluationSettings, merged_evaluation
from bacon.settings.network import NetworkSettings
from bacon.settings.protocol_data import DataFacts
from bacon.settings.protocols import protocol_settings
from bacon.settings.training_need import TrainingNeed

METHOD = "file"


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
    content, seed, data_path = content_and_data(request)
    dataset = read_dataset(data_path, train=False)
    train = training_set(request.file, content, dataset, device)
    job = _job(request, dataset, content, seed, device, cache)
    if request.teachers:
        job = _with_teachers(job, request.teachers, dataset, data_path)
    networks = Networks(job, lambda *_: train, data_path, final=0)
    records, selection = train_all(networks)
    learned_rates = 0 if content.rates is None else len(content.rates)
    said = evaluation_content(job, selection, labels=content.format.labels, learned_rates=learned_rates)
    said |= {"whitened": True} if dataset.whitening is not None else {}
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
