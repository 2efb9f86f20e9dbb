"""Draws of a step that is recorded, made once for all classes; each chunk of classes takes its own of them.

A class's draw does not depend on which others are drawn, so the numbers are the same. But a draw on a GPU is a row of small
kernels, about a hundred for an augmentation, which take as long for one class as for two hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from bacon.distillation.chunks import as_slice
from bacon.distillation.real_images import RealImages

Draw = Callable[[Sequence[int]], Tensor]
"""Some classes -> (K, ...) on the device."""


class ClassDraws:
    """What has been drawn in the step that is computed now.

    Args:
        real: whose classes are drawn for.
    """

    def __init__(self, real: RealImages) -> None:
        self._real = real
        self._drawn: dict[Hashable, Tensor] | None = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """A step: what is drawn in it is kept until its end, and no longer, as the next step's draws are others."""
        self._drawn = {}
        try:
            yield
        finally:
            self._drawn = None

    def of(
        self, name: Hashable, number: int | Tensor, classes: Sequence[int], draw: Draw, *, among: Sequence[int] = ()
    ) -> Tensor:
        """The draw of some classes: (K, ...) on the device.

        Args:
            name: of the draw; in a step, of one draw alone.
            number: what it belongs to. Draws are kept where it is a tensor on the device, as in a step that is recorded.
            classes: the K classes.
            draw: makes the draw of some classes.
            among: the classes that it is made for at once, ``classes`` among them; by default all.
        """
        if self._drawn is None or not isinstance(number, Tensor):
            return draw(classes)
        together = tuple(among) or tuple(range(self._real.classes))
        if name not in self._drawn:
            self._drawn[name] = draw(together)
        if tuple(classes) == together:
            return self._drawn[name]
        place = {label: place for place, label in enumerate(together)}
        places = [place[label] for label in classes]
        rows = as_slice(places)
        drawn = self._drawn[name]
        return drawn.index_select(0, self._real.index(places)) if rows is None else drawn[rows]
