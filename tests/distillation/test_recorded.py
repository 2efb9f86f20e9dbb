"""What is recorded depends on nothing that the host knows: replayed, it gives what is computed anew in every iteration."""

import copy
import logging
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from bacon.distillation.network_queue import Queue
from bacon.distillation.queue_training import Rounds
from bacon.distillation.recorded_steps import Given, RecordedStep, RecordedSteps, worth_recording
from bacon.methods.bacon.algorithm import Bacon
from bacon.methods.registry import METHODS
from bacon.networks.build import build_network
from bacon.runtime import recording
from bacon.settings.network import NetworkSettings
from bacon.settings.pools import NetworkQueue
from bacon.transforms import affine_pass, dsa
from tests.distillation.engines import NETWORK, make_engine, settings
from tests.methods.test_contract import small
from tests.recorded_operations import recorded

ITERATIONS = 4
BATCH_NORM = NetworkSettings(width=4, depth=2, norm="batch")
CROPPED = {"crop": "resized", "flip": True, "shift": [-2, 2]}
CALIBRATED = ("replays", "_calibrations", "_rounds")
"""What :class:`CalibratedMatching` records."""


def started(real, chosen, *, replays, network=NETWORK, chunk=2048):
    """An engine, and its recordings by name."""
    engine = make_engine(real, chosen, network, ipc=2, seed=3, chunk_images=chunk)
    recordings = {name: steps for name, steps in vars(engine.algorithm).items() if isinstance(steps, RecordedSteps)}
    for steps in recordings.values():
        steps.records = replays
    return engine, recordings


def distilled(real, chosen, *, replays, network=NETWORK, chunk=2048, stops_at=None, kinds=None):
    """Images and history after some iterations; from a checkpoint where they stop in between, in an engine that has begun anew.

    Of each recording, as many kinds of steps as ``kinds`` says are replayed; by default there is one.
    """
    engine, recordings = started(real, chosen, replays=replays, network=network, chunk=chunk)
    while engine.iteration < engine.algorithm.iterations:
        if engine.iteration == stops_at:
            state = copy.deepcopy(engine.state_dict())
            engine, recordings = started(real, chosen, replays=replays, network=network, chunk=chunk)
            engine.step()  # what it has recorded is of other places
            engine.load_state_dict(state)
        engine.step()
    for name, steps in recordings.items():
        expected = (kinds or {name: 1}).get(name, 0) * replays
        assert [each.is_recorded for each in steps.recorded.values()] == [True] * expected, name
    return engine.algorithm.images, engine.history.values


def changed(method, **changes):
    """Short settings of a method that matches no embeddings, as `smoke` has them."""
    return small(METHODS[method], **changes)


def test_a_shape_that_is_changed_in_place_is_replayed_as_it_was():
    """As the gradients of some layers do in PyTorch 2.11."""
    given, made = torch.ones(2, 2), torch.empty(2, 2)

    def work():
        made.copy_(given.sum(1).unsqueeze_(1).expand(2, 2))

    graph = recorded(work)
    for values in ([[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]):
        given.copy_(torch.tensor(values))
        graph.replay()
        assert torch.equal(made, given.sum(1, keepdim=True).expand(2, 2))


@pytest.mark.usefixtures("replayed_on_the_cpu")
@pytest.mark.parametrize(("method", "chunk"), [("bacon", 10_000), ("idm", 13), ("dm", 13), ("datadam", 13)])
def test_replayed_iterations_equal_those_that_are_computed(real64, method, chunk):
    """With all operations of DSA, of which scale and rotation differ by rounding when they are recorded."""
    chosen = settings(method, iterations=ITERATIONS)
    computed, replayed = (distilled(real64, chosen, replays=flag, chunk=chunk) for flag in (False, True))
    for one, two in zip(computed, replayed, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


@pytest.mark.usefixtures("replayed_on_the_cpu")
def test_a_recorded_matching_draws_once_for_all_classes(real64, monkeypatch):
    """A class at a time, of which one has fewer images than the others' batches."""
    algorithm = make_engine(real64, settings("bacon"), ipc=2, seed=3, chunk_images=13).algorithm
    assert [chunk.classes for chunk in algorithm.chunks()] == [(0,), (2,), (1,)]
    network, sampled = algorithm.pool.draw(0), []
    expected = [algorithm.gradient(number, network)[0] for number in (4, 5)]
    sample, numbers = real64.sample_classes, Mock(side_effect=dsa.siamese_numbers)
    monkeypatch.setattr(
        real64, "sample_classes", lambda *args, **named: sampled.append(named["classes"]) or sample(*args, **named)
    )
    monkeypatch.setattr(dsa, "siamese_numbers", numbers)
    found = [algorithm.gradient(torch.tensor(number), network)[0] for number in (4, 5)]
    assert sampled == [(0, 2), (1,)] * 2
    assert numbers.call_count == 2, "once in each step"
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


CASES = {
    "dm_iid": (changed("dm_iid", iterations=3), 13, None, None),
    "idm_iid": (changed("idm_iid", iterations=3), 10_000, None, None),
    "cafe_dsa": (changed("cafe_dsa", iterations=2), 13, None, None),
    "dance": (changed("dance", iterations=3), 13, 1, dict(zip(CALIBRATED, (1, 1, 2), strict=True))),
    "ncfm": (changed("ncfm", iterations=3), 10_000, 1, dict(zip(CALIBRATED, (1, 1, 2), strict=True))),
    "ncfm sgd": (
        changed("ncfm", iterations=5, optimiser="sgd", patience=1, lr_img=1.0, batch_real=4),
        10_000,
        None,
        dict(zip(CALIBRATED, (1, 1, 4), strict=True)),  # the learning rate is halved once
    ),
    "ncfm network": (
        changed("ncfm", iterations=3, sampling="network", sampling_width=8, frequencies=64),
        13,
        2,
        dict(zip(CALIBRATED, (1, 1, 2), strict=True)),
    ),
    "dsa": (changed("dsa", iterations=2, inner=1), 13, 1, None),
    "dcc": (changed("dcc", iterations=3), 10_000, None, {"replays": 2}),
    "dsac": (changed("dsac", iterations=3, inner=1), 13, None, {"replays": 2}),
    "idc": (changed("idc", iterations=2, batch_synthetic=5, networks={"images": 8}), 13, 1, None),
    "dream": (changed("dream", iterations=2, refresh=1, inner=3), 10_000, None, None),
    "mtt": (changed("mtt", iterations=2, batch_syn=4), 10_000, 1, None),
    "mtt graphs": (changed("mtt", iterations=2, constant_memory=False), 10_000, None, None),
    "datm": (changed("datm", iterations=2), 4, None, None),
    "frepo": (changed("frepo", iterations=5), 10_000, 2, None),
    "kip": (changed("kip", iterations=3, batch_real=12), 13, None, None),
    "kip features": (changed("kip", iterations=3, kernel="features", learn_labels=True), 10_000, 2, None),
    "sre2l": (changed("sre2l", iterations=3, view=CROPPED), 10_000, 1, None),
    "sre2l_plus": (changed("sre2l_plus", iterations=3, batch_images=2, tv_weight=0.1, l2_weight=0.1), 4, None, None),
    "dd": (changed("dd", iterations=3, augmentation="crop_flip", lr_interval=2), 10_000, 1, None),
    "dd graphs": (changed("dd", iterations=2, networks=2, constant_memory=False), 13, None, None),
    "ld": (changed("ld", iterations=6, selection_interval=2, validation=0.3), 10_000, 3, None),
    "ld ridge": (
        changed("ld", iterations=6, selection_interval=2, validation=0.3, inner="ridge_regression"),
        13,
        3,
        None,
    ),
    "frepo pieces": (changed("frepo", iterations=3, batch_syn=4, network_steps=5, networks=1), 13, 1, None),
}
"""Settings, images at a time, after which iteration it goes on from a checkpoint, and how many kinds of steps there are."""


@pytest.mark.usefixtures("replayed_on_the_cpu")
@pytest.mark.parametrize("name", CASES)
def test_every_method_that_is_recorded_has_the_bits_of_what_is_computed(real32, name, monkeypatch):
    """Augmented by one pass, as on a GPU, either way."""
    monkeypatch.setattr(affine_pass, "is_preferred", lambda _: True)
    chosen, chunk, stops_at, kinds = CASES[name]
    computed = distilled(real32, chosen, replays=False, chunk=chunk)
    replayed = distilled(real32, chosen, replays=True, chunk=chunk, stops_at=stops_at, kinds=kinds)
    for one, two in zip(computed, replayed, strict=True):
        assert torch.equal(one, two)


@pytest.mark.usefixtures("replayed_on_the_cpu")
def test_matching_in_training_mode_is_replayed_between_the_network_s_epochs(real32, monkeypatch):
    """CAFE in networks with batch norm, one network for several matchings."""
    monkeypatch.setattr(affine_pass, "is_preferred", lambda _: True)
    chosen, chunk, *_ = CASES["cafe_dsa"]
    computed, replayed = (
        distilled(real32, chosen, replays=replays, chunk=chunk, network=BATCH_NORM) for replays in (False, True)
    )
    for one, two in zip(computed, replayed, strict=True):
        assert torch.equal(one, two)


@pytest.mark.usefixtures("replayed_on_the_cpu")
@pytest.mark.parametrize(("norm", "stops_at"), [("instance", 1), ("batch", None), ("batch", 3)])
def test_without_augmentation_they_have_the_same_bits_also_from_a_checkpoint(real32, norm, stops_at):
    chosen, network = (
        settings("bacon", iterations=ITERATIONS, dsa_strategy="none"),
        NETWORK.model_copy(update={"norm": norm}),
    )
    computed = distilled(real32, chosen, replays=False, network=network)
    replayed = distilled(real32, chosen, replays=True, network=network, stops_at=stops_at)
    for one, two in zip(computed, replayed, strict=True):
        assert torch.equal(one, two)


@pytest.mark.usefixtures("replayed_on_the_cpu")
def test_fewer_images_at_a_time_are_recorded_anew(real64, monkeypatch, caplog):
    chosen, refused = settings("bacon", iterations=ITERATIONS), []
    computed = distilled(real64, chosen, replays=False)
    gradient = Bacon.gradient

    def full(algorithm, *args):
        if len(refused) < 2 and algorithm.context.memory.chunk_images == 2048 and torch.is_tensor(args[0]):
            refused.append(1)
            raise torch.OutOfMemoryError("no room")
        return gradient(algorithm, *args)

    monkeypatch.setattr(Bacon, "gradient", full)
    engine, recordings = started(real64, chosen, replays=True)
    for _ in range(ITERATIONS):
        engine.step()
    assert engine.algorithm.context.memory.chunk_images == 1024
    (matching,) = recordings["replays"].recorded.values()
    assert matching.is_recorded
    torch.testing.assert_close(computed[0], engine.algorithm.images, rtol=0, atol=1e-10)
    assert "run.chunk_images is now 1024" in caplog.text
    engine.algorithm.context.memory.chunk_images = 512  # as something else of the iteration may have it
    engine.algorithm.step(ITERATIONS)
    assert matching not in recordings["replays"].recorded.values(), "its memory is given back"


@pytest.mark.usefixtures("replayed_on_the_cpu")
def test_running_statistics_of_a_network_in_training_mode_move_as_they_do_when_it_is_computed():
    images, moved = torch.linspace(0, 1, 5 * 64).sin().view(5, 1, 8, 8), []
    for records in (False, True):
        network = build_network(BATCH_NORM, channels=1, size=8, classes=3, seed=0, device=torch.device("cpu"))
        network.train().requires_grad_(False)
        given = Given(number=0, networks=(network,), tensors=(images,))

        def embedded(given):
            return (given.networks[0].embed(given.tensors[0]),)

        step = RecordedStep(embedded, given, images.device, moved=tuple, name="a step") if records else embedded
        results = [step(given)[0].clone() for _ in range(3)]
        moved.append([*results, *(buffer.clone() for buffer in network.buffers())])
    assert all(torch.equal(one, other) for one, other in zip(*moved, strict=True))


def test_a_method_that_may_draw_on_the_host_is_not_recorded_and_one_line_says_so(real32, caplog, monkeypatch):
    monkeypatch.setattr(Bacon, "recordable", False)
    engine, recordings = started(real32, settings("bacon"), replays=True)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            engine.step()
    (record,) = [record for record in caplog.records if "not recorded" in record.message]
    assert "Bacon may draw numbers on the host" in record.message
    assert recordings["replays"].recorded == {}


def test_short_runs_and_the_cpu_do_not_record(caplog):
    gpu = torch.device("cuda")
    assert worth_recording(gpu, 100)
    with caplog.at_level(logging.INFO):
        assert not worth_recording(torch.device("cpu"), 10**6)
        assert not caplog.records
        assert not worth_recording(gpu, 99, name="a step")
    assert "a step is not recorded as a CUDA graph: 99 of them do not pay for it" in caplog.text


def trained_queue(real, *, norm, replays, iterations=4):
    def build(index):
        chosen = NetworkSettings(width=4, depth=2, norm=norm)
        return build_network(chosen, channels=2, size=8, classes=3, seed=0, index=index, device=real.device)

    queue = Queue(NetworkQueue(start=3, model_train_steps=3, batch_train=9), build, real, seed=1, shared=replays)
    if replays:
        queue._rounds = Rounds(queue._draws, places=2, record=True)
    for iteration in range(iterations):
        queue.begin(iteration)
        queue.start(iteration)
        queue.train(iteration)
    assert not replays or queue._rounds.is_recorded
    return queue


@pytest.mark.usefixtures("replayed_on_the_cpu")
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_replayed_rounds_of_the_queue_have_the_bits_of_plain_steps(real32, norm):
    plain, replayed = (trained_queue(real32, norm=norm, replays=flag) for flag in (False, True))
    for one, two in zip(plain.members, replayed.members, strict=True):
        assert (one.seen, float(one.correct)) == (two.seen, float(two.correct))
        for mine, other in zip(one.network.state_dict().values(), two.network.state_dict().values(), strict=True):
            assert torch.equal(mine, other)


@pytest.mark.usefixtures("replayed_on_the_cpu")
def test_rounds_that_do_not_fit_while_they_are_recorded_are_recorded_one_after_another(real32, monkeypatch, caplog):
    asked = []

    def tight(work):
        asked.append(work)
        if len(asked) == 2:
            work()  # what it moves must be as before
            raise torch.OutOfMemoryError("no room")
        return recorded(work)

    plain = trained_queue(real32, norm="batch", replays=False)
    monkeypatch.setattr(recording, "recorded", tight)
    replayed = trained_queue(real32, norm="batch", replays=True)
    assert (replayed.overlaps, replayed._is_shared, len(asked)) == (False, True, 3)
    assert "one after another" in caplog.text
    for one, two in zip(plain.members, replayed.members, strict=True):
        for mine, other in zip(one.network.state_dict().values(), two.network.state_dict().values(), strict=True):
            assert torch.equal(mine, other)


@pytest.mark.parametrize(("device", "expected"), [("cpu", 0.1), ("cuda", 0.10000000149011612)])
def test_a_learning_rate_is_what_its_place_holds_whether_that_is_read_or_not(real32, device, expected):
    algorithm = make_engine(real32, changed("kip", lr=0.1), ipc=2, seed=3).algorithm
    algorithm.replays._context = SimpleNamespace(device=torch.device(device))
    assert algorithm.replays._rates() == [expected]
    assert algorithm.variables.images.update.rate == expected


def test_a_recording_keeps_what_the_host_knew_and_refuses_to_read_back():
    place, out, known = torch.zeros(2), torch.zeros(2), [1.0]
    graph = recorded(lambda: out.copy_(place + known[0]))
    place.fill_(5.0)
    known[0] = 2.0
    graph.replay()
    assert out.tolist() == [6.0, 6.0]
    with pytest.raises(RuntimeError, match="read back"):
        recorded(lambda: float(out[0]))
