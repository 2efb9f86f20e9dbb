"""Train a fresh network on an image set as an evaluation protocol says."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class NetworkTraining:
    """One network that a protocol trains: on what, how, and with which draws.

    Attributes:
        train: the training images, decoded.
        network: the architecture.
        evaluation: the protocol, of a single augmentation (``with_augmentation``); its seed counts are not used.
        classes: number of classes.
        seed: (distillation seed, evaluation seed), which key initialisation, order and augmentation.
        validation: images held out of the training set, on the same device; ``None``: there are none.
        teacher: labels each batch, where the protocol's labels come from a teacher.
        images_at_once: bounds memory; changes no draw, and results by rounding at the most.
    """

    train: ImageSet
    network: NetworkSettings
    evaluation: EvaluationSettings
    classes: int
    seed: tuple[int, int]
    validation: ImageSet | None = None
    teacher: Teacher | None = None
    images_at_once: int = IMAGES_AT_ONCE

    def recipe(self) -> TrainingRecipe:
        """What the protocol says for these images; a learning rate that depends on the network is not in it yet."""
        return self.evaluation.recipe(images=len(self.train), classes=self.classes, rates=self.train.rates)


def begun(given: NetworkTraining) -> Training:
    """The network of a protocol that trains one, before its first epoch.

    Raises:
        BaconError: the architecture does not fit the images, or the protocol asks for something that does not exist: a teacher,
            or learned learning rates.
    """
    train, recipe, model = given.train, given.recipe(), _initial(given)
    if given.evaluation.lr == "ntk":
        recipe = _at_stable_rate(recipe, model, train if given.validation is None else given.validation)
    return Training(
        model,
        train,
        recipe,
        given.seed,
        purpose="evaluation",
        teacher=given.teacher,
        images_at_once=given.images_at_once,
    )


def trained_network(given: NetworkTraining) -> Network:
    """The network that :func:`bacon.evaluation.train_and_test.train_and_test` tests, to the bit, in eval mode.

    Its parameters take no gradient. The protocol must train a network (no ``regression``).

    Raises:
        BaconError: as :func:`begun`, or training diverged.
    """
    training = begun(given)
    training.run()
    check_converged(training.totals.tolist()[0] / training.seen, training.recipe, given.seed)
    return training.model.eval().requires_grad_(False)


def check_converged(loss: float, recipe: TrainingRecipe, seed: tuple[int, int]) -> None:
    """Raise :class:`DivergedError` unless the loss of a training's last epoch is finite."""
    if not loss < float("inf"):
        raise DivergedError(
            f"evaluation seed {seed[1]}: the training loss of the last epoch is {loss}: training diverged. "
            f"Lower evaluation.lr_net (now {recipe.optimiser.lr}), or check that the distilled images are finite."
        )


def _initial(given: NetworkTraining) -> Network:
    """The network before training, with the weights of its seed, or the fixed network of its distillation seed."""
    fixed, train = given.evaluation.initialisation == "fixed", given.train
    return build_network(
        given.network,
        channels=train.images.shape[1],
        size=train.images.shape[2],
        classes=given.classes,
        seed=given.seed[0] if fixed else given.seed,
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
