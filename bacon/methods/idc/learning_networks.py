"""The network of each iteration while it learns from real images: one pass after each step of the synthetic ones, or ahead.

A network learns from real images alone, and all its draws are functions of its iteration and the number of the pass: nothing
that happens to the synthetic images changes it. On a GPU, which a small network leaves mostly idle, the networks of the next
iterations therefore learn beside the matching of the current one, each on a stream, and every state is kept until its turn.
A pass has the numbers that it has when it is done in its turn.
"""

from __future__ import annotations

import torch

from bacon.distillation.algorithm import Context
from bacon.methods.idc.course import Course
from bacon.methods.idc.real_training import RealTraining
from bacon.networks.network import Network
from bacon.runtime.logs import get_logger
from bacon.runtime.streams import Streams, has_streams
from bacon.training.sgd import Sgd

log = get_logger(__name__)

# One network is matched, the others learn. Five at once use a GPU better than two; more have not been measured.
_MOST = 6
# Bytes of all states that are kept: for more, a network is too large to leave a GPU idle.
_KEPT = 2**31


class LearningNetworks:
    """Networks that learn: of iteration i there are ``inner`` states, and each is asked for in its turn.

    Args:
        training: what they learn.
        context: builds them.
        iterations: how many networks there are.
        inner: states of each: before the first pass, and after each.

    Attributes:
        courses: networks at a time, the matched one included; below 2 each pass is done when its state is asked for; ``None``:
            not decided.
    """

    def __init__(self, training: RealTraining, context: Context, *, iterations: int, inner: int) -> None:
        self._training, self._context = training, context
        self._iterations, self._inner = iterations, inner
        self.courses: int | None = None
        self._ahead: NetworksAhead | None = None
        self._current: tuple[Network, Sgd] | None = None
        self._at = (-1, 0)

    def at(self, iteration: int, number: int) -> Network:
        """The network of ``iteration`` after ``number`` passes; until the next call, for its user to set modes and freeze."""
        if self.courses is None:
            self.courses = self._affordable()
        if self.courses >= 2:
            try:
                return self._own_ahead().at(iteration, number)
            except torch.OutOfMemoryError:
                pass
            # Out of the handler: the exception's frames hold the tensors that did not fit.
            self._give_up(iteration)
        return self._in_turn(iteration, number)

    def make_room(self, iteration: int) -> bool:
        """No network learns ahead from here on, and the memory is given back; returns whether one did."""
        did = self._ahead is not None
        if did:
            self._give_up(iteration)
        return did

    def _give_up(self, iteration: int) -> None:
        log.warning(
            "iteration %d: out of device memory; from here on networks learn in their turn, and not beside the matching of "
            "earlier iterations, for the rest of this job",
            iteration,
        )
        device = self._context.device
        if device.type == "cuda":  # what has been launched needs its memory and its recordings
            torch.cuda.synchronize(device)
        self._ahead, self.courses = None, 0
        if device.type == "cuda":
            torch.cuda.empty_cache()

    def _affordable(self) -> int:
        """How many networks at a time memory allows, where learning ahead is of use and changes no number."""
        real = self._context.real
        if not (has_streams(self._context.device) and self._training.is_recorded) or real.is_streamed:
            return 0
        network = self._context.build(0)
        if any(True for _ in network.buffers()):  # running statistics also move with the batches of the matching
            return 0
        size = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
        return min(_MOST, _KEPT // (size * self._inner))

    def _own_ahead(self) -> NetworksAhead:
        if self._ahead is None:
            assert self.courses is not None
            self._ahead = NetworksAhead(
                self._training, self._context, iterations=self._iterations, inner=self._inner, courses=self.courses
            )
            log.info("the networks of %d iterations learn beside the matching", self.courses - 1)
        return self._ahead

    def _in_turn(self, iteration: int, number: int) -> Network:
        if number and self._current is not None and self._at == (iteration, number - 1):
            missing = [number - 1]
        else:
            network = self._context.build(iteration)
            self._current = network, self._training.begin(network, iteration)
            missing = list(range(number))
        network, optimiser = self._current
        for done in missing:
            self._training(network, optimiser, iteration * self._inner + done)
        self._at = (iteration, number)
        return network


class NetworksAhead:
    """Networks that learn while those before them are matched.

    Of ``courses`` networks, one is matched and the others have done more of their passes the sooner their turn is: over an
    iteration, all of them together do as many passes as one network needs.

    Args:
        training: what they learn.
        context: builds them.
        iterations: how many networks there are.
        inner: states of each.
        courses: networks at a time.
    """

    def __init__(self, training: RealTraining, context: Context, *, iterations: int, inner: int, courses: int) -> None:
        self._context, self._iterations, self._inner = context, iterations, inner
        self._shown = context.build(0)
        self._courses = [Course(training, self._shown, states=inner) for _ in range(courses)]
        self._streams = Streams(context.device, courses)
        self._iteration: int | None = None

    def at(self, iteration: int, number: int) -> Network:
        """As for :class:`LearningNetworks`."""
        if iteration != self._iteration:
            self._admit(iteration)
        self._launch(iteration, number + 1)
        self._courses[self._place(iteration)].show(number, self._shown)
        return self._shown

    def _admit(self, iteration: int) -> None:
        """Give a place to every network that is not there, and have the current one, which is waited for, to its end."""
        self._iteration = None  # until all is as it should be
        for later in self._later(iteration):
            place = self._place(later)
            if self._courses[place].iteration != later:
                self._streams.end(place)  # what was there has gone through
                self._courses[place].begin(self._context.build(later), later)
                self._streams.begin(place)
        self._launch(iteration, 0)
        self._streams.end(self._place(iteration))
        self._iteration = iteration

    def _launch(self, iteration: int, steps: int) -> None:
        """Launch what is due when ``steps`` steps of the images are; a pass of each network in turn."""
        while behind := [later for later in self._later(iteration) if self._is_behind(later, iteration, steps)]:
            for later in behind:
                place = self._place(later)
                with self._streams.on(place):
                    self._courses[place].advance()

    def _is_behind(self, later: int, iteration: int, steps: int) -> bool:
        return self._courses[self._place(later)].done < self.due(later - iteration, steps)

    def due(self, ahead: int, steps: int) -> int:
        """States of the network ``ahead`` iterations later that are due with the ``steps``-th step of the images.

        A network has as many iterations for its states as there are places for networks that learn. Those that learn at the
        same time take their passes at different steps.
        """
        if ahead == 0:
            return self._inner
        learning = len(self._courses) - 1
        passed = (learning - ahead) * self._inner + steps + ahead - 1
        return min(self._inner, passed // learning)

    def _later(self, iteration: int) -> range:
        return range(iteration, min(iteration + len(self._courses), self._iterations))

    def _place(self, iteration: int) -> int:
        return iteration % len(self._courses)
