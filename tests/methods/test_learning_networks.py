"""IDC and DREAM: networks that learn ahead, side by side, have the bits of those that learn in their turn."""

import copy
import logging
from functools import cache

import pytest
import torch

from bacon.distillation.chunks import MemoryLimit
from bacon.methods.idc import learning_networks
from bacon.methods.idc.algorithm import IDC
from bacon.methods.idc.course import Course
from bacon.methods.idc.learning_networks import NetworksAhead
from bacon.methods.registry import METHODS
from bacon.settings.network import NetworkSettings
from bacon.transforms import affine_pass
from tests.fake_streams import FakeGpu
from tests.methods.test_contract import engine_of, small

ITERATIONS, INNER = 3, 3
SHORT = {"iterations": ITERATIONS, "inner": INNER, "lr_img": 5.0, "networks": {"images": 16, "batch": 8}}
DREAM = {"refresh": 2, "batch_real": 5}


def engine(name="idc", *, courses=0, recorded=False, **changes):
    """A short distillation; below two courses each pass is done in its turn, as on a CPU."""
    settings = small(METHODS[name], **SHORT | (DREAM if name == "dream" else {}) | changes)
    made = engine_of(METHODS[name], settings)
    made.algorithm.learning.courses = courses
    made.algorithm.replays.records = made.algorithm.training._steps.is_recorded = recorded
    return made


def finished(made):
    while made.iteration < made.algorithm.iterations:
        made.step()
    return made


@cache
def in_turn(name):
    return finished(engine(name))


def assert_same(one, other):
    assert torch.equal(one.algorithm.images, other.algorithm.images)
    assert torch.equal(one.history.values, other.history.values)


def learned(**changes):
    """The weights in every state of every network, and how they were learned; without any matching."""
    made = engine(**changes).algorithm
    states = [
        [parameter.detach().clone() for parameter in made.learning.at(iteration, number).parameters()]
        for iteration in range(made.settings.iterations)
        for number in range(made.settings.inner)
    ]
    return states, made.learning


def assert_same_states(one, other):
    for mine, theirs in zip(one, other, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("name", ["idc", "dream"])
def test_a_distillation_whose_networks_learn_ahead_has_the_bits_of_one_whose_networks_learn_in_their_turn(name):
    ahead = finished(engine(name, courses=3))
    assert len(ahead.algorithm.learning._ahead._courses) == 3
    assert_same(in_turn(name), ahead)


@pytest.mark.parametrize(
    ("courses", "networks"),
    [
        (2, {"images": 20, "batch": 8}),
        (3, {"images": 8, "batch": 8, "warmup_epochs": 1}),
        (6, {"images": 42, "batch": 8, "cutmix": 0.0}),
    ],
)
def test_every_state_of_every_network_has_the_same_bits(courses, networks):
    plain, learning = learned(networks=networks, iterations=8)
    assert learning._ahead is None
    ahead, learning = learned(networks=networks, iterations=8, courses=courses)
    assert learning._ahead is not None
    assert_same_states(plain, ahead)


@pytest.mark.usefixtures("replayed_on_the_cpu")
def test_recorded_passes_have_the_bits_of_those_that_are_computed(monkeypatch):
    """In pieces, of which the last is smaller, so that there are two recordings for each place."""
    monkeypatch.setattr(affine_pass, "is_preferred", lambda _: True)
    monkeypatch.setattr(MemoryLimit, "images", lambda *_: 16)
    changes = {"iterations": 4, "networks": {"images": 20, "batch": 8}}
    recorded, learning = learned(courses=2, recorded=True, **changes)
    for course in learning._ahead._courses:
        sizes = {sizes: each.steps.is_recorded for sizes, each in course._recorded.items()}
        assert sizes == {(8, 8): True, (8,): True}
    assert_same_states(learned(**changes)[0], recorded)


def test_a_distillation_goes_on_from_a_checkpoint_with_the_same_bits():
    """In a new process, ahead or in turn, and in one whose networks have learned for other iterations."""
    part = engine(courses=3)
    part.step()
    state = copy.deepcopy(part.state_dict())
    assert set(state["algorithm"]) == {"pixels", "momentum"}, "no network is in a checkpoint"
    begun = engine(courses=3)
    begun.algorithm.learning.at(0, 0)
    for other in (engine(courses=2), engine(), begun):
        other.load_state_dict(copy.deepcopy(state))
        assert_same(in_turn("idc"), finished(other))


def test_every_iteration_does_as_many_passes_as_one_network_has_and_spreads_them():
    made = engine(courses=3, iterations=7, inner=4)
    advance, done = Course.advance, []
    steps = []

    def counting(course):
        done.append(course.iteration)
        advance(course)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Course, "advance", counting)
        for iteration in range(7):
            for number in range(4):
                made.algorithm.learning.at(iteration, number)
                steps.append(len(done))
                done.clear()
    assert steps[0] == 4 + 2 + 1, "the first network at once, the second to half of its states"
    assert steps[1:20] == [1] * 19
    assert steps[24:] == [0] * 4, "there is no network after the last"
    assert sum(steps) == 7 * 4


def test_states_are_due_in_time_and_never_fewer_than_before():
    for courses in (2, 3, 6):
        ahead = NetworksAhead.__new__(NetworksAhead)
        ahead._inner, ahead._courses = 100, [None] * courses
        learning = courses - 1
        for place in range(1, courses):
            due = [ahead.due(place, steps) for steps in range(101)]
            assert due == sorted(due)
            assert due[100] >= ahead.due(place - 1, 0) * (place > 1)
        assert ahead.due(learning, 0) == 0
        assert ahead.due(1, 100) == ahead.due(0, 0) == 100


def test_on_a_gpu_a_network_is_waited_for_when_its_turn_comes_and_never_otherwise(monkeypatch):
    gpu = FakeGpu(monkeypatch)
    monkeypatch.setattr(learning_networks, "Streams", lambda _, count: gpu.streams(count))
    made = engine(courses=2, iterations=3, inner=2)
    for owner, name in ((Course, "advance"), (Course, "show"), (IDC, "match")):
        gpu.note(owner, name)
    for _ in range(3):
        made.step()
        gpu.launch("end")
    step = [("main", "show"), ("main", "match")]
    assert gpu.log == [
        ("main", "stream1"), ("stream1", "main"), ("main", "stream2"), ("stream2", "main"),
        ("stream1", "advance"), ("stream1", "advance"), ("main", "stream1"),
        ("stream2", "advance"), *step, ("stream2", "advance"), *step, ("main", "end"),
        ("main", "stream1"), ("stream1", "main"), ("main", "stream2"),  # the first network's place is free again
        ("stream1", "advance"), *step, ("stream1", "advance"), *step, ("main", "end"),
        ("main", "stream1"), *step, *step, ("main", "end"),
    ]  # fmt: skip


@pytest.mark.parametrize("at", [1, 3, 6])
def test_without_memory_for_networks_ahead_they_learn_in_their_turn(at, monkeypatch, caplog):
    """Where it is refused while one learns: nothing of what they have learned counts."""
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    calls, steps = [], Course._steps

    def refusing(course, place):
        calls.append(course)
        steps(course, place)
        if len(calls) == at:
            raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(Course, "_steps", refusing)
    found, learning = learned(courses=3)
    assert (learning.courses, learning._ahead, len(calls)) == (0, None, at)
    assert "networks learn in their turn" in caplog.text
    assert_same_states(learned()[0], found)


def test_without_memory_for_their_places_it_is_not_tried_again(monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)

    def refusing(*_, **__):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(Course, "__init__", refusing)
    found, learning = learned(courses=3)
    assert (learning.courses, learning.make_room(5), len(caplog.records)) == (0, False, 1)
    assert_same_states(learned()[0], found)


def test_memory_that_the_matching_needs_is_taken_from_networks_ahead(monkeypatch, caplog):
    expected, gradient, calls = in_turn("idc"), IDC._gradient, []
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)

    def refusing(algorithm, given):
        calls.append(given)
        if len(calls) == 5:
            raise torch.OutOfMemoryError("no room")
        return gradient(algorithm, given)

    monkeypatch.setattr(IDC, "_gradient", refusing)
    made = finished(engine(courses=3))
    assert made.algorithm.context.memory.chunk_images == 2048, "it is not halved for that"
    assert made.algorithm.learning._ahead is None
    assert "iteration 1: out of device memory; from here on networks learn in their turn" in caplog.text
    assert_same(expected, made)


def on_a_gpu(monkeypatch, *, network=None, streamed=False):
    """What :class:`LearningNetworks` would choose for the published number of steps if there were streams."""
    monkeypatch.setattr(learning_networks, "has_streams", lambda _: True)
    made = engine(inner=100)
    if network is not None:
        object.__setattr__(made.algorithm.context, "network", network)
    made.algorithm.training._steps.is_recorded, made.algorithm.real.is_streamed = True, streamed
    return made.algorithm.learning._affordable()


def test_networks_learn_ahead_on_a_gpu_where_nothing_of_them_depends_on_the_matching(monkeypatch):
    assert engine().algorithm.learning._affordable() == 0, "a CPU does one thing after another"
    assert on_a_gpu(monkeypatch) == 6
    assert on_a_gpu(monkeypatch, network=NetworkSettings(width=6, depth=2, norm="batch")) == 0, "statistics move"
    assert on_a_gpu(monkeypatch, streamed=True) == 0, "the host gathers for one at a time"
    few = engine().algorithm.learning
    few._training._steps.is_recorded = False
    assert few._affordable() == 0


def test_kept_states_take_two_gib_at_the_most(monkeypatch):
    monkeypatch.setattr(learning_networks, "_KEPT", 3 * 100 * weights_of(NetworkSettings(width=6, depth=2)) + 1)
    assert on_a_gpu(monkeypatch) == 3
    monkeypatch.setattr(learning_networks, "_KEPT", 100)
    assert on_a_gpu(monkeypatch) == 0


def weights_of(settings):
    made = engine()
    object.__setattr__(made.algorithm.context, "network", settings)
    return 4 * sum(parameter.numel() for parameter in made.algorithm.context.build(0).parameters())


def test_a_pass_is_in_pieces_of_whole_batches(monkeypatch):
    monkeypatch.setattr(MemoryLimit, "images", lambda *_: 16)
    made = engine(networks={"images": 20, "batch": 8}).algorithm
    pieces = list(made.training.after(3))
    assert [piece.sizes for piece in pieces] == [(8, 8), (8,)]
    assert [[len(part) for part in batch] for batch in pieces[0].batches()] == [[8, 8, 8]] * 2
