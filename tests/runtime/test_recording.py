"""What recording on a GPU leaves behind where it fails: on streams that only write down who waits for whom."""

from contextlib import contextmanager

import pytest
import torch

from bacon.runtime.recording import Recording
from tests.fake_streams import FakeGpu


@pytest.fixture
def gpu(monkeypatch):
    """A GPU whose recordings fail when they end, as after an operation that must not be recorded."""
    fake = FakeGpu(monkeypatch)

    @contextmanager
    def graph(_, *, stream):
        fake.enter(stream)  # as torch.cuda.graph, which does not go back where ending the recording is an error
        yield
        raise RuntimeError("operation failed due to a previous error during capture")

    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    return fake


def recording(work, *, raises=False):
    return Recording(work, list, name="a step", record=True, raises=raises)


def test_what_follows_a_recording_that_fails_is_on_the_stream_that_was_current(gpu):
    step = recording(lambda: gpu.launch("step"))
    step()
    step()
    warmed_up = [("stream1", "main"), *[("stream1", "step")] * 3, ("main", "stream1")]
    assert gpu.log == [*warmed_up, ("stream1", "step"), ("main", "step"), ("main", "step")]
    assert not step.is_recorded


def test_what_follows_an_error_before_the_recording_comes_after_what_was_launched(gpu):
    """Otherwise tensors would be put back while they are still being moved."""

    def work():
        gpu.launch("half a step")
        raise torch.OutOfMemoryError("no")

    with pytest.raises(torch.OutOfMemoryError):
        recording(work, raises=True)()
    assert gpu.log == [("stream1", "main"), ("stream1", "half a step"), ("main", "stream1")]
