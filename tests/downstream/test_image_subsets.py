"""Parts of image sets: which images, labels and soft labels they have."""

from __future__ import annotations

import pytest
import torch

from bacon.downstream.image_subsets import images_at, of_classes, restricted, teacher_of_classes
from bacon.runtime.errors import BaconError
from bacon.runtime.host_rows import HostRows
from bacon.training.image_set import ImageSet

CPU = torch.device("cpu")


def numbered(labels, **more):
    """Images whose only pixel is their place."""
    count = len(labels)
    return ImageSet(
        images=torch.arange(count, dtype=torch.float32).view(count, 1, 1, 1), labels=torch.tensor(labels), **more
    )


def places(images):
    return images.at(torch.arange(len(images))).flatten().tolist()


def test_classes_are_relabelled_in_the_order_asked_for_and_images_keep_theirs():
    part = of_classes(numbered([0, 2, 1, 2, 0]), [2, 0])
    assert places(part) == [0, 1, 3, 4]
    assert part.labels.tolist() == [1, 0, 0, 1]


def test_a_class_without_images_keeps_its_label():
    part = of_classes(numbered([0, 0]), [3, 0])
    assert part.labels.tolist() == [1, 1]


def test_learned_rates_stay_and_images_on_the_host_stay_there():
    stored = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1)
    whole = ImageSet(images=stored, labels=torch.tensor([0, 1, 0, 1]), rows=HostRows(stored, CPU), rates=(0.5,))
    part = images_at(whole, torch.tensor([3, 0]))
    assert part.rates == (0.5,)
    assert part.rows is not None
    assert part.rows.rows is part.images
    assert places(part) == [3, 0]
    assert part.labels.tolist() == [1, 0]


def test_probabilities_are_conditioned_on_the_classes():
    part = of_classes(numbered([0, 2], soft=torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.6, 0.3]])), [2, 0])
    assert part.soft.tolist() == [
        [pytest.approx(1 / 3), pytest.approx(2 / 3)],
        [pytest.approx(0.75), pytest.approx(0.25)],
    ]


def test_the_softmax_of_kept_logits_is_the_conditioned_probability_at_every_temperature():
    logits = torch.tensor([[1.0, -2.0, 0.5]])
    for temperature in (1.0, 4.0):
        of_all = (logits / temperature).softmax(dim=1)
        kept = (restricted(logits, "logits", [2, 0]) / temperature).softmax(dim=1)
        assert torch.allclose(kept, restricted(of_all, "probabilities", [2, 0]))


def test_soft_labels_that_leave_nothing_are_refused():
    with pytest.raises(BaconError, match="1 of 1 soft labels have probability 0 for all of the classes 0, 2"):
        restricted(torch.tensor([[0.0, 1.0, 0.0]]), "probabilities", [0, 2])


def test_a_teacher_says_only_what_it_says_of_the_classes():
    teacher = teacher_of_classes(lambda _: torch.tensor([[1.0, 2.0, 3.0]]), [2, 0])
    assert teacher(torch.zeros(1, 1, 1, 1)).tolist() == [[3.0, 1.0]]
