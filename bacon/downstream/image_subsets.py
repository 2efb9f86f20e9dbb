"""Parts of an image set: some of its images, and those of some classes as a set over these classes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bacon.runtime.draws import words
from bacon.runtime.errors import BaconError
from bacon.runtime.host_rows import HostRows
from bacon.training.image_set import ImageSet, SoftKind
from bacon.training.predictions import Teacher


def images_at(images: ImageSet, places: Tensor) -> ImageSet:
    """The images at ``places`` (B,) int64, in this order, with their labels; learned learning rates stay."""
    on_device = places.to(images.device)
    stored = images.images.index_select(0, places.to(images.images.device))
    return replace(
        images,
        images=stored,
        labels=images.labels.index_select(0, on_device),
        rows=None if images.rows is None else HostRows(stored, images.device),
        soft=None if images.soft is None else images.soft.index_select(0, on_device),
    )


def halves(images: ImageSet) -> tuple[ImageSet, ImageSet]:
    """Two halves, drawn class by class, the same for every caller; of an odd class the first has one more."""
    labels = images.labels.cpu().numpy()
    order = np.argsort(words(0, "halves", count=len(labels)), kind="stable")
    first = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        first[of_class[: -(-len(of_class) // 2)]] = True
    parts = (np.flatnonzero(first), np.flatnonzero(~first))
    one, other = (images_at(images, torch.from_numpy(part)) for part in parts)
    return one, other


def of_classes(images: ImageSet, classes: Sequence[int]) -> ImageSet:
    """The images of some classes, in the set's order, as a set over these classes alone.

    Args:
        images: the set.
        classes: classes of the set; label i of the result is ``classes[i]`` of the set.

    Returns:
        The images with labels in [0, len(classes)). Soft labels are those of :func:`restricted`.

    Raises:
        BaconError: a soft label leaves nothing for these classes.
    """
    new_label = torch.full((max(int(images.labels.max()), *classes) + 1,), -1, dtype=torch.int64, device=images.device)
    new_label[torch.tensor(list(classes), device=images.device)] = torch.arange(len(classes), device=images.device)
    labels = new_label.index_select(0, images.labels)
    part = images_at(images, (labels >= 0).nonzero().flatten())
    soft = None if part.soft is None else restricted(part.soft, part.soft_kind, classes)
    return replace(part, labels=new_label.index_select(0, part.labels), soft=soft)


def restricted(soft: Tensor, kind: SoftKind, classes: Sequence[int]) -> Tensor:
    """Soft labels (N, K) float32 over some of their classes: (N, len(classes)).

    Probabilities are renormalised, which conditions them on these classes. Of logits the columns are kept: at every temperature
    their softmax is the renormalised one of all.

    Raises:
        BaconError: the probabilities of an image are 0 for all of these classes.
    """
    kept = soft[:, torch.tensor(list(classes), device=soft.device)]
    if kind == "logits":
        return kept
    mass = kept.sum(dim=1, keepdim=True)
    if bool((mass <= 0).any()):
        raise BaconError(
            f"{int((mass <= 0).sum())} of {len(soft)} soft labels have probability 0 for all of the classes "
            f"{', '.join(map(str, classes))}, so that nothing of them is left without the other classes; evaluate with "
            "hard labels (evaluation.labels: hard)"
        )
    return kept / mass


def teacher_of_classes(teacher: Teacher, classes: Sequence[int]) -> Teacher:
    """A teacher's logits of some classes: what it says of an image once the other classes are ruled out."""

    def restricted_teacher(images: Tensor) -> Tensor:
        logits = teacher(images)
        return logits[:, torch.tensor(list(classes), device=logits.device)]

    return restricted_teacher
