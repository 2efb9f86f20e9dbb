"""Membership inference: scores and their quality by hand, which images are drawn, and that memorised images are found."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from bacon.downstream.membership.algorithm import Membership
from bacon.downstream.membership.membership_scores import (
    attack_scores,
    confidence,
    logit_of_the_class,
    negative_loss,
    negative_modified_entropy,
    offline_likelihood_ratio,
)
from bacon.downstream.membership.record import MembershipSettings
from bacon.downstream.membership.target_images import draw_shadow, draw_targets, verbatim
from bacon.runtime.errors import BaconError
from bacon.training.image_set import ImageSet
from tests.downstream.toy_cells import context, selection
from tests.toy_images import MEAN, STD, uint8_set

LOGITS = torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]).log()
LABELS = torch.tensor([0, 1])


def test_scores_by_hand():
    log = math.log
    assert negative_loss(LOGITS, LABELS).tolist() == pytest.approx([log(0.7), log(0.25)])
    assert confidence(LOGITS, LABELS).tolist() == pytest.approx([0.7, 0.5])
    assert logit_of_the_class(LOGITS, LABELS).tolist() == pytest.approx([log(0.7 / 0.3), log(0.25 / 0.75)])
    entropy = [
        0.3 * log(0.7) + 0.2 * log(0.8) + 0.1 * log(0.9),
        0.75 * log(0.25) + 0.25 * log(0.75) + 0.5 * log(0.5),
    ]
    assert negative_modified_entropy(LOGITS, LABELS).tolist() == pytest.approx(entropy)


@pytest.mark.parametrize("right", [0, 1])
def test_scores_of_certainty_stay_finite(right):
    logits, label = torch.tensor([[800.0, 0.0, -800.0]]), torch.tensor([right])
    assert float(logit_of_the_class(logits, label)) == pytest.approx(800.0 if right == 0 else -800.0)
    assert math.isfinite(float(negative_modified_entropy(logits, label)))
    assert math.isfinite(float(negative_loss(logits, label)))


def test_quality_by_hand():
    # Of the twelve pairs the member is above in nine, below in two, equal in one.
    found = attack_scores(np.array([0.9, 0.8, 0.5, 0.2]), np.array([0.5, 0.3, 0.1]))
    assert found.auc == pytest.approx(9.5 / 12)
    # At 0.8: 2/4 - 0; at 0.5: 3/4 - 1/3; at 0.2: 1 - 2/3.
    assert found.advantage == pytest.approx(0.5)
    assert found.tpr_at_low_fpr == pytest.approx(0.5)


def test_the_low_rate_allows_one_of_a_hundred():
    others = np.concatenate([[5.0], np.zeros(99)])
    found = attack_scores(np.array([4.0, 6.0, -1.0, -1.0]), others)
    assert found.tpr_at_low_fpr == pytest.approx(0.5)
    assert attack_scores(np.array([4.0, 6.0, -1.0, -1.0]), others[:99]).tpr_at_low_fpr == pytest.approx(0.25)


def test_scores_that_say_nothing_are_guesses():
    found = attack_scores(np.ones(5), np.ones(7))
    assert (found.auc, found.advantage, found.tpr_at_low_fpr) == (0.5, 0.0, 0.0)


def test_likelihood_ratio_ranks_by_the_papers_probability():
    generator = torch.Generator().manual_seed(0)
    observed, shadows = torch.randn(6, generator=generator).double(), torch.randn(70, 6, generator=generator).double()
    mean, std = shadows.mean(dim=0).numpy(), shadows.std(dim=0).numpy()
    probability = 1 - norm.sf(observed.numpy(), mean, std)
    assert norm.cdf(offline_likelihood_ratio(observed, shadows).numpy()) == pytest.approx(probability)


def test_few_shadow_networks_share_one_variance():
    shadows = torch.tensor([[0.0, 0.0], [2.0, 4.0]]).double()  # variances 2 and 8
    ratio = offline_likelihood_ratio(torch.tensor([3.0, 4.0]).double(), shadows)
    assert ratio.tolist() == pytest.approx([2 / math.sqrt(5), 2 / math.sqrt(5)])


def test_members_and_others_are_balanced_class_by_class():
    train, test = np.repeat([0, 1, 2], [40, 40, 6]), np.repeat([0, 1, 2], [30, 4, 30])
    found = draw_targets(train, test, images=24, seed=0)
    assert np.bincount(train[found.members]).tolist() == [8, 4, 3]
    assert np.bincount(test[found.others]).tolist() == [8, 4, 3]
    assert len(set(found.members)) == len(found.members)
    assert len(set(found.others)) == len(found.others)
    again = draw_targets(train, test, images=24, seed=0)
    assert np.array_equal(found.members, again.members)
    assert np.array_equal(found.others, again.others)
    assert not np.array_equal(found.members, draw_targets(train, test, images=24, seed=1).members)


@pytest.mark.parametrize(("images", "each"), [(7, [3, 2, 2]), (8, [3, 3, 2]), (2, [1, 1, 0])])
def test_members_are_as_many_as_asked_for_where_classes_do_not_divide_them(images, each):
    labels = np.repeat([0, 1, 2], 20)
    found = draw_targets(labels, labels, images=images, seed=0)
    assert np.bincount(labels[found.members], minlength=3).tolist() == each
    assert np.bincount(labels[found.others], minlength=3).tolist() == each


def test_no_class_to_try_is_an_error():
    with pytest.raises(BaconError, match="two training images and a test image"):
        draw_targets(np.array([0]), np.array([0]), images=4, seed=0)


def test_shadow_networks_see_no_image_that_is_attacked():
    labels = np.repeat([0, 1], 20)
    kept_out = np.arange(0, 40, 2)
    first, second = (
        draw_shadow(labels, kept_out, per_class=np.array([4, 30]), seed=0, number=number) for number in (0, 1)
    )
    assert not set(first) & set(kept_out)
    assert np.bincount(labels[first]).tolist() == [4, 10]
    assert not np.array_equal(first, second)


def test_selected_images_are_found_and_changed_ones_are_not():
    real = uint8_set(30)
    chosen = torch.tensor([4, 17])
    images = torch.cat([real.at(chosen), real.at(torch.tensor([9])) + 1e-3])
    train = ImageSet.of_normalised(images, torch.tensor([0, 1, 1]), mean=MEAN, std=STD)
    assert verbatim(train, real).tolist() == [4, 17]


def test_one_shadow_network_is_refused():
    with pytest.raises(ValueError, match="one shadow network has no spread"):
        MembershipSettings(shadows=1)


def auc(measured):
    return {one.condition: one.value for one in measured.measurements if one.metric == "auc"}


def test_images_that_a_network_was_trained_on_are_found_and_the_rest_of_their_source_is_not(tmp_path):
    unlearnable = {"train": 40, "test": 64, "contrast": 0}
    given = context(tmp_path, synthetic=selection(contrast=0), epochs=40, data=unlearnable)
    found = Membership(MembershipSettings(images=40, shadows=2), given).measure(0)
    assert found.details == {"members": 20, "own_images": 8, "others": 20}
    seen = auc(found)
    assert set(seen) == {f"{own}{name}" for own in ("", "own ") for name in ("loss", "confidence", "entropy", "lira")}
    assert seen["own loss"] > 0.9
    assert seen["own lira"] > 0.7
    assert abs(seen["loss"] - 0.5) < seen["own loss"] - 0.5


@pytest.mark.parametrize(("shadows", "more"), [(0, set()), (2, {"lira"})])
def test_made_images_have_no_own_ones_and_without_shadows_there_is_no_likelihood_ratio(tmp_path, shadows, more):
    whole = selection()
    made = replace(whole, images=whole.images + 0.01)
    given = context(tmp_path, synthetic=made, epochs=2)
    found = Membership(MembershipSettings(images=8, shadows=shadows), given).measure(0)
    assert set(auc(found)) == {"loss", "confidence", "entropy", *more}
    accuracy = {one.condition: one.value for one in found.measurements if one.metric == "accuracy"}
    assert set(accuracy) == {"members", "others"}


def test_shadow_networks_are_trained_once_for_all_repetitions(tmp_path, monkeypatch):
    settings = MembershipSettings(images=8, shadows=2)
    task = Membership(settings, context(tmp_path, synthetic=selection(), epochs=2))
    first = task.measure(0)
    monkeypatch.setattr(Membership, "_shadow", lambda *_: pytest.fail("trained again"))
    again = Membership(settings, context(tmp_path, synthetic=selection(), epochs=2))
    assert again.measure(0) == first
    assert auc(again.measure(1)) != auc(first)


def test_of_the_full_data_set_every_member_was_trained_on(tmp_path):
    found = Membership(MembershipSettings(images=8, shadows=2), context(tmp_path, epochs=2)).measure(0)
    assert set(auc(found)) == {"loss", "confidence", "entropy"}
    assert found.details["own_images"] == 0
