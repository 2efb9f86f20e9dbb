"""When CAFE goes on: steps of the images and epochs of the network take turns until accuracies have settled."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bacon.methods.cafe.record import CafeSettings


@dataclass
class Counts:
    """What an iteration took.

    Attributes:
        outer_steps: steps of the images.
        epochs: epochs of the network.
        limited: loops that ended by their limit instead of their rule.
    """

    outer_steps: int = 0
    epochs: int = 0
    limited: int = 0


class Window:
    """The last accuracies; their spread counts when the window is full.

    Args:
        size: number of accuracies.
    """

    def __init__(self, size: int) -> None:
        self._values: deque[float] = deque(maxlen=size)

    def spread(self, value: float) -> float | None:
        """Largest minus smallest, ``value`` included; ``None`` before there are enough."""
        self._values.append(value)
        return max(self._values) - min(self._values) if len(self._values) == self._values.maxlen else None


class Meter:
    """Accuracies as the rule of a loop sees them.

    Args:
        measure: accuracy of the network in [0, 1].
        classes: number of classes C.
        carries_over: the published code adds the loop's previous value divided by C.
    """

    def __init__(self, measure: Callable[[], float], *, classes: int, carries_over: bool) -> None:
        self._measure, self._classes, self._carries_over, self._previous = measure, classes, carries_over, 0.0

    def value(self) -> float:
        """Measure now."""
        measured = self._measure()
        if self._carries_over:
            measured = self._previous = measured + self._previous / self._classes
        return measured

    def of_a_loop(self) -> Meter:
        """The same accuracies for another loop, into which nothing is carried over."""
        return Meter(self._measure, classes=self._classes, carries_over=self._carries_over)


def alternate(
    settings: CafeSettings, meter: Meter, *, move: Callable[[int], None], train: Callable[[int], None]
) -> Counts:
    """One iteration of CAFE.

    Args:
        settings: window, spreads and limits.
        meter: the accuracies after steps of the images; training has a meter of its own each time.
        move: takes a step of the images; gets its number, from 0.
        train: trains the network for an epoch; gets its number, from 0.
    """
    counts, window = Counts(), Window(settings.window)
    while True:
        move(counts.outer_steps)
        counts.outer_steps += 1
        spread = window.spread(meter.value())
        if spread is not None and spread < settings.outer_spread:
            return counts
        if counts.outer_steps == settings.max_outer:
            counts.limited += 1
            return counts
        _train(settings, meter.of_a_loop(), train, counts)


def _train(settings: CafeSettings, meter: Meter, train: Callable[[int], None], counts: Counts) -> None:
    """Epochs until the accuracies spread widely."""
    window = Window(settings.window)
    for _ in range(settings.max_epochs):
        train(counts.epochs)
        counts.epochs += 1
        spread = window.spread(meter.value())
        if spread is not None and spread > settings.inner_spread:
            return
    counts.limited += 1
