"""Accuracy under attack against epsilon, and under corruption against severity."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pandas as pd

from bacon.downstream.corruptions.record import corruption_title
from bacon.reporting.collect.task_results import task_summary
from bacon.reporting.figures.canvas import FigurePage
from bacon.reporting.figures.task_lines import lines_figure

if TYPE_CHECKING:
    from bacon.downstream.corruptions.record import CorruptionSettings
    from bacon.downstream.robustness.record import RobustnessSettings
    from bacon.plan.plan import Plan

_MEAN = "mean"


def robustness_figure(plan: Plan) -> FigurePage:
    """One panel for each attack; without attack is epsilon 0."""
    table, settings = task_summary(plan, "robustness"), cast("RobustnessSettings", plan.tasks.settings("robustness"))
    clean = table[table["metric"] == "accuracy"]
    titles = {"fgsm": "FGSM", "pgd": "PGD", "autoattack": "AutoAttack"}
    attacks: dict[str, str] = {name: titles[name] for name in settings.attacks}
    starts = [clean.assign(metric="robust_accuracy", condition=name, at=0.0) for name in attacks]
    attacked = table[(table["metric"] == "robust_accuracy") & table["condition"].isin(list(attacks))]
    return lines_figure(
        pd.concat([*starts, attacked], ignore_index=True),
        title=plan.tasks.task("robustness").figure,
        caption="Test accuracy in percent under each attack against epsilon, the largest change of a pixel, in grey levels of "
        "255; 0: without attack.",
        xlabel="Epsilon (1/255)",
        ylabel="Accuracy (%)",
        conditions=attacks,
        x_scale=255.0,
    )


def corruptions_figure(plan: Plan) -> FigurePage:
    """The mean over corruptions and each corruption, against severity; severity 0 is without corruption."""
    table, settings = task_summary(plan, "corruptions"), cast("CorruptionSettings", plan.tasks.settings("corruptions"))
    each = table[(table["metric"] == "corrupted_accuracy") & table["at"].notna()]
    place = ["dataset", "dataset_title", "method", "method_title", "ipc", "network", "at"]
    mean = each.groupby(place, sort=False, dropna=False, as_index=False)["mean"].mean().assign(condition=_MEAN)
    names: dict[str, str] = {_MEAN: "Mean"}
    names |= {name: corruption_title(name) for name in settings.corruptions}
    clean = table[table["metric"] == "accuracy"]
    starts = [clean.assign(condition=name, at=0.0) for name in names]
    return lines_figure(
        pd.concat([*starts, mean, each], ignore_index=True),
        title=plan.tasks.task("corruptions").figure,
        caption="Test accuracy in percent on corrupted images against severity; 0: without corruption. Mean: over the "
        "corruptions, without interval.",
        xlabel="Severity",
        ylabel="Accuracy (%)",
        conditions=names,
    )
