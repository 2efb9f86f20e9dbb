"""Train a fresh network on an image set as an evaluation protocol says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bacon.networks.build import FIXED_NETWORK, build_network
from bacon.networks.network import Network
from bacon.training.batches import IMAGES_AT_ONCE
from bacon.training.image_set import ImageSet
from bacon.training.loop import DivergedError, Training
from bacon.training.predictions import Teacher
from bacon.training.stable_rate import IMAGES, largest_stable_rate

if TYPE_CHECKING:
    from bacon.settings.evaluation import EvaluationSettings
    from bacon.settings.network import NetworkSettings
    from bacon.settings.recipe import TrainingRecipe


def begun(
    train: ImageSet,
    *,
    network: NetworkSettings,
    evaluation: EvaluationSettings,
    classes: int,
    seed: tuple[int, int],
    validation: ImageSet | None = None,
    teacher: Teacher | None = None,
    images_at_once: int = IMAGES_AT_ONCE,
) -> Training:
    """The network of a protocol that trains one, before its first epoch.

    Arguments and errors as :func:`bacon.evaluation.train_and_test.trial`.
    """
    recipe = evaluation.recipe(images=len(train), classes=classes, rates=train.rates)
    model = _initial(network, train, classes, seed, fixed=evaluation.initialisation == "fixed")
    if evaluation.lr == "ntk":
        recipe = _at_stable_rate(recipe, model, train if validation is None else validation)
    return Training(model, train, recipe, seed, purpose="evaluation", teacher=teacher, images_at_once=images_at_once)


def trained_network(
    train: ImageSet,
    *,
    network: NetworkSettings,
    evaluation: EvaluationSettings,
    classes: int,
    seed: tuple[int, int],
    validation: ImageSet | None = None,
    teacher: Teacher | None = None,
    images_at_once: int = IMAGES_AT_ONCE,
    on_epoch: Callable[[], None] = lambda: None,
) -> Network:
    """The network that :func:`bacon.evaluation.train_and_test.train_and_test` tests, to the bit, in eval mode.

    Its parameters take no gradient. Arguments and errors as :func:`bacon.evaluation.train_and_test.trial`; the protocol must
    train a network (no ``regression``).
    """
    training = begun(
        train,
        network=network,
        evaluation=evaluation,
        classes=classes,
        seed=seed,
        validation=validation,
        teacher=teacher,
        images_at_once=images_at_once,
    )
    training.run(lambda _: on_epoch())
    check_converged(training.totals.tolist()[0] / training.seen, training.recipe, seed)
    return training.model.eval().requires_grad_(False)


def check_converged(loss: float, recipe: TrainingRecipe, seed: tuple[int, int]) -> None:
    """Raise :class:`DivergedError` unless the loss of a training's last epoch is finite."""
    if not loss < float("inf"):
        raise DivergedError(
            f"evaluation seed {seed[1]}: the training loss of the last epoch is {loss}: training diverged. "
            f"Lower evaluation.lr_net (now {recipe.optimiser.lr}), or check that the distilled images are finite."
        )


def _initial(network: NetworkSettings, train: ImageSet, classes: int, seed: tuple[int, int], *, fixed: bool) -> Network:
    """The network before training, with the weights of its seed, or the fixed network of its distillation seed."""
    return build_network(
        network,
        channels=train.images.shape[1],
        size=train.images.shape[2],
        classes=classes,
        seed=seed[0] if fixed else seed,
        purpose=FIXED_NETWORK if fixed else "evaluation-network",
        device=train.device,
    )


def _at_stable_rate(recipe: TrainingRecipe, model: Network, images: ImageSet) -> TrainingRecipe:
    """The recipe with its learning rate times the largest stable one, by up to 50 of ``images``, evenly out of all."""
    optimiser = recipe.optimiser
    assert optimiser.kind == "sgd", "the settings say so"
    some = images.images[:: max(1, len(images) // IMAGES)][:IMAGES]
    weight = sum(term.weight for term in recipe.loss)
    rate = largest_stable_rate(model, images.normalised(some), momentum=optimiser.momentum, weight=weight)
    return recipe.model_copy(update={"optimiser": optimiser.model_copy(update={"lr": optimiser.lr * rate})})
