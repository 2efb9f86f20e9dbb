"""Class-incremental steps: the order of the classes, which are seen when, and what is said of the accuracies in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bacon.downstream.continual.record import too_few_classes
from bacon.runtime.draws import words
from bacon.runtime.errors import BaconError


def class_order(classes: int, number: int) -> tuple[int, ...]:
    """The order in which ``classes`` classes arrive in the stream of a number: the same for every method, set and network."""
    drawn = words(number, "class-order", count=classes)
    return tuple(int(place) for place in np.argsort(drawn, kind="stable"))


def steps_of(order: Sequence[int], steps: int) -> tuple[tuple[int, ...], ...]:
    """The classes that arrive in each step: as many in each, or one more in the first ones where the number does not divide.

    Raises:
        BaconError: there are fewer classes than steps.
    """
    if (reason := too_few_classes(steps, len(order))) is not None:
        raise BaconError(reason)
    size, larger = divmod(len(order), steps)
    ends = np.cumsum([size + (step < larger) for step in range(steps)])
    return tuple(tuple(order[start:end]) for start, end in zip((0, *ends[:-1]), ends, strict=True))


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one stream of classes comes to; fractions.

    Attributes:
        final: accuracy on all classes, after the last step.
        average: mean of the accuracies after each step, each on the classes seen by then (average incremental accuracy; Rebuffi
            et al., iCaRL, CVPR 2017).
        forgetting: mean over the steps but the last of the loss of accuracy on that step's classes, from the best after any
            earlier step to the last (Chaudhry et al., ECCV 2018); 0 with one step.
    """

    final: float
    average: float
    forgetting: float


def scores(accuracies: Sequence[float], class_accuracies: Sequence[Sequence[float]], sizes: Sequence[int]) -> Scores:
    """The scores of a stream.

    Args:
        accuracies: after each step, on the test images of the classes seen.
        class_accuracies: after each step, of each class seen, in the order of arrival.
        sizes: number of classes that each step brings.
    """
    starts = np.cumsum((0, *sizes))
    lost = []
    for step in range(len(sizes) - 1):
        group = slice(starts[step], starts[step + 1])
        course = [float(np.mean(after[group])) for after in class_accuracies[step:]]
        lost.append(max(course[:-1]) - course[-1])
    return Scores(
        final=accuracies[-1], average=float(np.mean(accuracies)), forgetting=float(np.mean(lost)) if lost else 0.0
    )
