"""A distilled set in a file, ours or anyone's, and what the user says of it: its tensors and the data set they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bacon.artifacts.distilled_file import is_distilled
from bacon.config.setting_errors import nearest
from bacon.datasets.registry import REGISTRY
from bacon.datasets.store import open_store, read_dataset
from bacon.interchange.arrays import is_export
from bacon.interchange.class_images import read_class_images
from bacon.interchange.content import Export
from bacon.interchange.file_content import FileContent, FileFormat, LabelKind, Pixels
from bacon.interchange.folders import is_own_folder
from bacon.interchange.load import read_export
from bacon.interchange.published_layouts import has_soft_labels, may_be_classes, published_content, read_tensors
from bacon.runtime.errors import BaconError
from bacon.settings.cells import DATA, PLAIN, WHITENED
from bacon.settings.network import NetworkSettings
from bacon.settings.training_need import TrainingNeed

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


def content_and_data(request: Request) -> tuple[FileContent, int, Path]:
    """What the file holds, and where the data set lies.

    Args:
        request: the file, and what is said of it.

    Returns:
        The content, the distillation seed that keys the draws (0 for a file from elsewhere), and the prepared data set.

    Raises:
        BaconError: the file cannot be read, something about it is not stated or contradicts it, or there is no such data set.
    """
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
    data_path = data_path_of(request.data) if request.data else _own_data_path(export)
    return content, int(export.metadata["seed"]), data_path


def _own_data_path(export: Export) -> Path:
    """The prepared data set that a set of ours was distilled from: by its name, and then by its fingerprint or form."""
    name, made_from = str(export.metadata["dataset"]), str(export.metadata["data_fingerprint"])
    forms = prepared_forms(name)
    alike = [form for form in forms if form.fingerprint == made_from]
    alike += [form for form in forms if form.whitened == (export.whitening is not None)]
    return alike[0].path if alike else data_path_of(name, typed=False)


@dataclass(frozen=True)
class PreparedForm:
    """A prepared file of a data set.

    Attributes:
        path: of the file.
        fingerprint: that it carries.
        whitened: whether images are whitened by ZCA.
    """

    path: Path
    fingerprint: str
    whitened: bool


def prepared_forms(name: str) -> list[PreparedForm]:
    """The prepared files of a data set where the workflow puts them, its own form first; damaged ones are left out."""
    paths = [Path(DATA.format(dataset=form)) for form in (name, f"{name}-{WHITENED}", f"{name}-{PLAIN}")]
    return [form for path in paths if path.is_file() and (form := prepared_form(path)) is not None]


def prepared_form(path: Path) -> PreparedForm | None:
    """What a prepared file is; ``None`` for one that cannot be read."""
    try:
        with open_store(path) as file:
            return PreparedForm(path, str(file.attrs["fingerprint"]), "whitening" in file)
    except (BaconError, KeyError):
        return None


def data_path_of(data: str, *, typed: bool = True) -> Path:
    """The file of a prepared data set.

    Args:
        data: its name or path.
        typed: by the user, who may have mistyped it.

    Raises:
        BaconError: it is not there.
    """
    path = Path(data) if data.endswith(".h5") else Path(DATA.format(dataset=data))
    if not path.is_file():
        raise BaconError(
            f"{path}: the data set is not prepared{_near_data(data, path) if typed else ''}; `snakemake {path}` prepares a "
            "data set of the configuration"
        )
    return path


def _near_data(data: str, path: Path) -> str:
    """The prepared data set with the nearest name, or else a registered one; none for a name that is known."""
    if path.stem.removesuffix(f"-{WHITENED}").removesuffix(f"-{PLAIN}") in REGISTRY:
        return ""
    near = nearest(path.stem, [file.stem for file in path.parent.glob("*.h5")])
    if near is not None and data.endswith(".h5"):
        return f"; did you mean {path.with_name(near + '.h5')}?"
    near = near or nearest(path.stem, REGISTRY)
    return f"; did you mean {near!r}?" if near else ""


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
