"""Work side by side: one after another on a CPU, in turns on the streams of a GPU."""

import pytest
import torch

from bacon.runtime.clocks import SharedClock, own_clock
from bacon.runtime.streams import Streams
from tests.fake_streams import FakeGpu

CPU = torch.device("cpu")


def piece(launch, name, steps):
    for step in range(steps):
        launch(f"{name}{step}")
        yield


def test_a_cpu_does_one_piece_after_another_in_their_order():
    done, streams = [], Streams(CPU, 2)
    streams.begin()
    with streams.on(1):
        done.append("here")
    streams.end()
    streams.run(piece(done.append, name, steps) for name, steps in (("a", 2), ("b", 1), ("c", 2)))
    assert done == ["here", "a0", "a1", "b0", "c0", "c1"]
    assert len(streams) == 2


def test_a_gpu_takes_them_in_turns_and_a_free_place_takes_the_next(monkeypatch):
    gpu = FakeGpu(monkeypatch)
    streams = gpu.streams(2)

    def asked():
        for name, steps in (("a", 3), ("b", 1), ("c", 1)):
            gpu.launch(f"prepare {name}")
            yield piece(gpu.launch, name, steps)

    streams.run(asked())
    assert gpu.log == [
        ("main", "prepare a"), ("stream1", "main"),
        ("main", "prepare b"), ("stream2", "main"),
        ("stream1", "a0"), ("stream2", "b0"),
        ("stream1", "a1"),  # and b is done
        ("main", "prepare c"), ("stream2", "main"),
        ("stream1", "a2"), ("stream2", "c0"),
        ("main", "stream1"), ("main", "stream2"),
    ]  # fmt: skip


def test_an_error_ends_it_and_what_was_launched_is_waited_for(monkeypatch):
    gpu = FakeGpu(monkeypatch)

    def failing():
        yield
        raise ValueError("no")

    streams = gpu.streams(2)
    with pytest.raises(ValueError, match="no"):
        streams.run([piece(gpu.launch, "a", 9), failing()])
    assert gpu.log[-4:] == [("stream1", "a0"), ("stream1", "a1"), ("main", "stream1"), ("main", "stream2")]


def test_places_wait_for_what_came_before_and_are_waited_for(monkeypatch):
    gpu = FakeGpu(monkeypatch)
    streams = gpu.streams(2)
    streams.begin()
    with streams.on(1):
        gpu.launch("work")
    gpu.launch("beside")
    streams.end()
    assert gpu.log == [
        ("stream1", "main"), ("stream2", "main"), ("stream2", "work"), ("main", "beside"),
        ("main", "stream1"), ("main", "stream2"),
    ]  # fmt: skip


def test_networks_side_by_side_share_the_time_that_passes(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = SharedClock()
    with own_clock() as all_of_it, clock() as first:
        now[0] += 4
        with clock() as second:
            now[0] += 6
        now[0] += 1
    assert (first(), second(), all_of_it()) == (4 + 3 + 1, 3, 11)


def test_what_comes_after_streams_that_are_gone_comes_after_their_work(monkeypatch):
    """Their tensors go with them, and the next ones on the stream that they began on may get the memory."""
    gpu = FakeGpu(monkeypatch)
    streams = gpu.streams(1)
    with streams.on(0):
        gpu.launch("work that nobody waits for")
    del streams
    gpu.launch("the next")
    assert gpu.log == [("stream1", "work that nobody waits for"), ("main", "stream1"), ("main", "the next")]
