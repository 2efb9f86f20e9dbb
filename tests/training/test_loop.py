"""The training loop: recipes against plain loops, resuming to the bit, history, teachers, averages, golden numbers."""

from __future__ import annotations

import copy
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
from bacon.settings.recipe import TrainingRecipe
from bacon.training.batches import Batches, ImageSet
from bacon.training.loop import Training, train_network
from bacon.training.predictions import confusion_matrix, ensemble, logits
from tests.toy_images import CPU, toy

CLASSES = 3
NETWORKS = {
    "instance": NetworkSettings(width=6, depth=2),
    "batch": NetworkSettings(width=6, depth=2, norm="batch"),
}
GREY, SMALL, LARGE = (1, 28), (3, 32), (3, 64)


def images_of(count=19, channels=2, side=8, soft=True):
    generator = torch.Generator().manual_seed(7)
    return ImageSet(
        images=torch.randn(count, channels, side, side, generator=generator),
        labels=torch.arange(count) % CLASSES,
        soft=torch.randn(count, CLASSES, generator=generator) if soft else None,
        soft_kind="logits",
    )


def network(norm="instance", channels=2, side=8, seed=0):
    return build_network(NETWORKS[norm], channels=channels, size=side, classes=CLASSES, seed=seed, device=CPU)


def recipe(**keys):
    steps = {} if "steps" in keys else {"epochs": 4}
    return TrainingRecipe(**({"batch_size": 8, "augmentation": {"family": "dsa"}} | steps | keys))


RECIPES = {
    "plain": {},
    "drop": {"epochs": 7, "schedule": {"kind": "drop"}},
    "multistep": {"epochs": 6, "schedule": {"kind": "multistep"}},
    "adamw, cosine": {"optimiser": {"kind": "adamw"}, "schedule": {"kind": "cosine"}},
    "steps": {"steps": 10, "schedule": {"kind": "half_cosine"}},
    "soft": {"labels": "stored", "loss": [{"kind": "kl", "temperature": 2}, {"kind": "ce", "weight": 0.5}]},
    "average": {"ema": 0.9, "optimiser": {"kind": "adam"}},
    "sharp": {"sharpness": {"rho": 0.1, "gap": 0.2}, "clip_norm": 1.0},
    "cutmix": {"mixing": {"kind": "cutmix"}, "augmentation": {"family": "idc"}},
    "stored order": {"order": "stored", "rates": [0.01, 0.02, 0.03], "steps": 9},
}


# Plain loops


@pytest.mark.parametrize("norm", NETWORKS)
def test_a_recipe_follows_a_plain_loop(norm):
    """SGD with several terms, MultiStep, clipping and a moving average, with PyTorch's own parts."""
    data = images_of()
    chosen = recipe(
        epochs=6, augmentation={"family": "none"}, schedule={"kind": "multistep", "milestones": (0.5,)}, ema=0.8,
        labels="stored", loss=[{"kind": "soft_ce"}, {"kind": "mse", "weight": 0.1}], clip_norm=0.7,
    )  # fmt: skip
    model = network(norm)
    training = train_network(model, data, chosen, (1, 2))
    other = network(norm).train()
    optimiser = torch.optim.SGD(other.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimiser, [3], gamma=0.2)
    average = [parameter.detach().clone() for parameter in other.parameters()]
    hits, losses = 0, 0.0
    for epoch in range(6):
        order = device_permutation((1, 2), "training-order", count=len(data), device=CPU, lanes=epoch)
        hits, losses = 0, 0.0
        for index in order.split(8):
            found = other(data.images[index])
            target = data.soft[index]
            loss = F.cross_entropy(found, target.softmax(dim=1)) + 0.1 * F.mse_loss(found, target)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(other.parameters(), 0.7)
            optimiser.step()
            average = [0.8 * a + 0.2 * p.detach() for a, p in zip(average, other.parameters(), strict=True)]
            hits += int((found.argmax(dim=1) == data.labels[index]).sum())
            losses += loss.item() * len(index)
        scheduler.step()
    for mine, expected in zip(model.parameters(), average, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-6)
    assert training.totals[1].item() == hits, "accuracy is against the class, whatever the loss uses"
    assert training.totals[0].item() == pytest.approx(losses, rel=1e-4)
    assert training.seen == len(data)


def test_sharpness_aware_steps_of_the_loop_are_two_steps_written_out():
    data = images_of(count=8)
    chosen = recipe(
        epochs=3, order="stored", augmentation={"family": "none"}, sharpness={"rho": 0.2},
        optimiser={"momentum": 0, "weight_decay": 0, "kind": "sgd", "lr": 0.05},
    )  # fmt: skip
    model, other = network("batch"), network("batch").train()
    train_network(model, data, chosen, 0)
    for _ in range(3):
        parameters = list(other.parameters())
        first = torch.autograd.grad(F.cross_entropy(other(data.images), data.labels), parameters)
        buffers = [buffer.clone() for buffer in other.buffers()]
        norm = torch.sqrt(sum(gradient.square().sum() for gradient in first))
        before = [parameter.detach().clone() for parameter in parameters]
        with torch.no_grad():
            for parameter, gradient in zip(parameters, first, strict=True):
                parameter += 0.2 * gradient / norm
        second = torch.autograd.grad(F.cross_entropy(other(data.images), data.labels), parameters)
        with torch.no_grad():
            for parameter, kept, gradient in zip(parameters, before, second, strict=True):
                parameter.copy_(kept - 0.05 * gradient)
            for buffer, kept in zip(other.buffers(), buffers, strict=True):
                buffer.copy_(kept)
    for (name, mine), theirs in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5, msg=name)


def test_one_rate_for_each_step_is_repeated():
    data = images_of(count=6)
    chosen = recipe(
        steps=5, order="stored", batch_size=2, rates=(0.01, 0.2, 0.03), augmentation={"family": "none"},
        optimiser={"kind": "sgd", "momentum": 0, "weight_decay": 0},
    )  # fmt: skip
    model, other = network(), network()
    training = train_network(model, data, chosen, 0)
    assert (training.epochs, training.epoch, training.step) == (2, 2, 5)
    assert training.seen == 4, "the last pass is cut short"
    for step, rate in enumerate((0.01, 0.2, 0.03, 0.01, 0.2)):
        index = torch.arange(2) + 2 * (step % 3)
        loss = F.cross_entropy(other(data.images[index]), data.labels[index])
        gradients = torch.autograd.grad(loss, list(other.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(other.parameters(), gradients, strict=True):
                parameter -= rate * gradient
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)


def test_one_image_of_every_class_a_step():
    labels = torch.tensor([0, 0, 0, 1, 2, 1, 2, 1, 2])
    data = ImageSet(images=torch.arange(9.0).view(9, 1, 1, 1), labels=labels)
    chosen = TrainingRecipe(epochs=2, batch_size=3, order="one_per_class")
    batches = list(Batches(data, chosen, 0, classes=3).from_epoch())
    assert [batch.places.tolist() for batch in batches] == [[0, 3, 4], [1, 5, 6], [2, 7, 8]] * 2


# Resuming, determinism, what an epoch leaves


def run(name, state=None, stop=None, norm="batch"):
    """Final weights, and the checkpoints of every epoch."""
    states = []

    class StoppedError(Exception):
        pass

    def on_epoch(training):
        states.append(training.state_dict())
        if stop == training.epoch:
            raise StoppedError

    model = network(norm)
    try:
        training = train_network(
            model, images_of(), recipe(**RECIPES[name]), (1, 2), on_epoch=on_epoch, every_epoch=True, state=state
        )
    except StoppedError:
        return states
    return [*model.state_dict().values(), training.totals, training.correct, torch.tensor(training.seen)]


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_resumes_to_the_bit_at_every_epoch(name):
    whole = run(name)
    epochs = recipe(**RECIPES[name]).total_epochs(19)
    for stop in range(1, epochs + 1):
        state = run(name, stop=stop)[-1]
        kept = copy.deepcopy(state)
        resumed = run(name, state=state)
        for one, two in zip(whole, resumed, strict=True):
            assert torch.equal(one, two)
        assert str(state) == str(kept), "loading leaves the checkpoint as it is"


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_repeats_to_the_bit_and_depends_on_its_seed(name):
    def weights(seed):
        model = network()
        train_network(model, images_of(), recipe(**RECIPES[name]), seed)
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = weights((1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, weights((1, 2)))
    assert torch.equal(first, weights((1, 3))) == (
        name == "stored order" and RECIPES[name].get("augmentation") is not None
    )


def test_batches_begin_at_any_epoch_as_if_from_the_first():
    data, chosen = images_of(), recipe(epochs=9, mixing={"kind": "mixup"})
    for at_once in (1, 40, 2048):
        batches = Batches(data, chosen, 3, classes=CLASSES, images_at_once=at_once)
        whole = list(batches.from_epoch())
        for first in (1, 4, 8, 9):
            part = list(batches.from_epoch(first))
            assert len(part) == 3 * (9 - first)
            for one, two in zip(whole[3 * first :], part, strict=True):
                assert torch.equal(one.images, two.images)
                assert torch.equal(one.mixed, two.mixed)
                assert torch.equal(one.places, two.places)


def test_every_epoch_leaves_weights_and_which_images_were_right_in_their_own_batch():
    data, seen, chosen = (
        images_of(),
        [],
        recipe(epochs=3, augmentation={"family": "none"}, optimiser={"kind": "sgd", "lr": 0.1}),
    )

    def on_epoch(training):
        seen.append((training.weights(), training.correct.clone(), training.totals[1].item()))

    model = network()
    train_network(model, data, chosen, 5, every_epoch=True, on_epoch=on_epoch)
    other = network().train()
    optimiser = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for epoch, (weights, correct, hits) in enumerate(seen):
        expected = torch.zeros(len(data), dtype=torch.bool)
        order = device_permutation(5, "training-order", count=len(data), device=CPU, lanes=epoch)
        for index in order.split(8):
            found = other(data.images[index])
            expected[index] = found.argmax(dim=1) == data.labels[index]
            optimiser.zero_grad()
            F.cross_entropy(found, data.labels[index]).backward()
            optimiser.step()
        assert torch.equal(correct, expected)
        assert hits == int(expected.sum())
        for name, tensor in other.state_dict().items():
            torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-6)
    assert any(not torch.equal(seen[0][1], correct) for _, correct, _ in seen)


def test_averaged_weights_of_an_epoch_are_those_of_a_training_that_ends_there():
    def trained(epochs):
        model, seen = network("batch"), []
        chosen = recipe(epochs=epochs, ema=0.8, augmentation={"family": "none"})
        train_network(model, images_of(), chosen, 5, on_epoch=lambda training: seen.append(training.weights()))
        return model.state_dict(), seen

    _, seen = trained(3)
    for epochs, weights in enumerate(seen, start=1):
        expected, _ = trained(epochs)
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


# Teachers


def test_a_teacher_labels_each_augmented_and_mixed_batch():
    # A teacher gives logits, whatever kind of soft labels the images have, or would have.
    data = replace(images_of(soft=False), soft_kind="probabilities")
    first, second = network(seed=1), network(seed=2)
    chosen = recipe(
        epochs=2,
        labels="teacher",
        loss=[{"kind": "kl", "temperature": 2}],
        mixing={"kind": "cutmix", "probability": 1.0},
    )
    calls, teacher = [], ensemble([first, second])

    def watched(images):
        made = teacher(images)
        calls.append((images, made))
        return made

    model, other = network(), network().train()
    train_network(model, data, chosen, 4, teacher=watched)
    assert not any(parameter.requires_grad for parameter in first.parameters())
    optimiser = torch.optim.SGD(other.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)
    for batch, (images, made) in zip(
        Batches(data, chosen, 4, classes=CLASSES, purpose="training").from_epoch(), calls, strict=True
    ):
        assert torch.equal(batch.images, images)
        torch.testing.assert_close(made, (first(images) + second(images)) / 2)
        optimiser.zero_grad()
        target = (made / 2).softmax(dim=1)
        F.kl_div((other(images) / 2).log_softmax(dim=1), target, reduction="batchmean").backward()
        optimiser.step()
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_teachers_with_equal_norms_count_the_same():
    first, second = network(seed=1), network(seed=2)
    images = images_of(soft=False)
    batch = images.normalised(images.images[:6])
    one, other = first(batch), second(batch)
    second.classifier.weight.mul_(50)
    second.classifier.bias.mul_(50)
    found = ensemble([first, second], equal_norms=True)(batch)
    norms = one.norm(), 50 * other.norm()
    mean = (norms[0] + norms[1]) / 2
    torch.testing.assert_close(found, (one / one.norm() + other / other.norm()) / 2 * mean)
    torch.testing.assert_close(ensemble([first, second])(batch), (one + 50 * other) / 2)


def test_a_recipe_with_a_teacher_needs_one():
    chosen = recipe(labels="teacher", loss=[{"kind": "soft_ce"}])
    with pytest.raises(BaconError, match=r"labels: teacher.*none is given"):
        Training(network(), images_of(), chosen, 0)


def test_soft_labels_of_other_classes_are_an_error():
    data = replace(images_of(), soft=torch.zeros(19, 5))
    with pytest.raises(BaconError, match="soft labels of 5 classes for a network of 3"):
        Training(network(), data, recipe(labels="stored", loss=[{"kind": "soft_ce"}]), 0)


@pytest.mark.parametrize("labels", [torch.zeros(4, CLASSES), torch.zeros(4), torch.zeros(3, dtype=torch.int64)])
def test_labels_that_are_no_classes_are_an_error(labels):
    with pytest.raises(BaconError, match=r"labels are the classes, \(N,\) int64"):
        ImageSet(images=torch.zeros(4, 1, 8, 8), labels=labels)


def test_logits_are_those_of_every_image_in_order():
    data, model = images_of(count=13), network("batch")
    train_network(model, data, recipe(epochs=1), 0)
    found = logits(model, data, images_at_once=20)
    assert found.shape == (13, CLASSES)
    torch.testing.assert_close(found, model.eval()(data.images))
    right = int((found.argmax(dim=1) == data.labels).sum())
    assert int(confusion_matrix(model, data, CLASSES).trace()) == right


# Sizes, evaluation settings, golden numbers


@pytest.mark.parametrize(("channels", "side"), [GREY, SMALL, LARGE])
@pytest.mark.parametrize("family", ["idc", "crop_flip", "random_resized_crop"])
def test_every_size_trains(channels, side, family):
    data = images_of(12, channels, side)
    model = network("instance", channels, side)
    before = model.classifier.weight.detach().clone()
    chosen = recipe(
        epochs=2,
        augmentation={"family": family},
        mixing={"kind": "cutmix"},
        labels="stored",
        loss=[{"kind": "soft_ce"}],
    )
    training = train_network(model, data, chosen, 0)
    assert training.totals.isfinite().all()
    assert not torch.equal(model.classifier.weight, before)


def toy_set(count, seed):
    images, labels = toy(count, seed)
    return ImageSet.of_uint8(images, labels, mean=(0.4,), std=(0.25,), device=CPU)


def evaluated(train=None, **keys):
    chosen = EvaluationSettings(**({"epochs": 4, "batch_size": 8, "lr_net": 0.05} | keys))
    return train_and_test(
        NetworkTraining(
            train=train or toy_set(20, 0),
            network=NetworkSettings(width=8, depth=2),
            evaluation=chosen,
            classes=2,
            seed=(4, 5),
        ),
        toy_set(30, 1),
    )


def test_soft_labels_of_a_set_train_where_the_settings_say_so():
    inverted = replace(toy_set(20, 0), soft=F.one_hot(1 - toy_set(20, 0).labels, 2).float())
    hard, soft = (evaluated(inverted, epochs=30, labels=labels) for labels in ("hard", "stored"))
    assert hard.test_accuracy > 0.9
    assert soft.test_accuracy < 0.1, "the soft labels say the opposite of the classes, which accuracy is measured by"
    assert soft.train_accuracy < 0.1


def test_a_learned_rate_replaces_the_fixed_one_where_the_settings_say_so():
    learned = replace(toy_set(20, 0), rates=(0.02,))
    unchanged = {"wall_seconds": 0.0}
    assert replace(evaluated(learned, lr="learned"), **unchanged) == replace(evaluated(lr_net=0.02), **unchanged)
    assert replace(evaluated(learned), **unchanged) == replace(evaluated(), **unchanged)
    assert replace(evaluated(lr="learned"), **unchanged) == replace(evaluated(), **unchanged), "real images have none"


def test_rates_of_every_step_are_a_training_of_as_many_steps():
    learned = replace(toy_set(20, 0), rates=(0.02, 0.01, 0.03))
    found = evaluated(learned, lr="learned", order="one_per_class", momentum=0.0, augmentations=("none",))
    assert found.epochs == 1, "ten steps of one image of each class are an epoch, and there are three"


def test_epochs_follow_the_images_per_class():
    chosen = EvaluationSettings(epochs=9, epochs_by_images=((1, 30), (10, 20)))
    assert [chosen.passes(images=count, classes=10) for count in (10, 20, 100, 110)] == [30, 20, 20, 9]
    assert chosen.recipe(images=100, classes=10).epochs == 20
    assert EvaluationSettings(steps=10, batch_size=4).passes(images=11, classes=10) == 4


# (channels, side, classes, images), settings -> test accuracy, training accuracy and loss, from before there was a recipe.
GOLDEN = {
    "dsa": ((1, 8, 2, 19), {}, (0.9166666666666666, 0.9473684210526315, 0.15649700243222087)),
    "dsa32": ((3, 32, 3, 30), {"epochs": 4}, (1.0, 0.9666666666666667, 0.15321637243032454)),
    "none": ((1, 28, 2, 20), {"augmentations": ("none",)}, (1.0, 1.0, 1.3839017901773331e-05)),
    "cifar": ((3, 32, 2, 20), {"augmentations": ("cifar",)}, (0.5333333333333333, 0.85, 0.48259315490722654)),
    "many": (
        (1, 8, 2, 300),
        {"epochs": 7, "batch_size": 32, "weight_decay": 0.0, "momentum": 0.0},
        (0.9833333333333333, 0.9466666666666667, 0.20048357725143431),
    ),
}


def golden_set(count, seed, channels, side, classes):
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.int64)
    noise = random.integers(0, 256, (count, channels, side, side))
    images = (noise // 2 + labels[:, None, None, None] * (100 // classes)).astype(np.uint8)
    return ImageSet.of_uint8(images, labels, mean=(0.4,) * channels, std=(0.25,) * channels, device=CPU)


@pytest.mark.parametrize("name", GOLDEN)
def test_todays_settings_give_the_numbers_from_before_there_was_a_recipe(name):
    (channels, side, classes, count), keys, expected = GOLDEN[name]
    outcome = train_and_test(
        NetworkTraining(
            train=golden_set(count, 0, channels, side, classes),
            network=NetworkSettings(width=8, depth=2, norm="batch" if name == "dsa32" else "instance"),
            evaluation=EvaluationSettings(**({"epochs": 6, "batch_size": 8, "lr_net": 0.05} | keys)),
            classes=classes,
            seed=(4, 5),
        ),
        golden_set(60, 1, channels, side, classes),
    )
    assert (outcome.test_accuracy, outcome.train_accuracy) == expected[:2]
    assert outcome.train_loss == pytest.approx(expected[2], rel=1e-5)
