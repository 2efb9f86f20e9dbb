"""Stratified splits."""

import numpy as np
import pytest

from bacon.datasets import splits
from bacon.datasets.splits import held_out, without


def test_held_out_shares_are_stratified_and_never_a_whole_class():
    labels = np.repeat([0, 1, 2], [100, 10, 2])
    held = held_out(labels, 0.25, seed=0, purpose="it", name="it")
    assert [int(held[labels == label].sum()) for label in range(3)] == [25, 2, 1]
    assert not np.array_equal(held, held_out(labels, 0.25, seed=1, purpose="it", name="it"))
    assert not np.array_equal(held, held_out(labels, 0.25, seed=0, purpose="other", name="it"))
    assert held_out(labels, 0.99, seed=0, purpose="it", name="it").sum() == 99 + 9 + 1


@pytest.mark.parametrize("writeable", [True, False])
@pytest.mark.parametrize("share", [0, 0.3, 0.9, 1])
def test_what_is_not_held_out_is_left_in_its_order(monkeypatch, writeable, share):
    monkeypatch.setattr(splits, "_BLOCK", 7)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (100, 1, 2, 2)).astype(np.uint8)
    held = random.random(100) < share
    expected = images[~held]
    images.flags.writeable = writeable
    found = without(images, held)
    np.testing.assert_array_equal(found, expected)
    assert np.shares_memory(found, images) == (writeable and share < 1)
