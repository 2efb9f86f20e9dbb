"""Anyone's distilled set, found in the layouts in which people publish them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import check_soft_labels
from bacon.interchange.file_content import FileContent, FileFormat
from bacon.interchange.raw_files import listed, read_content
from bacon.interchange.tensors import as_images, as_labels, is_one_hot, with_channels
from bacon.runtime.errors import BaconError

# Names of images and labels in dicts and archives, in lower case and without _ and -.
_IMAGE_NAMES = (
    "images image imgs img x xtrain trainimages imagestrain trainx imagessyn imagesyn synimages synimage syntheticimages "
    "syndata inputs samples features pixels pixelvalues data"
)
_LABEL_NAMES = (
    "labels label labs lab y ytrain trainlabels labelstrain trainy labelssyn labelsyn synlabels synlabel syntheticlabels "
    "targets target softlabels softlabel labelssoft"
)
_IMAGES, _LABELS = frozenset(_IMAGE_NAMES.split()), frozenset(_LABEL_NAMES.split())
# Positional arrays of np.savez, which means nothing else.
_POSITIONAL = ("arr_0", "arr_1")
_LAYOUTS = (
    "(images, labels), or a dict or archive with images and labels (also x and y, x_train and y_train, data and targets), "
    "or as DM, IDM and BACON publish them ({'data': [[images, labels], ...]})"
)


def read_published(path: Path, file_format: FileFormat, *, experiment: int | None = None) -> FileContent:
    """The images and labels in a file of one of the layouts that people publish.

    Args:
        path: the file.
        file_format: what its user says of it.
        experiment: which of several sets in a file of DM's layout; needed when there are several.

    Raises:
        BaconError: the file is missing, damaged, of another layout, holds more than tensors and numbers, or its labels are
            not what ``file_format`` says.
    """
    images, labels = read_tensors(path, experiment=experiment)
    return published_content(path, images, labels, file_format)


def published_content(path: Path, images: Tensor, labels: Tensor, file_format: FileFormat) -> FileContent:
    """As :func:`read_published`, of tensors that :func:`read_tensors` gave."""
    if file_format.labels == "classes":
        classes = labels if labels.ndim == 1 else labels.argmax(dim=1)
        return FileContent(images=images, classes=classes, format=file_format)
    soft = labels.to(torch.float32)
    try:
        check_soft_labels(soft, soft.argmax(dim=1), file_format.labels)
    except BaconError as error:
        raise BaconError(f"{path}: {error}") from None
    return FileContent(images=images, classes=soft.argmax(dim=1), soft=soft, format=file_format)


def read_tensors(path: Path, *, experiment: int | None = None) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W), and labels: class numbers (N,) int64, or (N, K) float32; errors of the file and its layout."""
    images, labels = _pair(path, read_content(path), experiment)
    images = as_images(path, with_channels(images, labels))
    return images, as_labels(path, labels, len(images))


def has_soft_labels(labels: Tensor) -> bool:
    """Whether labels of :func:`read_tensors` are soft ones; one-hot labels may be either."""
    return labels.ndim == 2


def may_be_classes(labels: Tensor) -> bool:
    """Whether labels of :func:`read_tensors` say one class for each image."""
    return labels.ndim == 1 or is_one_hot(labels)


def _pair(path: Path, content: Any, experiment: int | None) -> tuple[Any, Any]:
    """Images and labels, wherever they are in what the file holds."""
    if isinstance(content, Mapping) and "data" in content and _is_list_of_sets(content["data"]):
        return _experiment(path, content["data"], experiment)
    if experiment is not None:
        raise BaconError(f"{path}: holds one distilled set; leave --experiment out")
    if isinstance(content, Mapping):
        return _named(path, content)
    if isinstance(content, tuple | list) and len(content) > 0 and all(_is_item(one) for one in content):
        return [image for image, _ in content], [label for _, label in content]
    if isinstance(content, tuple | list) and len(content) == 2:
        return content[0], content[1]
    raise BaconError(f"{path}: holds {_described(content)}; supported are {_LAYOUTS}")


def _named(path: Path, content: Mapping[Any, Any]) -> tuple[Any, Any]:
    names = {str(name): re.sub(r".*/|[_ .-]", "", str(name)).lower() for name in content}
    if set(_POSITIONAL) == set(names):
        return content[_POSITIONAL[0]], content[_POSITIONAL[1]]
    found = [[name for name, plain in names.items() if plain in known] for known in (_IMAGES, _LABELS)]
    if len(found[0]) == len(found[1]) == 1:
        return content[found[0][0]], content[found[1][0]]
    if len(found[0]) > 1 or len(found[1]) > 1:
        several = found[0] if len(found[0]) > 1 else found[1]
        raise BaconError(
            f"{path}: holds {' and '.join(several)}, and nothing is guessed; save the two that are meant: "
            "torch.save((images, labels), path)"
        )
    if isinstance(content.get("data"), list | tuple):
        raise BaconError(f"{path}: its 'data' is not a list of [images, labels]; supported are {_LAYOUTS}")
    raise BaconError(f"{path}: holds {_described(content)}; supported are {_LAYOUTS}")


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dict with {listed([str(name) for name in content])}"
    if hasattr(content, "shape") and tuple(content.shape):
        both = "torch.save((torch.load(images_file), torch.load(labels_file)), path)"
        alone = f"{type(content).__name__} {tuple(content.shape)} alone"
        return f"{alone}; if its labels are in another file, save both as one: {both}"
    if isinstance(content, list | tuple):
        return f"a {type(content).__name__} of {len(content)}"
    return type(content).__name__


def _is_list_of_sets(sets: Any) -> bool:
    return isinstance(sets, list | tuple) and bool(sets) and all(_is_set(one) for one in sets)


def _is_set(one: Any) -> bool:
    return isinstance(one, list | tuple) and len(one) == 2


def _is_item(one: Any) -> bool:
    """Whether it is one image with its label, as the item of a data set is."""
    return _is_set(one) and len(getattr(one[0], "shape", ())) == 3 and not isinstance(one[1], list | tuple)


def _experiment(path: Path, sets: Any, experiment: int | None) -> tuple[Any, Any]:
    if experiment is None and len(sets) > 1:
        raise BaconError(f"{path}: holds {len(sets)} distilled sets; choose one with --experiment 0 to {len(sets) - 1}")
    if not 0 <= (experiment or 0) < len(sets):
        raise BaconError(f"{path}: --experiment {experiment}: it holds {len(sets)} distilled sets, numbered from 0")
    images, labels = sets[experiment or 0]
    return images, labels
