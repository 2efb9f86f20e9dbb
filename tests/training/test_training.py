"""Training and testing one network, against a plain loop written from docs/algorithms.md."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bacon.evaluation.protocol_training import NetworkTraining
from bacon.evaluation.train_and_test import train_and_test
from bacon.networks.build import build_network
from bacon.runtime.draws import device_permutation
from bacon.runtime.errors import BaconError
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.training.batches import IMAGES_AT_ONCE, Batches, ImageSet, batch_sizes
from bacon.training.loop import train_network
from bacon.training.predictions import confusion_matrix
from bacon.training.schedules import drop_unit
from bacon.transforms.dsa import augment_batch
from tests.toy_images import CLASSES, CPU, MEAN, NETWORK, STD, float_set, settings, toy, uint8_set

# Image sets and batches


def test_uint8_images_are_normalised_when_used():
    images, labels = toy(6)
    data = ImageSet.of_uint8(images, labels, mean=MEAN, std=STD, device=CPU)
    assert data.images.dtype == torch.uint8
    expected = torch.from_numpy((images / 255 - MEAN[0]) / STD[0])
    normalised = data.normalised(data.images)
    assert normalised.dtype == torch.float32
    torch.testing.assert_close(normalised.double(), expected, rtol=0, atol=1e-5)


def test_every_channel_has_its_own_mean_and_std():
    images = np.full((1, 3, 2, 2), 51, dtype=np.uint8)
    data = ImageSet.of_uint8(images, np.zeros(1, dtype=np.int64), mean=(0, 0.1, 0.2), std=(1, 0.5, 0.1), device=CPU)
    expected = torch.tensor([0.2, 0.2, 0.0])[:, None, None].expand(1, 3, 2, 2)
    torch.testing.assert_close(data.normalised(data.images), expected)


@pytest.mark.parametrize(("count", "size", "expected"), [(10, 256, [10]), (8, 4, [4, 4]), (9, 4, [4, 4, 1])])
def test_batch_sizes(count, size, expected):
    assert batch_sizes(count, size) == expected


def made(data: ImageSet, chosen: EvaluationSettings, seed: tuple[int, int], at_once: int = IMAGES_AT_ONCE):
    recipe = chosen.recipe(images=len(data), classes=3)
    return Batches(data, recipe, seed, classes=3, images_at_once=at_once).from_epoch()


@pytest.mark.parametrize("count", [10, 33, 3000])
def test_every_epoch_visits_every_image_once_in_a_new_order(count):
    data = ImageSet(images=torch.arange(float(count)).view(-1, 1, 1, 1), labels=torch.arange(count) % 3)
    epochs = 5
    chosen = settings(epochs=epochs, batch_size=16, dsa_strategy="none")
    batches = list(made(data, chosen, (0, 0)))
    assert [len(batch.labels) for batch in batches] == batch_sizes(count, 16) * epochs
    order = torch.cat([batch.images.flatten() for batch in batches]).long().view(epochs, count)
    labels = torch.cat([batch.labels for batch in batches]).view(epochs, count)
    assert torch.equal(torch.cat([batch.places for batch in batches]), order.flatten())
    assert torch.equal(order.sort(dim=1).values, torch.arange(count).expand(epochs, count))
    assert torch.equal(labels, order % 3)
    assert len(torch.unique(order, dim=0)) == epochs


def naive_batches(data: ImageSet, chosen: EvaluationSettings, seed: tuple[int, int]):
    step = 0
    for epoch in range(chosen.epochs):
        order = device_permutation(seed, "evaluation-order", count=len(data), device=CPU, lanes=epoch)
        for index in order.split(chosen.batch_size):
            images = data.normalised(data.images[index])
            yield (
                epoch,
                augment_batch(chosen.dsa_strategy, images, seed, "evaluation-dsa", step),
                data.labels[index],
            )
            step += 1


@pytest.mark.parametrize("at_once", [1, 30, 2048])
@pytest.mark.parametrize("make", [uint8_set, float_set])
def test_batches_do_not_depend_on_how_many_are_made_at_once(at_once, make):
    data, chosen = make(19), settings(epochs=4)
    ours = list(made(data, chosen, (1, 2), at_once))
    for batch, (_, expected, expected_labels) in zip(ours, naive_batches(data, chosen, (1, 2)), strict=True):
        assert torch.equal(batch.images, expected)
        assert torch.equal(batch.labels, expected_labels)


@pytest.mark.parametrize(
    ("shape", "at_once", "expected"),
    [((3, 32, 32), 2048, 21845), ((3, 32, 32), 1024, 10922), ((3, 224, 224), 2048, 445)],
)
def test_a_gpu_makes_as_many_images_at_once_as_the_bytes_of_a_group_hold(shape, at_once, expected):
    for device, size in (("meta", expected), ("cpu", at_once)):
        images = torch.zeros(1, *shape, device=device).expand(400, *shape)
        data = ImageSet(images=images, labels=torch.zeros(400, dtype=torch.int64, device=device))
        recipe = settings(epochs=4).recipe(images=400, classes=3)
        assert Batches(data, recipe, 1, classes=3, images_at_once=at_once).group_size == size


def test_a_group_of_batches_is_freed_before_the_next_is_made(monkeypatch):
    data, groups = float_set(19), []

    def augmentation(_):
        def augment(images, _sizes, _stream):
            assert all(group() is None for group in groups)
            changed = images.clone()
            groups.append(weakref.ref(changed))
            return changed

        return augment

    monkeypatch.setattr(Batches, "_augmentation", augmentation)
    model = build_network(
        NETWORK, channels=1, size=8, classes=CLASSES, seed=0, purpose="evaluation-network", device=CPU
    )
    recipe = settings(epochs=6, batch_size=8).recipe(images=19, classes=CLASSES)
    train_network(model, data, recipe, 1, images_at_once=2 * 19)
    assert len(groups) > 3


# Training


def naive_train_and_test(train, test, chosen, seed, drop_after):
    """The protocol of docs/algorithms.md with PyTorch's own optimiser; (loss and accuracy of the last epoch, test accuracy)."""
    model = build_network(
        NETWORK, channels=1, size=8, classes=CLASSES, seed=seed, purpose="evaluation-network", device=CPU
    )

    def optimiser_at(lr):
        return torch.optim.SGD(
            model.parameters(), lr=lr, momentum=chosen.momentum, weight_decay=chosen.weight_decay, fused=True
        )

    optimiser = optimiser_at(chosen.lr_net)
    losses, hits, before = [], [], 0
    for epoch, images, labels in naive_batches(train, chosen, seed):
        if epoch != before and before == drop_after:
            optimiser = optimiser_at(chosen.lr_net * 0.1)
        before = epoch
        logits = model(images)
        optimiser.zero_grad()
        F.cross_entropy(logits, labels).backward()
        optimiser.step()
        if epoch == chosen.epochs - 1:
            losses += F.cross_entropy(logits, labels, reduction="none").tolist()
            hits += (logits.argmax(1) == labels).tolist()
    with torch.no_grad():
        right = [
            int(model(test.normalised(image[None])).argmax()) == int(label)
            for image, label in zip(test.images, test.labels, strict=True)
        ]
    return np.mean(losses), np.mean(hits), np.mean(right)


@pytest.mark.parametrize(("count", "epochs"), [(10, 7), (20, 5), (19, 1), (19, 2)])
@pytest.mark.parametrize("make", [uint8_set, float_set])
def test_training_follows_a_plain_loop(count, epochs, make):
    train, test = make(count), uint8_set(31, seed=1)
    chosen = settings(epochs=epochs, lr_net=0.05)
    outcome = train_and_test(
        NetworkTraining(train=train, network=NETWORK, evaluation=chosen, classes=CLASSES, seed=(4, 5)), test
    )
    loss, hits, right = naive_train_and_test(train, test, chosen, (4, 5), drop_after=(epochs - 1) // 2 + 1)
    assert outcome.train_loss == pytest.approx(loss, rel=1e-5)
    assert outcome.train_accuracy == pytest.approx(hits, abs=1e-12)
    assert outcome.test_accuracy == pytest.approx(right, abs=1e-12)
    assert outcome.epochs == epochs


def test_the_learning_rate_drops_after_the_epoch_that_the_schedule_names():
    train, test, chosen = float_set(20), uint8_set(8, seed=1), settings(epochs=7, lr_net=0.05)
    outcome = train_and_test(
        NetworkTraining(train=train, network=NETWORK, evaluation=chosen, classes=CLASSES, seed=(4, 5)), test
    )
    losses = {drop: naive_train_and_test(train, test, chosen, (4, 5), drop)[0] for drop in (3, 4, 5, None)}
    matching = [drop for drop, loss in losses.items() if outcome.train_loss == pytest.approx(loss, rel=1e-5)]
    assert matching == [drop_unit(7)] == [4]


def test_a_separable_problem_is_learned():
    chosen = settings(epochs=60, lr_net=0.05, dsa_strategy="crop_flip")
    outcome = train_and_test(
        NetworkTraining(train=float_set(20), network=NETWORK, evaluation=chosen, classes=CLASSES, seed=(0, 0)),
        uint8_set(100, seed=1),
    )
    assert outcome.test_accuracy > 0.95
    assert outcome.train_accuracy > 0.95
    assert outcome.train_loss < 0.2


def test_shuffled_labels_are_not_predicted():
    train = float_set(20)
    random = replace(train, labels=torch.from_numpy(np.random.default_rng(0).permutation(train.labels.numpy())))
    chosen = settings(epochs=20, lr_net=0.05)
    outcome = train_and_test(
        NetworkTraining(train=random, network=NETWORK, evaluation=chosen, classes=CLASSES, seed=(0, 0)),
        uint8_set(100, seed=1),
    )
    assert outcome.test_accuracy < 0.9


def test_training_repeats_bit_for_bit_and_depends_on_both_seeds():
    train, test = float_set(19), uint8_set(30, seed=1)

    def outcome(seed):
        made = train_and_test(
            NetworkTraining(train=train, network=NETWORK, evaluation=settings(), classes=CLASSES, seed=seed), test
        )
        return made.train_loss, made.train_accuracy, made.test_accuracy

    first = outcome((0, 0))
    assert outcome((0, 0)) == first
    assert len({first, outcome((0, 1)), outcome((1, 0)), outcome((1, 1))}) == 4


def test_training_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train_and_test(
        NetworkTraining(train=float_set(10), network=NETWORK, evaluation=settings(), classes=CLASSES, seed=(0, 0)),
        uint8_set(10),
    )
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("count", [1, 511, 512, 513])
def test_confusion_counts_every_image_once_by_its_label_and_prediction(count):
    model = build_network(NETWORK, channels=1, size=8, classes=3, seed=1, device=CPU)
    data = uint8_set(count)
    expected = torch.zeros(3, 3, dtype=torch.int64)
    for i in range(count):
        expected[data.labels[i], model(data.normalised(data.images[i : i + 1])).argmax()] += 1
    found = confusion_matrix(model, data, 3)
    assert found.dtype == torch.int64
    assert torch.equal(found, expected)


def test_the_confusion_is_of_the_test_images_of_the_trained_network():
    test = uint8_set(31, seed=1)
    arguments = {"network": NETWORK, "classes": 3, "seed": (0, 0)}
    outcome = train_and_test(NetworkTraining(train=float_set(10), evaluation=settings(epochs=2), **arguments), test)
    counts = np.array(outcome.confusion)
    assert counts.sum(axis=1).tolist() == [16, 15, 0]
    assert outcome.test_accuracy == counts.trace() / 31
    # A class without test images has no accuracy; it counts as 0.
    assert outcome.class_accuracy == [counts[0, 0] / 16, counts[1, 1] / 15, 0.0]
    assert outcome.validation_accuracy is None


def test_validation_images_are_measured_and_change_nothing():
    train, test, held_out = float_set(10), uint8_set(31, seed=1), uint8_set(23, seed=2)
    arguments = {"network": NETWORK, "evaluation": settings(epochs=2), "classes": CLASSES, "seed": (0, 0)}
    outcome = train_and_test(NetworkTraining(train=train, validation=held_out, **arguments), test)
    assert (
        outcome.validation_accuracy == train_and_test(NetworkTraining(train=train, **arguments), held_out).test_accuracy
    )
    without = train_and_test(NetworkTraining(train=train, **arguments), test)
    unchanged = {"wall_seconds": 0.0, "validation_accuracy": None}
    assert replace(outcome, **unchanged) == replace(without, **unchanged)


def test_batch_norm_is_tested_in_eval_mode():
    norm = NetworkSettings(width=8, depth=2, norm="batch")
    model = build_network(norm, channels=1, size=8, classes=CLASSES, seed=0, device=CPU)
    data = uint8_set(40)
    before = model.features[1].running_mean.clone()
    confusion_matrix(model, data, CLASSES)
    assert torch.equal(model.features[1].running_mean, before)


def test_diverged_training_is_an_error_that_names_the_setting():
    with pytest.raises(BaconError, match=r"evaluation seed 3.*evaluation\.lr_net \(now 1e\+30\)"):
        train_and_test(
            NetworkTraining(
                train=float_set(10), network=NETWORK, evaluation=settings(lr_net=1e30), classes=CLASSES, seed=(0, 3)
            ),
            uint8_set(10),
        )


def test_every_epoch_is_reported():
    calls = []
    train_and_test(
        NetworkTraining(
            train=float_set(19), network=NETWORK, evaluation=settings(epochs=5), classes=CLASSES, seed=(0, 0)
        ),
        uint8_set(10),
        on_epoch=lambda: calls.append(1),
    )
    assert len(calls) == 5
