"""Streams of a GPU that is not there: they write down what waits for what, and everything is computed on the CPU at once."""

from contextlib import contextmanager

import torch

from bacon.runtime.streams import Streams


class FakeStream:
    """A stream that only has a name; ``log`` holds (who waits, for whom)."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def wait_stream(self, other):
        self.log.append((self.name, other.name))

    def __repr__(self):
        return self.name


class FakeGpu:
    """Takes the place of PyTorch's functions; ``log`` holds every wait, and what :meth:`launch` was told."""

    def __init__(self, monkeypatch):
        self.log, self._made, self._monkeypatch = [], 0, monkeypatch
        self._current = [FakeStream("main", self.log)]
        monkeypatch.setattr(torch.cuda, "Stream", self._stream)
        monkeypatch.setattr(torch.cuda, "stream", self._on)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: self._current[-1])

    def streams(self, count):
        """What runs on as many of its streams."""
        return Streams(torch.device("cuda"), count)

    def launch(self, what):
        """Something is launched on the current stream."""
        self.log.append((self._current[-1].name, what))

    def enter(self, stream):
        """``stream`` is the current one until a context of an earlier one ends."""
        self._current[-1:] = [stream]

    def note(self, owner, name):
        """From here on, a call of the method ``name`` of a class is launched on the current stream."""
        original = getattr(owner, name)

        def call(*args):
            self.launch(name)
            return original(*args)

        self._monkeypatch.setattr(owner, name, call)

    def _stream(self, *_):
        self._made += 1
        return FakeStream(f"stream{self._made}", self.log)

    @contextmanager
    def _on(self, stream):
        self._current.append(stream)
        try:
            yield
        finally:
            self._current.pop()
