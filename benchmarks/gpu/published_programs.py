"""The published program, several times at once, for work that is timed in turns with ours."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from bacon.runtime.errors import BaconError
from benchmarks.published import Published


class PublishedPrograms:
    """Programs by name, all starting at the same time, since most of their start is reading images.

    Args:
        programs: not yet started; none where no checkout was given.
        order: what each does once that does not count.

    Attributes:
        errors: name -> why a program ended.
    """

    def __init__(self, programs: Mapping[str, Published], **order: Any) -> None:
        self._programs, self._order = programs, order
        self._stack, self.errors = ExitStack(), dict[str, str]()

    def __enter__(self) -> Self:
        """Begin to start them."""
        pool = self._stack.enter_context(ThreadPoolExecutor())
        self._starting = {name: pool.submit(self._start, program) for name, program in self._programs.items()}
        return self

    def _start(self, program: Published) -> None:
        self._stack.enter_context(program).ask(**self._order)

    def started(self) -> bool:
        """Whether all have started, or have ended."""
        return all(start.done() for start in self._starting.values())

    def wait(self) -> None:
        """Until all have started, or have ended."""
        for name, start in self._starting.items():
            try:
                start.result()
            except BaconError as error:
                self.errors[name] = str(error)

    def ask(self, name: str) -> dict[str, Any] | None:
        """What the program ``name`` measures next; ``None``: there is none, or it has ended."""
        if name not in self._programs or name in self.errors:
            return None
        try:
            return self._programs[name].ask(**self._order)
        except BaconError as error:  # ours is measured without it
            self.errors[name] = str(error)
            return None

    def check(self) -> None:
        """Raise :class:`BaconError` when a program ended: then it was not measured."""
        if self.errors:
            raise BaconError("; ".join(f"{name}: {error}" for name, error in self.errors.items()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them."""
        self._stack.close()
