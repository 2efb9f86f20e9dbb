"""Membership inference: whether networks trained on a distilled set betray the images that it was distilled from."""

from __future__ import annotations

from pydantic import Field, field_validator

from bacon.downstream.base import Task, TaskColumn, TaskSize, TaskWork
from bacon.settings.downstream import TaskSettings

OWN = "own "
"""Before the name of an attack, in conditions: its members are the real images that the set itself holds."""


class MembershipSettings(TaskSettings):
    """The images that attacks are tried on, and the shadow networks."""

    images: int = Field(
        2000,
        ge=2,
        description="Members (training images) and as many others (test images) that attacks are tried on, at the most.",
    )
    shadows: int = Field(
        8,
        ge=0,
        le=1000,
        description="Shadow networks of the attack lira, 2 or more, each trained on as many other real images as the set has; "
        "0: without this attack.",
    )

    @field_validator("shadows")
    @classmethod
    def _some_or_none(cls, value: int) -> int:
        if value == 1:
            raise ValueError("one shadow network has no spread: set 2 or more, or 0 to leave out the attack lira")
        return value


def columns(_: MembershipSettings) -> tuple[TaskColumn, ...]:
    """Each attack's AUC, and the other numbers of the attacks by loss and by likelihood ratio; all are in the CSV file."""
    own = "own images"
    return (
        TaskColumn(metric="auc", condition="loss", title="AUC, loss (%)"),
        TaskColumn(metric="auc", condition="confidence", title="AUC, confidence (%)"),
        TaskColumn(metric="auc", condition="entropy", title="AUC, entropy (%)"),
        TaskColumn(metric="auc", condition="lira", title="AUC, lira (%)"),
        TaskColumn(metric="advantage", condition="loss", title="Advantage, loss (points)"),
        TaskColumn(metric="advantage", condition="lira", title="Advantage, lira (points)"),
        TaskColumn(metric="tpr_at_low_fpr", condition="loss", title="TPR at 1 % FPR, loss (%)"),
        TaskColumn(metric="tpr_at_low_fpr", condition="lira", title="TPR at 1 % FPR, lira (%)"),
        TaskColumn(metric="auc", condition=f"{OWN}loss", title=f"AUC, {own}, loss (%)"),
        TaskColumn(metric="auc", condition=f"{OWN}lira", title=f"AUC, {own}, lira (%)"),
    )


def notes(settings: MembershipSettings) -> tuple[str, ...]:
    """The protocol and the columns."""
    lira = (
        f"lira: offline likelihood ratio with {settings.shadows} shadow networks, each trained on as many real images as the "
        "set has, none of them attacked; not for the full data set. "
        if settings.shadows
        else ""
    )
    return (
        f"Members: training images, which the set was distilled from, at most {settings.images}; others: as many test images "
        "of the same classes. Each network is attacked by itself. Own images: the members are the real images that the set "
        "itself holds unchanged, for methods that select images: what training on an image reveals.",
        "Scores: loss (small for members), confidence (largest probability), entropy (modified entropy). "
        f"{lira}AUC: how often a member scores above another image; 50 % is guessing. Advantage: true less false positive rate "
        "at the threshold where it is largest, which is a little above 0 for guessing. TPR at 1 % FPR: members found where at "
        "most 1 % of the others are taken for members.",
    )


def work(settings: MembershipSettings, size: TaskSize) -> TaskWork:
    """Shadow networks are trained once for a cell; counted for each repetition, it is an upper bound."""
    targets = 2 * min(settings.images, size.test)
    training = settings.shadows * size.images * size.epochs if size.images < size.train else 0
    forward = (1 + settings.shadows) * targets + size.train
    return TaskWork(
        forward=forward, training=training, passes=(forward + training) / 256 + settings.shadows * size.epochs
    )


MEMBERSHIP = Task(
    name="membership",
    title="Membership inference",
    summary="Whether a network trained on the distilled set betrays which real images the set was distilled from.",
    reference="Yeom et al., CSF 2018, arXiv:1709.01604; Carlini et al., S&P 2022, arXiv:2112.03570; Dong et al., ICML 2022, "
    "arXiv:2206.00240",
    settings_model=MembershipSettings,
    algorithm="bacon.downstream.membership.algorithm:Membership",
    columns=columns,
    notes=notes,
    scales={"smoke": {"shadows": 2}, "demo": {"shadows": 4}},
    cost=work,
)
