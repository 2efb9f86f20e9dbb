"""Class-incremental learning with the distilled images as memory."""

from __future__ import annotations

from pydantic import Field

from bacon.downstream.base import Task, TaskColumn, TaskSize, TaskWork
from bacon.settings.downstream import TaskSettings


class ContinualSettings(TaskSettings):
    """How the classes arrive."""

    steps: int = Field(
        5, ge=1, le=1000, description="Steps in which the classes arrive, as many in each; DM on CIFAR-100: 5 or 10."
    )
    orders: int = Field(
        5,
        ge=1,
        le=1000,
        description="Orders in which they arrive, the same for every cell: repetition r has order r modulo this. DM: 5 orders "
        "with 3 networks each, which is `seeds: 15`.",
    )


def too_few_classes(steps: int, classes: int) -> str | None:
    """What to say where there are fewer classes than steps; ``None``: there are not."""
    if steps <= classes:
        return None
    return (
        f"downstream.continual.steps is {steps}, but the data set has {classes} classes, and every step brings at least one: "
        f"set it to {classes} or less"
    )


def columns(_: ContinualSettings) -> tuple[TaskColumn, ...]:
    """What a stream of classes comes to; the accuracy after each step is in the figure and the CSV file."""
    return (
        TaskColumn(metric="final", title="Final (%)"),
        TaskColumn(metric="average", title="Average (%)"),
        TaskColumn(metric="forgetting", title="Forgetting (points)", possible=(-1.0, 1.0)),
    )


def notes(settings: ContinualSettings) -> tuple[str, ...]:
    """The protocol and the columns."""
    return (
        f"The classes arrive in {settings.steps} steps, in {settings.orders} orders that are the same for every cell. At each "
        "step a network is trained from scratch on the distilled images of all classes seen so far, and tested on the test "
        "images of these classes, among which it predicts; soft labels are conditioned on them. Repetition r has order r "
        f"modulo {settings.orders}.",
        "Final: accuracy after the last step. Average: mean of the accuracies after each step. Forgetting: accuracy on the "
        "classes of a step, its best before the last step less that after it, mean over the steps but the last.",
        "The memory is taken from a set that was distilled from all classes at once. Where a method lets the images of a class "
        "depend on other classes, they know of classes that have not arrived yet: for these methods it is an upper bound.",
    )


def work(settings: ContinualSettings, size: TaskSize) -> TaskWork:
    """After step t of T a network is trained on t/T of the set, and tested on t/T of the test set."""
    share = (settings.steps + 1) / 2
    training, test = share * size.images * size.epochs, share * size.test
    return TaskWork(forward=test, training=training, passes=(training + test) / 256 + settings.steps * size.epochs)


CONTINUAL = Task(
    name="continual",
    title="Continual learning",
    summary="Class-incremental learning: accuracy on the classes seen, of networks trained on their distilled images.",
    reference="Zhao and Bilen, Dataset Condensation with Distribution Matching, WACV 2023, arXiv:2110.04181; Prabhu et al., "
    "GDumb, ECCV 2020",
    settings_model=ContinualSettings,
    algorithm="bacon.downstream.continual.algorithm:Continual",
    columns=columns,
    notes=notes,
    figure="Continual learning: accuracy by classes seen",
    scales={"smoke": {"steps": 2}},
    has_full=False,
    uses_trained=False,
    classes_wanted=lambda settings, classes: too_few_classes(settings.steps, classes),
    cost=work,
)
