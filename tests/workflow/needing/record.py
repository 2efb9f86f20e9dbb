"""Two methods that need the same networks, trained on the real set."""

from pydantic import Field

from bacon.methods.base import Method
from bacon.settings.distillation import DistillationSettings
from bacon.settings.recipe import SgdSettings, TrainingRecipe
from bacon.settings.training_need import TrainingNeed


class NeedingSettings(DistillationSettings):
    """How the teachers are trained, and how many."""

    teacher_epochs: int = Field(3, ge=1, description="Epochs of each teacher.")
    teachers: int = Field(2, ge=1, description="Number of teachers.")


def needs(settings):
    """The teachers, with everything that can be kept."""
    own = settings.distillation
    recipe = TrainingRecipe(epochs=own.teacher_epochs, batch_size=64, optimiser=SgdSettings(lr=0.05))
    keep = frozenset({"final", "snapshots", "history", "soft_labels"})
    return (TrainingNeed(name="teachers", network=settings.network, recipe=recipe, runs=own.teachers, keep=keep),)


def method(name, algorithm):
    """A record."""
    return Method(
        name=name, title=name, summary="An example.", reference="-", settings_model=NeedingSettings,
        algorithm=f"needing.algorithm:{algorithm}", needs=needs,
    )  # fmt: skip


CONFIDENT, FORGOTTEN = method("confident", "Confident"), method("forgotten", "Forgotten")
