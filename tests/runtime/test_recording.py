"""What recording on a GPU leaves behind: on streams that only write down who waits for whom, and what is launched."""

import gc
from contextlib import contextmanager

import pytest
import torch

from bacon.runtime.recording import Recording, recorded
from tests.fake_streams import FakeGpu


class Graph:
    """Of a PyTorch that leaves a recording's memory to the recorder."""

    replays = 0

    def replay(self):
        self.replays += 1


@pytest.fixture
def gpu(monkeypatch):
    """A GPU whose recordings fail when they end, as after an operation that must not be recorded."""
    fake = FakeGpu(monkeypatch)
    fake.failing = [True, True]  # each recording, in turn

    @contextmanager
    def graph(_, *, pool, stream):
        assert pool == (0, 7)
        fake.enter(stream)  # as torch.cuda.graph, which does not go back where ending the recording is an error
        fake.launch("record")
        yield
        if fake.failing.pop(0):
            raise RuntimeError("operation failed due to a previous error during capture")

    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 7))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", lambda *pool: fake.launch(pool), raising=False)
    monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: fake.launch("clear"), raising=False)
    return fake


def recording(work, *, raises=False):
    return Recording(work, list, name="a step", record=True, raises=raises)


def test_what_follows_a_recording_that_fails_is_on_the_stream_that_was_current(gpu):
    step = recording(lambda: gpu.launch("step"))
    step()
    step()
    steps = [entry for entry in gpu.log if entry[1] in ("step", "main", "stream1")]
    warmed_up = [("stream1", "main"), *[("stream1", "step")] * 3, ("main", "stream1")]
    assert steps[:6] == [*warmed_up, ("stream1", "step")]
    assert steps[-2:] == [("main", "step"), ("main", "step")]
    assert not step.is_recorded


def test_a_recording_that_breaks_is_tried_once_more(gpu, caplog):
    gpu.failing = [True, False]
    step = recording(lambda: gpu.launch("step"))
    with caplog.at_level("INFO"):
        step()
        launched = len(gpu.log)
        step()
    assert step.is_recorded
    assert step._graph.replays == 2
    assert len(gpu.log) == launched, "a step is replayed"
    assert [record.getMessage() for record in caplog.records] == [
        "a step: recording it as a CUDA graph failed (operation failed due to a previous error during capture)"
    ]


def test_a_recording_that_breaks_twice_is_given_up(gpu, caplog):
    step = recording(lambda: gpu.launch("step"))
    with caplog.at_level("INFO"):
        step()
        step()
    assert gpu.failing == [], "two recordings"
    assert (
        caplog.records[-1].getMessage()
        == "a step cannot be recorded as a CUDA graph; its kernels are launched one by one"
    )
    assert len(caplog.records) == 3


@pytest.mark.usefixtures("gpu")
def test_no_garbage_is_collected_while_a_step_is_recorded():
    """A cycle with streams would make a stream wait for the one that records."""
    states = []
    recording(lambda: states.append(gc.isenabled()))()
    assert states == [*[True, True, True, False] * 2, True], (
        "three steps before, the recording, which fails, the same again, and the step itself"
    )
    assert gc.isenabled()


def test_a_recording_begins_and_ends_without_a_workspace_that_others_use(gpu):
    recording(lambda: gpu.launch("step"))()
    begun = gpu.log.index(("main", "stream1")) + 1
    assert [what for _, what in gpu.log[begun : begun + 5]] == ["clear", "record", "step", (0, (0, 7)), "clear"]


@pytest.mark.parametrize("later", [False, True])
def test_no_memory_is_taken_for_a_recording_that_has_failed(gpu, monkeypatch, later):
    """Later versions of PyTorch end that themselves, and ending it twice would end the process."""

    if later:
        monkeypatch.setattr(Graph, "capture_end_pre", None, raising=False)
    recording(lambda: None)()
    assert ((0, (0, 7)) in [what for _, what in gpu.log]) == (not later)


@pytest.mark.usefixtures("gpu")
def test_the_error_of_what_is_recorded_is_told_where_the_recording_itself_has_ended(monkeypatch, caplog):
    def ended(*_):
        raise RuntimeError("not currently recording to mempool_id")

    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", ended)
    with caplog.at_level("INFO"):
        recording(lambda: None)()
    assert "previous error during capture" in caplog.text


def test_what_follows_an_error_before_the_recording_comes_after_what_was_launched(gpu):
    """Otherwise tensors would be put back while they are still being moved."""

    def work():
        gpu.launch("half a step")
        raise torch.OutOfMemoryError("no")

    with pytest.raises(torch.OutOfMemoryError):
        recording(work, raises=True)()
    assert gpu.log == [("stream1", "main"), ("stream1", "half a step"), ("main", "stream1")]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_graph_writes_nothing_into_memory_that_another_one_has_left():
    """Two graphs recorded on one of PyTorch's streams, of which there are 32."""
    device, streams = torch.device("cuda"), 32
    out = torch.zeros(64, 64, device=device)
    factors = torch.ones(64, 2**16, device=device), torch.ones(2**16, 64, device=device)

    def product():
        torch.matmul(*factors, out=out)

    graphs = [recorded(product)]
    for _ in range(streams - 1):
        torch.cuda.Stream()
    graphs.append(recorded(product))
    del graphs[0]
    left = []
    for _ in range(streams):
        with torch.cuda.stream(torch.cuda.Stream()):
            left.append(torch.zeros(2**25, dtype=torch.uint8, device=device))
    torch.cuda.synchronize()
    out.zero_()
    graphs[0].replay()
    torch.cuda.synchronize()
    assert bool((out == 2**16).all())
    assert not any(bool(each.any()) for each in left)
