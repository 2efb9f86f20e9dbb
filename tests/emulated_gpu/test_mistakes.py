"""The mistakes that the emulated GPU finds. ``test_emulated_gpu`` runs this file, with the plugin that puts it in place."""

import copy

import pytest
import torch
import torch.nn.functional as F

from bacon.runtime.host_rows import HostPlaces
from bacon.runtime.recording import recorded
from bacon.runtime.streams import Streams
from tests.emulated_gpu.tensors import EmulatedGpu, OnGpu

GPU = torch.device("cuda")


@pytest.fixture
def races(request):
    """What was seen in the test so far; none of it fails this one."""
    gpu = request.config.stash.get(EmulatedGpu.here, None)
    if gpu is None:
        pytest.skip("needs python -m tests.emulated_gpu")
    gpu.order.races.clear()
    yield gpu.order.races
    gpu.order.races.clear()


@pytest.fixture
def x(races):  # noqa: ARG001 - without the device it cannot be made
    return torch.arange(4.0, device=GPU)


def test_it_computes_what_the_cpu_computes(x):
    weight = torch.ones(4, device=GPU, requires_grad=True)
    (weight * x).sum().backward()
    assert isinstance(x, OnGpu)
    assert weight.grad.device.type == "cuda"
    assert weight.grad.cpu().tolist() == [0, 1, 2, 3]
    assert copy.deepcopy(x).add_(1).tolist() == [1, 2, 3, 4]
    assert x.tolist() == [0, 1, 2, 3]
    assert torch.func.vmap(lambda each: 2 * each)(x).tolist() == [0, 2, 4, 6]


def test_tensors_of_two_devices(x):
    with pytest.raises(RuntimeError, match="same device"):
        x + torch.ones(4)
    with pytest.raises(RuntimeError, match="indices should be on the CPU"):
        torch.ones(4)[x.long()]
    assert (x + torch.tensor(1.0)).tolist() == [1, 2, 3, 4], "a number may be on the host"


def test_operations_that_a_gpu_does_not_have(x):
    with pytest.raises(RuntimeError, match="not implemented"):
        x.long() @ x.long()
    sample = torch.zeros(1, 1, 2, 2, device=GPU, requires_grad=True)
    grid = torch.zeros(1, 2, 2, 2, device=GPU)

    def without_an_order():
        F.grid_sample(sample, grid, align_corners=False).sum().backward()

    without_an_order()
    torch.set_deterministic_debug_mode("error")
    try:
        with pytest.raises(RuntimeError, match="deterministic"):
            without_an_order()
        with pytest.raises(RuntimeError, match="deterministic"):
            torch.histc(x)
    finally:
        torch.set_deterministic_debug_mode("default")


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 1],
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda x: bool(x.any()),
        lambda x: torch.bincount(x.long()),
        lambda x: torch.linalg.eigvalsh(x.diag()),
    ],
)
def test_waiting_where_it_is_forbidden(x, wait):
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError, match="synchronizing"):
            wait(x)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    with pytest.raises(RuntimeError, match="capturing"):
        recorded(lambda: wait(x), warm_up=lambda: None)
    wait(x)


def test_nothing_is_computed_while_a_graph_is_recorded(x):
    made = []

    def work():
        made[:] = [x + 1]
        x.mul_(2)

    graph = recorded(work, warm_up=lambda: None)
    assert x.tolist() == [0, 1, 2, 3]
    assert made[0].isnan().all()
    graph.replay()
    assert (x.tolist(), made[0].tolist()) == ([0, 2, 4, 6], [1, 2, 3, 4])


def test_a_shape_that_is_changed_in_place(x):
    """Outside a graph and in one, whose replays begin with the shapes of the recording."""
    made = []

    def work():
        total = x.view(2, 2).sum(1)
        made[:] = [total, total.unsqueeze_(1) * x]

    work()
    assert (made[0].shape, made[1].tolist()) == ((2, 1), [[0, 1, 2, 3], [0, 5, 10, 15]])
    graph = recorded(work, warm_up=lambda: None)
    for _ in range(2):
        graph.replay()
        assert made[1].tolist() == [[0, 1, 2, 3], [0, 5, 10, 15]]


def test_a_stream_that_waits_for_nobody(x, races):
    streams = Streams(GPU, 1)
    with streams.on(0):
        x + 1
    assert "reads what is still written" in " ".join(races)
    races.clear()
    streams.begin()
    with streams.on(0):
        y = x + 1
    assert not races
    x.add_(1)
    assert "writes what is still read" in " ".join(races)
    races.clear()
    y + 1
    assert "reads what is still written" in " ".join(races)
    races.clear()
    streams.end()
    assert (y + x).tolist() == [2, 4, 6, 8]
    assert not races


def test_memory_that_is_given_out_again_while_it_is_in_use(races):
    own, streams = torch.ones(3, device=GPU), Streams(GPU, 1)
    streams.begin()
    with streams.on(0):
        own.mul(2)
    del own
    torch.ones(3, device=GPU)
    assert "is given out again" in " ".join(races)


@pytest.mark.parametrize("ends", ["joined", "recorded", "gone"])
def test_memory_that_is_given_out_again_afterwards(races, ends):
    own, streams = torch.ones(3, device=GPU), Streams(GPU, 1)
    streams.begin()
    with streams.on(0):
        own.mul(2)
    if ends == "joined":
        streams.end()
    if ends == "recorded":
        own.record_stream(streams._streams[0])
    if ends == "gone":  # as those of networks that were to be needed later, and are not
        del streams
    del own
    torch.ones(3, device=GPU)
    assert not races


def test_the_host_reads_what_is_still_copied(races):
    copied, event = torch.empty(4, pin_memory=True), torch.cuda.Event()
    copied.copy_(torch.ones(4, device=GPU), non_blocking=True)
    event.record()
    copied.sum()
    assert "reads what is still written" in " ".join(races)
    races.clear()
    event.synchronize()
    assert copied.sum() == 4
    assert not races


def test_places_that_the_host_needs(races):
    places = HostPlaces(GPU)
    drawn = places.drawn(lambda: torch.arange(6, device=GPU))
    assert places.on_host(drawn[2:4]).tolist() == [2, 3]
    assert not races
