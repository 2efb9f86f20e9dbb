"""A synthetic set: what belongs together, what it takes, and how training images follow from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.runtime.errors import BaconError
from bacon.transforms.partition import decode
from tests.artifacts.synthetic import drawn

SOFT = torch.tensor([[0.5, 0.25, 0.25]]).repeat(6, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": torch.zeros(6, 8, 8)}, r"images torch\.float32 \(6, 8, 8\): they are \(M, C, H, W\) float32"),
        ({"images": torch.zeros(6, 1, 8, 8, dtype=torch.float64)}, r"images torch\.float64"),
        ({"classes": torch.arange(5)}, r"6 images with classes torch\.int64 \(5,\)"),
        (
            {"classes": SOFT},
            r"classes torch\.float32 \(6, 3\): the class index is \(M,\) int64; soft labels are given separately",
        ),
        ({"classes": torch.arange(6) - 1}, "image of class -1"),
        ({"classes": torch.arange(6)}, "soft labels over 3 classes, but an image of class 5"),
        ({"soft": None}, "go together: give both or neither"),
        ({"soft_kind": None}, "go together: give both or neither"),
        ({"soft_kind": "odds"}, r"kind 'odds' \(allowed: probabilities, logits\)"),
        ({"soft": SOFT[:5]}, r"soft labels torch\.float32 \(5, 3\) for 6 images"),
        ({"soft": SOFT.double()}, r"soft labels torch\.float64"),
        ({"soft": SOFT * torch.nan}, "some soft labels are not finite"),
        ({"soft": SOFT * 2}, r"from 0\.5 to 1 and whose rows sum to 1 within 1 are not probabilities.*are they logits"),
        ({"soft": SOFT - 0.5 + 1 / 6}, "are not probabilities"),
        ({"rates": torch.zeros(0)}, r"learning rates torch\.float32 \(0,\): they are \(T,\) float32, T at least 1"),
        ({"rates": torch.tensor([0.1, -0.2])}, r"learning rates from -0\.2 to 0\.1; they must be above 0"),
        ({"rates": torch.tensor([torch.inf])}, "above 0"),
        (
            {"partition": 3},
            r"images \(8, 8\) with partition 3: it is a whole number, 1 or more, that divides both sides",
        ),
        ({"partition": 0}, "partition 0"),
    ],
)
def test_what_does_not_belong_together_is_refused(changes, message):
    with pytest.raises(BaconError, match=message):
        replace(drawn(), **changes)


@pytest.mark.parametrize("kind", [None, "probabilities", "logits"])
@pytest.mark.parametrize("partition", [1, 2, 4])
def test_decoding_gives_every_part_its_images_class_and_soft_label(kind, partition):
    stored = drawn(kind=kind, partition=partition)
    training = stored.decoded()
    assert torch.equal(training.images, decode(stored.images, partition))
    assert training.partition == 1
    for index in range(len(training)):
        source = index // partition**2
        assert training.classes[index] == stored.classes[source]
        if kind is not None:
            assert torch.equal(training.soft[index], stored.soft[source])
    assert torch.equal(training.rates, stored.rates)
    assert training.soft_kind == kind


def test_logits_become_probabilities_and_probabilities_stay():
    logits, soft, hard = (drawn(kind=kind) for kind in ("logits", "probabilities", None))
    torch.testing.assert_close(logits.probabilities().log(), logits.soft - logits.soft.logsumexp(1, keepdim=True))
    assert torch.equal(soft.probabilities(), soft.soft)
    assert hard.probabilities() is None


def test_storage_counts_images_labels_and_decoder():
    hard = drawn(kind=None, rates=0).storage()
    assert hard.attributes() == {"image_bytes": 6 * 64 * 4, "label_bytes": 0, "decoder_bytes": 0}
    soft = drawn(rates=5).storage()
    assert (soft.images, soft.labels, soft.decoder) == (6 * 64 * 4, 6 * 3 * 4 + 5 * 4, 0)
    assert soft.total == soft.images + soft.labels


@pytest.mark.parametrize("classes", [[0, 1, 0, 1, 2, 2], [0, 0, 0, 1, 1, 2], [0, 0, 0, 0, 2, 2]])
def test_a_class_index_that_does_not_follow_from_the_order_is_counted(classes):
    unordered = replace(drawn(kind=None, rates=0), classes=torch.tensor(classes))
    assert unordered.storage().labels == 6 * 8


@pytest.mark.parametrize("part", ["images", "classes", "soft", "rates"])
def test_equality_is_of_every_part(part):
    one = drawn()
    other = replace(one, **{part: getattr(one, part).flip(0) if part != "rates" else one.rates * 2})
    assert one.equals(drawn())
    assert not one.equals(other)
    assert not one.equals(replace(one, partition=1))
    assert not one.equals(replace(one, soft_kind="logits"))
    assert not one.equals(replace(one, rates=None))


@pytest.mark.parametrize("kind", [None, "probabilities", "logits"])
def test_the_state_is_the_whole_set(kind):
    one = drawn(kind=kind, rates=0 if kind is None else 2)
    assert SyntheticSet.from_state_dict(one.state_dict()).equals(one)
