"""Adversarial robustness: accuracy under FGSM, PGD and AutoAttack, and BEARD's RR, AE and CREI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from bacon.downstream.base import Task, TaskColumn, TaskSize, TaskWork
from bacon.settings.downstream import TaskSettings, each_once

Attack = Literal["fgsm", "pgd", "autoattack"]
ATTACK_TITLES: Mapping[str, str] = {"fgsm": "FGSM", "pgd": "PGD", "autoattack": "AutoAttack"}
WORST = "worst"
"""Condition of the accuracy on images that withstand every attack of one epsilon."""

_Epsilon = Annotated[float, Field(gt=0, le=1)]
PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "dd-robustbench": {
        "epsilons": [2 / 255, 4 / 255, 8 / 255], "autoattack_epsilons": [1 / 255, 2 / 255, 3 / 255, 4 / 255],
        "step_size": 2 / 255, "steps": 10, "random_start": True, "seeds": 5, "test_images": None,
    },
    "beard": {
        "epsilons": [8 / 255], "step_size": 2 / 225, "steps": 10, "random_start": False, "test_images": None,
    },
}  # fmt: skip
"""Name of a published protocol -> the keys that it sets; keys that the file gives win."""


class RobustnessSettings(TaskSettings):
    """The attacks, all bounded in the maximum norm of pixels in [0, 1]."""

    protocol: Literal["own", "dd-robustbench", "beard"] = Field(
        "own",
        description="Published settings in place of the defaults below, for the attacks that are here: DD-RobustBench's or "
        "BEARD's; own: none. Keys given beside it win.",
    )
    attacks: tuple[Attack, ...] = Field(("fgsm", "pgd", "autoattack"), min_length=1, description="Attacks.")
    epsilons: tuple[_Epsilon, ...] = Field(
        (8 / 255,),
        min_length=1,
        description="Largest change of a pixel in [0, 1], before normalisation; each is attacked.",
    )
    autoattack_epsilons: tuple[_Epsilon, ...] | None = Field(
        None, min_length=1, description="Those of autoattack, which costs most; null: `epsilons`."
    )
    step_size: float = Field(2 / 255, gt=0, le=1, description="Change of a pixel in each step of pgd.")
    steps: int = Field(10, ge=1, le=10_000, description="Steps of pgd.")
    random_start: bool = Field(True, description="Whether pgd begins at a random point within epsilon.")
    alpha: float = Field(0.5, ge=0, le=1, description="Weight of RR in CREI.")
    test_images: int | None = Field(
        None, ge=1, description="Number of test images that are attacked, drawn once for a data set; null: all."
    )

    @model_validator(mode="before")
    @classmethod
    def _published(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            return {**PUBLISHED.get(str(values.get("protocol")), {}), **values}
        return values

    _each_once = field_validator("attacks", "epsilons", "autoattack_epsilons")(each_once)

    def pairs(self) -> Iterator[tuple[str, float]]:
        """(Attack, epsilon) of everything that is attacked, by epsilon."""
        for epsilon in self.all_epsilons():
            yield from ((attack, epsilon) for attack in self.attacks if epsilon in self._of(attack))

    def all_epsilons(self) -> tuple[float, ...]:
        """Every epsilon of any attack, ascending."""
        return tuple(sorted({epsilon for attack in self.attacks for epsilon in self._of(attack)}))

    def together(self, epsilon: float) -> tuple[str, ...]:
        """The attacks of an epsilon."""
        return tuple(attack for attack, each in self.pairs() if each == epsilon)

    def out_of_reach(self) -> str | None:
        """That steps of pgd do not suffice to reach an epsilon, and what to do; ``None``: they do, or it is not run."""
        reach = self.steps * self.step_size
        # Steps that make up the epsilon as decimals may be less by rounding.
        missed = [epsilon for epsilon in self.epsilons if reach < epsilon * (1 - 1e-9)]
        if "pgd" not in self.attacks or not missed:
            return None
        step, far, bounds = epsilon_text(self.step_size), epsilon_text(reach), ", ".join(map(epsilon_text, missed))
        return (
            f"PGD: {self.steps} steps of {step} move a pixel by {far} at most from where it begins, less than epsilon "
            f"{bounds}: it may be weaker than FGSM there; set steps or step_size of downstream.robustness higher."
        )

    def _of(self, attack: str) -> tuple[float, ...]:
        return self.autoattack_epsilons or self.epsilons if attack == "autoattack" else self.epsilons


def epsilon_text(epsilon: float) -> str:
    """``8/255`` where it is a whole number of grey levels, otherwise the number."""
    levels = 255 * epsilon
    return f"{round(levels)}/255" if abs(levels - round(levels)) < 1e-6 else f"{epsilon:.4g}"


def columns(settings: RobustnessSettings) -> tuple[TaskColumn, ...]:
    """Clean accuracy, then for each epsilon the accuracy under each attack and all of them, and BEARD's numbers."""
    found = [TaskColumn(metric="accuracy", title="Clean (%)")]
    largest = float("inf")
    # The mean of attacks is at most their maximum; attacks that help can take RR above 1, and fast ones AE below 0.
    bounds = {"RR": (0.0, largest), "AE": (-largest, 1.0), "CREI": (-largest, largest)}
    for epsilon in settings.all_epsilons():
        text, attacks = epsilon_text(epsilon), settings.together(epsilon)
        found += [
            TaskColumn(
                metric="robust_accuracy", condition=attack, at=epsilon, title=f"{ATTACK_TITLES[attack]} {text} (%)"
            )
            for attack in attacks
        ]
        if len(attacks) > 1:
            found.append(
                TaskColumn(metric="robust_accuracy", condition=WORST, at=epsilon, title=f"All attacks {text} (%)")
            )
            found += [
                TaskColumn(metric=name.lower(), at=epsilon, title=f"{name} {text} (%)", possible=possible)
                for name, possible in bounds.items()
            ]
    return tuple(found)


def notes(settings: RobustnessSettings) -> tuple[str, ...]:
    """What the columns are, and a warning where pgd cannot reach an epsilon."""
    warning = settings.out_of_reach()
    return (
        "Accuracy on test images that an attack has changed by at most epsilon in each pixel of [0, 1] (maximum norm), knowing "
        "the network. All attacks: on images that withstand each of them. "
        f"PGD: {settings.steps} steps of {epsilon_text(settings.step_size)}"
        f"{', from a random point' if settings.random_start else ', from the image'}; AutoAttack: torchattacks' standard "
        "version. RR (higher: attacks do less), AE (higher: attacks take longer; from seconds of this machine) and CREI "
        f"= {settings.alpha:g} RR + {1 - settings.alpha:g} AE are BEARD's, over the attacks of one epsilon.",
        *([] if warning is None else [warning]),
    )


def work(settings: RobustnessSettings, size: TaskSize) -> TaskWork:
    """One step of FGSM, those of PGD, and AutoAttack's: two kinds of APGD and FAB against nine classes, and 5,000 queries."""
    images = min(settings.test_images or size.test, size.test)
    gradients, queries = {"fgsm": 1, "pgd": settings.steps, "autoattack": 10 + 9 * 10 + 9 * 10}, {"autoattack": 5000}
    pairs = [attack for attack, _ in settings.pairs()]
    total, forward = sum(gradients[attack] for attack in pairs), sum(queries.get(attack, 0) for attack in pairs)
    passes = (total + forward + 1) * images / 256
    return TaskWork(forward=(forward + 1) * images, image_gradient=total * images, passes=passes)


ROBUSTNESS = Task(
    name="robustness",
    title="Adversarial robustness",
    summary="Accuracy under FGSM, PGD and AutoAttack, and BEARD's RR, AE and CREI.",
    reference="Protocols: Zhou et al., BEARD, arXiv:2411.09265; Wu et al., DD-RobustBench, arXiv:2403.13322",
    settings_model=RobustnessSettings,
    algorithm="bacon.downstream.robustness.algorithm:Robustness",
    columns=columns,
    notes=notes,
    figure="Accuracy under attack",
    scales={"smoke": {"test_images": 16, "attacks": ["fgsm", "pgd"], "steps": 2}, "demo": {"test_images": 50}},
    cost=work,
    packages={
        "torchattacks": "install it with `pip install --no-deps torchattacks==3.5.1` (it pins an old version of requests, "
        "which these attacks do not use)"
    },
)
