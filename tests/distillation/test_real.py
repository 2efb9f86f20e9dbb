import numpy as np
import pytest
import torch

from bacon.distillation import real_images as real_module
from bacon.distillation.real_images import RealImages, draw_without_replacement
from tests.distillation.conftest import toy_dataset


def column(values):
    return torch.tensor(values, dtype=torch.float64)[:, None, None]


def test_batches_are_normalised_images_of_the_class(real64):
    dataset = toy_dataset()
    indices = real64.sample_classes(0, "x", iteration=0, classes=[2, 0], size=10)
    assert indices.shape == (2, 10)
    assert (real64.labels[indices] == torch.tensor([[2], [0]])).all()
    images = real64.batch(indices)
    pixels = images * column(dataset.std) + column(dataset.mean)
    stored = {image.tobytes() for image in dataset.train_images[dataset.train_labels == 2]}
    restored = (pixels[0] * 255).round().byte().numpy()
    torch.testing.assert_close(pixels * 255, (pixels * 255).round(), rtol=0, atol=1e-6)
    assert {image.tobytes() for image in restored} <= stored


def test_draws_are_distinct_uniform_and_keyed_by_lane():
    lanes, populations = torch.tensor([4, 9]), torch.tensor([5, 8])
    hits = torch.zeros(2, 8)
    for iteration in range(2000):
        drawn = draw_without_replacement(
            1, "test", iteration=iteration, lanes=lanes, populations=populations, largest=8, size=3
        )
        assert all(len(set(row.tolist())) == 3 for row in drawn)
        hits[0, drawn[0]] += 1
        hits[1, drawn[1]] += 1
    assert hits[0, 5:].sum() == 0
    # 2000 draws of 3 from n: binomial with p = 3/n, standard deviation below 22; five of them.
    assert (hits[0, :5] - 1200).abs().max() < 110
    assert (hits[1] - 750).abs().max() < 110
    alone = draw_without_replacement(
        1, "test", iteration=7, lanes=lanes[1:], populations=populations[1:], largest=8, size=3
    )
    both = draw_without_replacement(1, "test", iteration=7, lanes=lanes, populations=populations, largest=8, size=3)
    assert torch.equal(alone[0], both[1])


def test_a_whole_class_is_taken_when_the_batch_is_as_large(real64):
    indices = real64.sample_classes(0, "x", iteration=3, classes=[1], size=real64.counts[1])
    assert sorted(indices[0].tolist()) == torch.nonzero(real64.labels == 1)[:, 0].tolist()


def test_images_stay_uint8_on_the_device():
    real = RealImages(toy_dataset(), device=torch.device("cpu"))
    assert real.images.dtype == torch.uint8
    assert real.counts == (14, 11, 17)
    assert np.all(np.diff(real.labels.numpy()) >= 0)


@pytest.mark.parametrize("size", [1, 5])
def test_sample_all_draws_from_every_class(real64, size):
    seen = set()
    for iteration in range(600):
        indices = real64.sample_all(0, "queue", iteration=iteration, lanes=1, size=size)
        seen |= set(indices.flatten().tolist())
    assert seen == set(range(42))


@pytest.mark.parametrize("at_once", [1, 8, 9, 17])
def test_lanes_are_drawn_in_parts_that_change_no_draw(monkeypatch, at_once):
    lanes, populations = torch.tensor([4, 9, 0, 3, 5]), torch.tensor([5, 8, 7, 3, 8])

    def draw():
        return draw_without_replacement(1, "test", iteration=2, lanes=lanes, populations=populations, largest=8, size=3)

    whole = draw()
    monkeypatch.setattr(real_module, "_KEYS_AT_ONCE", at_once)
    asked = []
    original = real_module.device_words
    monkeypatch.setattr(real_module, "device_words", lambda *a, **k: asked.append(len(k["lanes"])) or original(*a, **k))
    assert torch.equal(draw(), whole)
    assert max(asked) == max(1, at_once // 8)
    assert sum(asked) == 5
