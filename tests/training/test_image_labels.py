"""Labels of training images are classes: an accuracy is measured against them, whatever the loss is."""

from __future__ import annotations

import pytest
import torch

from bacon.runtime.errors import BaconError
from bacon.training.batches import ImageSet

IMAGES = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
SOFT = torch.eye(3)


@pytest.mark.parametrize("labels", [SOFT, SOFT.argmax(dim=1).float(), SOFT.to(torch.int64), torch.arange(2)])
def test_labels_that_are_no_classes_are_refused(labels):
    """Three soft labels over three classes: the comparison of an accuracy meter broadcasts, and counts up to nine correct."""
    assert (torch.arange(3) == SOFT).shape == (3, 3)
    with pytest.raises(
        BaconError,
        match=r"labels .* of 3 images: labels are the classes, \(N,\) int64; soft labels are given as `soft`",
    ):
        ImageSet(images=IMAGES, labels=labels)


def test_soft_labels_go_beside_the_classes():
    made = ImageSet(images=IMAGES, labels=torch.arange(3), soft=SOFT)
    assert torch.equal(made.first(2).soft, SOFT[:2])
    with pytest.raises(BaconError, match=r"soft labels \(2, 3\) of 3 images"):
        ImageSet(images=IMAGES, labels=torch.arange(3), soft=SOFT[:2])
