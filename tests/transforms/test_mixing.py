"""Mixup and CutMix against code for one image at a time; shares, boxes, partners and soft targets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bacon.settings.recipe import CutMix, Mixup, TrainingRecipe
from bacon.training.batches import Batches, ImageSet
from bacon.transforms import mixing
from bacon.transforms.augmentation import Stream
from bacon.transforms.mixing import beta_draws, cut_boxes, mix

SIZES = [5, 5, 3]
KINDS = [Mixup(alpha=0.8), CutMix(beta=1.0, probability=1.0)]


def stream(first=0, seed=(1, 2)):
    return Stream(seed=seed, purpose="test", first_iteration=first)


def pictures(side=8, channels=2, count=13):
    return torch.randn(count, channels, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("side", [8, 28, 33])
@pytest.mark.parametrize("settings", KINDS, ids=["mixup", "cutmix"])
def test_images_are_mixed_within_their_batch_by_one_share(settings, side):
    images = pictures(side)
    mixed, partner, share = mix(settings, images, SIZES, stream())
    shares = beta_draws(0.8 if settings.kind == "mixup" else 1.0, (1, 2), "test-mixing-share", range(3))
    boxes = cut_boxes(shares, stream().per_batch("mixing-box", SIZES, count=2), side, side).tolist()
    start = 0
    for batch, size in enumerate(SIZES):
        places = partner[start : start + size].tolist()
        assert sorted(places) == list(range(start, start + size)), "a permutation of the batch"
        for i in range(size):
            own, other = images[start + i], images[places[i]]
            if settings.kind == "mixup":
                expected, part = shares[batch] * own + (1 - shares[batch]) * other, shares[batch]
            else:
                top, bottom, left, right = boxes[batch]
                expected = own.clone()
                expected[:, top:bottom, left:right] = other[:, top:bottom, left:right]
                part = 1 - (bottom - top) * (right - left) / side**2
            torch.testing.assert_close(mixed[start + i], expected, rtol=1e-12, atol=1e-12)
            assert share[start + i].item() == pytest.approx(part, rel=1e-12)
        start += size


def test_boxes_have_the_size_of_their_share_and_are_clipped_at_borders():
    boxes = cut_boxes(
        np.array([0.75, 0.75, 1.0, 0.0]), np.array([[0.5, 0.5], [0.0, 0.99], [0.3, 0.3], [0.5, 0.5]]), 32, 32
    )
    assert boxes.tolist() == [[8, 24, 8, 24], [0, 8, 23, 32], [9, 9, 9, 9], [0, 32, 0, 32]]


@pytest.mark.parametrize("parameter", [0.2, 0.8, 1.0, 3.0])
def test_shares_follow_the_beta_distribution(parameter):
    drawn = beta_draws(parameter, 0, "share", range(4000))
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    variance = 1 / (4 * (2 * parameter + 1))
    assert drawn.mean() == pytest.approx(0.5, abs=4 * math.sqrt(variance / 4000))
    assert drawn.var() == pytest.approx(variance, rel=0.1)
    assert beta_draws(parameter, 0, "share", [3, 7]).tolist() == drawn[[3, 7]].tolist()


def test_a_share_of_which_no_try_is_accepted_is_tried_again(monkeypatch):
    """Each lane by itself: the others keep what they have drawn."""
    usual = beta_draws(0.2, 0, "share", range(4))
    draw, refused = mixing.uniform, []

    def refusing(*args, lanes, **kwargs):
        drawn = draw(*args, lanes=lanes, **kwargs)
        refused.append(list(lanes))
        if len(refused) == 1:
            drawn[2] = 1.0
        return drawn

    monkeypatch.setattr(mixing, "uniform", refusing)
    found = beta_draws(0.2, 0, "share", range(4))
    assert refused == [[0, 1, 2, 3], [2]]
    assert found[[0, 1, 3]].tolist() == usual[[0, 1, 3]].tolist()
    assert 0 <= found[2] <= 1
    assert found[2] != usual[2]


@pytest.mark.parametrize("settings", [Mixup(probability=0.3), CutMix(probability=0.3)], ids=["mixup", "cutmix"])
def test_the_share_of_batches_that_are_mixed_is_the_probability(settings):
    images = pictures(8, 1, 1600)
    mixed, _, share = mix(settings, images, [8] * 200, stream())
    untouched = (mixed == images).flatten(1).all(dim=1).view(200, 8).all(dim=1)
    assert 115 < int(untouched.sum()) < 170
    assert (share.view(200, 8)[untouched.logical_not()] < 1).all()


@pytest.mark.parametrize("settings", KINDS, ids=["mixup", "cutmix"])
def test_batches_mixed_together_equal_those_mixed_alone(settings):
    images = pictures()
    together, partner, share = mix(settings, images, SIZES, stream(4))
    start = 0
    for number, size in enumerate(SIZES):
        own, places, shares = mix(settings, images[start : start + size], [size], stream(4 + number))
        assert torch.equal(own, together[start : start + size])
        assert torch.equal(places + start, partner[start : start + size])
        assert torch.equal(shares, share[start : start + size])
        start += size


@pytest.mark.parametrize("settings", KINDS, ids=["mixup", "cutmix"])
@pytest.mark.parametrize("labels", ["hard", "stored"])
def test_labels_are_mixed_as_the_images_are(settings, labels):
    soft = torch.randn(10, 3, generator=torch.Generator().manual_seed(5)).softmax(dim=1)
    # Every pixel of an image is its number, so that the mixture says what was mixed by which share.
    images = torch.arange(10.0)[:, None, None, None].expand(10, 1, 8, 8).contiguous()
    data = ImageSet(images=images, labels=torch.arange(10) % 3, soft=soft)
    loss = [{"kind": "ce" if labels == "hard" else "soft_ce"}]
    recipe = TrainingRecipe(epochs=3, batch_size=4, mixing=settings, labels=labels, loss=loss)
    one_hot = torch.nn.functional.one_hot(data.labels, 3).float()
    seen = 0
    for batch in Batches(data, recipe, 0, classes=3).from_epoch():
        for i, place in enumerate(batch.places.tolist()):
            pixels = batch.images[i].flatten().double()
            weights = []
            for other in batch.places.tolist():
                if settings.kind == "cutmix":
                    weights.append((pixels == other).double().mean().item() if other != place else None)
                    continue
                weights.append((pixels[0].item() - place) / (other - place) if other != place else None)
            assert batch.labels[i] == data.labels[place]
            assert batch.mixed[i].sum().item() == pytest.approx(1, abs=1e-6)
            # One of the others explains image and labels alike.
            own, others = one_hot[place], one_hot[batch.places]
            explained = [
                (1 - w) * own + w * other
                for other, w in zip(others, weights, strict=True)
                if w is not None and 0 < w <= 1
            ]
            assert any(torch.allclose(batch.mixed[i], each, atol=1e-4) for each in [*explained, own])
            if labels == "hard":
                assert batch.soft is None
            else:
                seen += not torch.allclose(batch.soft[i], soft[place], atol=1e-4)
                assert batch.soft[i].sum().item() == pytest.approx(1, abs=1e-5)
    assert labels == "hard" or seen > 5
