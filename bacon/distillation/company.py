"""Further cells that a job works on beside its own, because one small cell leaves most of a GPU idle.

A cell is worked on for as long as the job's own is. What is left of it then is a checkpoint, of its last iteration if there was
time: the cell's own job goes on from there, and writes its artifact. Cells have tensors, streams and checkpoints of their own
and share the real images, so that none depends on the company. An iteration of each is launched in turn.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import torch

from bacon.distillation.cell_run import CellJob, CellRun
from bacon.distillation.real_images import RealImages
from bacon.runtime.logs import get_logger
from bacon.runtime.streams import Streams

log = get_logger(__name__)

Candidate = Callable[[], AbstractContextManager[CellJob | None]]
"""Takes a cell for this process until the context ends; gives ``None`` where there is nothing to do or another has it."""

# In a cell's first iterations, tensors are made that all cells read from then on, such as matrices of an interpolation.
_FIRST = 2


@dataclass(kw_only=True)
class _CellBeside:
    """A cell that is worked on.

    Attributes:
        run: the cell.
        turns: its iterations.
        held: what it holds of the outside.
        begun: iterations of this process, of the first few.
    """

    run: CellRun
    turns: Generator[None]
    held: ExitStack
    begun: int = 0


class _LeavesError(Exception):
    """A cell gives up its place, for the device's memory does not suffice."""


class Company:
    """The cells beside a job's own.

    Args:
        candidates: cells, in the order in which they are taken.
        real: the real images, on the device.
        places: cells at a time.
        chunk_images: images that each embeds at a time.
    """

    def __init__(self, candidates: Iterable[Candidate], real: RealImages, *, places: int, chunk_images: int) -> None:
        self._waiting, self._real, self._chunk_images = iter(candidates), real, chunk_images
        self._streams = Streams(real.device, places)
        self._cells: dict[int, _CellBeside] = {}

    def turn(self) -> None:
        """An iteration of each; a place that is free takes the next cell."""
        for place in range(len(self._streams)):
            if place not in self._cells:
                self._admit(place)
            if place in self._cells and not self._step(place):
                self._free_memory()

    def leave(self) -> bool:
        """Keep a checkpoint of each cell, let go of all, and take no more; returns whether there was any."""
        there, self._waiting = bool(self._cells), iter(())
        for place in list(self._cells):
            self._dismiss(place)
        if there:
            self._free_memory()
        return there

    def close(self) -> None:
        """The job's own cell has ended."""
        self.leave()

    def _admit(self, place: int) -> None:
        """The next cell that has something to do, if there is one."""
        for candidate in self._waiting:
            held = ExitStack()
            try:
                job = held.enter_context(candidate())
                if job is not None:
                    self._cells[place] = self._opened(place, job, held)
                    log.info("%s is worked on beside it", job.cell)
                    return
            except Exception as error:  # its own job will meet the same, and say so
                log.warning("a cell cannot be worked on beside this one (%s: %s)", type(error).__name__, error)
            held.close()

    def _opened(self, place: int, job: CellJob, held: ExitStack) -> _CellBeside:
        self._streams.begin()
        with self._streams.on(place):
            run = CellRun(job, self._real, chunk_images=self._chunk_images, make_way=_leave)
        return _CellBeside(run=run, turns=run.turns(bar=False), held=held)

    def _step(self, place: int) -> bool:
        """The next iteration of a cell; returns whether it stays."""
        beside = self._cells[place]
        if beside.begun < _FIRST:
            self._streams.begin()
        try:
            with self._streams.on(place):
                over = next(beside.turns, _OVER) is _OVER
        except Exception as error:  # of this cell alone; what it was doing is not kept
            log.warning("%s is left to its own job (%s: %s)", beside.run.job.cell, type(error).__name__, error)
            self._dismiss(place, keep=False)
            return False
        if beside.begun < _FIRST:
            self._streams.end()
            beside.begun += 1
        if over:
            self._dismiss(place)
        return not over

    def _dismiss(self, place: int, *, keep: bool = True) -> None:
        beside = self._cells.pop(place)
        with beside.held, self._streams.on(place):
            try:
                if keep and beside.begun:  # before, it has not read the checkpoint that there may be
                    beside.run.save()
            except Exception as error:
                log.warning("%s: its state is not kept (%s: %s)", beside.run.job.cell, type(error).__name__, error)
            beside.turns.close()
            if self._real.device.type == "cuda":  # what it has launched needs its memory and its recordings
                torch.cuda.synchronize(self._real.device)
        log.info("%s: %d iterations are done", beside.run.job.cell, beside.run.engine.iteration)

    def _free_memory(self) -> None:
        """Of the cells that are gone, whose parts refer to one another; called when no frame refers to one of them."""
        gc.collect()
        if self._real.device.type == "cuda":
            torch.cuda.empty_cache()


def _leave() -> bool:
    raise _LeavesError("the device's memory does not suffice")


_OVER = object()
