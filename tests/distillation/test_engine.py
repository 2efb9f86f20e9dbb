import logging

import pytest
import torch

from bacon.distillation.chunks import as_slice, class_chunks, joined_chunks
from bacon.distillation.matching import feature_matching, real_features
from bacon.distillation.matching.embedding_matching import EmbeddingMatching
from bacon.distillation.matching.mean_matching import MeanMatching
from bacon.distillation.pools import DrawnNetwork
from bacon.distillation.real_images import RealImages
from bacon.distillation.variables import image_step
from bacon.runtime.errors import BaconError
from bacon.runtime.progress import Progress
from bacon.settings.pools import FreshNetworks
from bacon.transforms.dsa import siamese_augment, siamese_draw
from tests.distillation.conftest import toy_dataset
from tests.distillation.engines import NETWORK, make_engine, settings
from tests.distillation.naive import NaiveLoop, build, match, split_and_enlarge


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("bacon", {}),
        ("bacon", {"objective": {"clip": "per_dimension", "lambda": 0.3}}),
        ("idm", {}),
        ("dm", {}),
        ("idm", {"partition": 1, "momentum": 0.9}),
        ("dm", {"dsa_strategy": "none"}),
    ],
)
@pytest.mark.parametrize("chunk", [10_000, 13])
def test_class_batched_step_equals_naive_loop(real64, method, changes, chunk):
    chosen = settings(method, **changes)
    engine = make_engine(real64, chosen, NETWORK, ipc=2, seed=3, chunk_images=chunk)
    naive = NaiveLoop(real64, chosen, NETWORK, ipc=2, seed=3, initial=engine.algorithm.images)
    start = engine.algorithm.images.clone()
    for iteration in range(6):
        assert torch.equal(torch.isfinite(engine.algorithm.images), torch.ones_like(start, dtype=torch.bool))
        seen = naive.iteration(iteration)
        torch.testing.assert_close(engine.algorithm.images, seen, rtol=0, atol=1e-10)
        engine.step()
    assert (engine.algorithm.images - start).abs().max() > 1e-3, (
        "the images must have moved for the comparison to mean anything"
    )


class AllClassesInOneBatch(NaiveLoop):
    """The loop for fresh networks with batch norm: real images of all classes in one pass, synthetic ones in another."""

    def iteration(self, it):
        s, seen = self.settings, self.x.detach().clone()
        network = build(self.real, self.network, self.seed, it).train()
        reals, synthetics = [], []
        for c in range(self.real.classes):
            draw = siamese_draw(s.dsa_strategy, self.seed, it, [c])
            size = min(s.batch_real, self.real.counts[c])
            indices = self.real.sample_classes(self.seed, "real-batch", iteration=it, classes=[c], size=size)[0]
            reals.append(siamese_augment(draw, self.real.batch(indices)[None])[0])
            own = self.x[c * self.ipc : (c + 1) * self.ipc]
            decoded = torch.stack([part for image in own for part in split_and_enlarge(image, s.partition)])
            synthetics.append(siamese_augment(draw, decoded[None])[0])
        real = network.embed(torch.cat(reals)).detach().split([len(some) for some in reals])
        synthetic = network.embed(torch.cat(synthetics)).split(self.ipc * s.partition**2)
        extra = (s.objective.lambda_, s.objective.clip) if s.objective.kind == "bacon" else (None, None)
        loss = sum(match(s.objective.kind, t, h, *extra) for t, h in zip(real, synthetic, strict=True))
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return seen


@pytest.mark.parametrize("method", ["dm", "idm", "bacon"])
@pytest.mark.parametrize("chunk", [10_000, 13])
def test_fresh_networks_with_batch_norm_see_all_classes_in_one_batch(real64, method, chunk):
    chosen = settings(method, update="joint").model_copy(update={"networks": FreshNetworks()})
    network = NETWORK.model_copy(update={"norm": "batch"})
    engine = make_engine(real64, chosen, network, ipc=2, seed=3, chunk_images=chunk)
    naive = AllClassesInOneBatch(real64, chosen, network, ipc=2, seed=3, initial=engine.algorithm.images)
    start = engine.algorithm.images.clone()
    for iteration in range(4):
        torch.testing.assert_close(engine.algorithm.images, naive.iteration(iteration), rtol=0, atol=1e-10)
        engine.step()
    assert (engine.algorithm.images - start).abs().max() > 1e-3, "moved images, or the comparison means nothing"


def test_the_queue_trains_alike(real64):
    """The accuracies that weight the cross-entropy agree, so the networks took the same steps."""
    chosen = settings("bacon")
    engine = make_engine(real64, chosen, NETWORK, ipc=1, seed=0)
    naive = NaiveLoop(real64, chosen, NETWORK, ipc=1, seed=0, initial=engine.algorithm.images)
    for iteration in range(5):
        naive.iteration(iteration)
        engine.step()
    for member, other in zip(engine.algorithm.pool.members, naive.queue, strict=True):
        assert float(member.accuracy()) == pytest.approx(100 * other["hits"] / max(other["seen"], 1), abs=1e-12)
        for ours, theirs in zip(member.network.parameters(), other["net"].parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert engine.history.arrays()["queue_accuracy"].max() > 0


@pytest.mark.parametrize("update", ["joint", "per_class"])
def test_image_step_equals_repeated_momentum_steps(update):
    generator = torch.Generator().manual_seed(0)
    x, b = torch.randn(2, 3, dtype=torch.float64, generator=generator), torch.zeros(2, 3, dtype=torch.float64)
    y, m = x.clone(), b.clone()
    for _ in range(4):
        g = torch.randn(2, 3, dtype=torch.float64, generator=generator)
        image_step(x, b, g, rate=0.2, momentum=0.5, turns=7 if update == "per_class" else 1)
        for turn in range(7 if update == "per_class" else 1):
            m = 0.5 * m + (g if turn == 0 else 0)
            y = y - 0.2 * m
        torch.testing.assert_close(x, y, rtol=0, atol=1e-12)


def test_repeat_is_bit_identical_and_ignores_global_randomness(real32):
    runs = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        engine = make_engine(real32, settings("bacon"), ipc=2, seed=5)
        with Progress("test", 6) as progress:
            engine.run(progress)
        assert torch.equal(torch.get_rng_state(), before)
        runs.append(engine)
    assert torch.equal(runs[0].algorithm.images, runs[1].algorithm.images)
    for name, values in runs[0].history.arrays().items():
        assert (values == runs[1].history.arrays()[name]).all()


def test_seeds_differ(real32):
    images = [make_engine(real32, settings("bacon"), ipc=1, seed=seed).algorithm.images for seed in (0, 1)]
    assert not torch.equal(*images)


def test_snapshots_are_kept_at_the_asked_iterations(real32):
    engine = make_engine(real32, settings("idm", iterations=5), ipc=1, seed=0)
    initial = engine.algorithm.images.clone()
    with Progress("test", 5) as progress:
        engine.run(progress)
    assert sorted(engine.snapshots) == [0, 2, 4, 5]
    assert torch.equal(engine.snapshots[0].images, initial)
    assert torch.equal(engine.snapshots[5].images, engine.algorithm.images)
    assert not torch.equal(engine.snapshots[2].images, engine.snapshots[4].images)


def test_chunks_bound_the_images_and_cover_every_class():
    chunks = class_chunks([100, 30, 100, 100, 30], batch_real=64, synthetic=40, limit=130)
    assert sorted(label for chunk in chunks for label in chunk.classes) == [0, 1, 2, 3, 4]
    for chunk in chunks:
        assert chunk.batch_real == (30 if set(chunk.classes) <= {1, 4} else 64)
        assert len(chunk.classes) * max(chunk.batch_real, 40) <= 130
    assert class_chunks([100], batch_real=100, synthetic=1, limit=10)[0].classes == (0,), "at least one class"


def test_joined_chunks_bound_the_synthetic_images():
    chunks = class_chunks([100] * 7, batch_real=100, synthetic=40, limit=200)
    for limit, expected in ((10, [2, 2, 2, 1]), (200, [4, 3]), (240, [6, 1]), (280, [7])):
        joined = joined_chunks(chunks, synthetic=40, limit=limit)
        assert [sum(len(chunk.classes) for chunk in each) for each in joined] == expected
        assert [chunk for each in joined for chunk in each] == chunks


class OwnStatistics(MeanMatching):
    """What it keeps of the real images is its own affair."""

    def reduce(self, real, classes):
        return super().reduce(real, classes)


@pytest.mark.parametrize(
    ("method", "loss", "passes"), [("bacon", None, [10, 5]), ("dm", None, [10, 5]), ("dm", OwnStatistics(), [5, 5, 5])]
)
def test_synthetic_images_of_several_chunks_are_one_pass_on_a_gpu(real64, monkeypatch, method, loss, passes):
    """Real images a class at a time either way; a loss that keeps statistics of its own matches each chunk alone."""
    chosen = settings(method, partition=1)
    algorithm = make_engine(real64, chosen, NETWORK, ipc=5, seed=3, chunk_images=13).algorithm
    algorithm.loss = loss or algorithm.loss
    drawn, embedded = algorithm.pool.draw(0), []
    expected = algorithm.gradient(0, drawn)
    monkeypatch.setattr(feature_matching, "_joins_passes", lambda _: True)
    embedded_maps = drawn.network.embedded_maps

    def counted(images):
        if torch.is_grad_enabled():
            embedded.append(len(images))
        return embedded_maps(images)

    monkeypatch.setattr(drawn.network, "embedded_maps", counted)
    gradient, terms = algorithm.gradient(0, drawn)
    assert embedded == passes
    torch.testing.assert_close(gradient, expected[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(terms, expected[1], rtol=0, atol=1e-12)


def test_a_loss_that_is_not_finite_stops_with_iteration_and_terms(real32):
    engine = make_engine(real32, settings("bacon"), ipc=1, seed=0)
    engine.step()
    engine.algorithm.images.fill_(float("inf"))
    engine.step()
    with pytest.raises(BaconError, match=r"iteration 1: the loss is not finite .*llh = nan"):
        engine.history.check()


def test_noise_init_and_too_small_classes(real32):
    engine = make_engine(real32, settings("dm", init="noise"), ipc=40, seed=0)
    assert abs(float(engine.algorithm.images.mean())) < 0.05
    assert abs(float(engine.algorithm.images.std()) - 1) < 0.05
    with pytest.raises(BaconError, match="class 'class 1' has 11"):
        make_engine(real32, settings("bacon"), ipc=3, seed=0)


def test_an_out_of_memory_error_halves_the_chunk_and_changes_no_number(real64, monkeypatch, caplog):
    engines = [make_engine(real64, settings("bacon"), ipc=2, seed=0, chunk_images=64) for _ in range(2)]
    limits = [engine.algorithm.context.memory for engine in engines]
    gradient, refused = EmbeddingMatching.gradient, []

    def full(algorithm, *args):
        if algorithm is engines[0].algorithm and not refused:
            refused.append(limits[0].chunk_images)
            raise torch.OutOfMemoryError("no room")
        return gradient(algorithm, *args)

    monkeypatch.setattr(EmbeddingMatching, "gradient", full)
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    for engine in engines:
        engine.step()
    assert (refused, *(limit.chunk_images for limit in limits)) == ([64], 32, 64)
    torch.testing.assert_close(engines[0].algorithm.images, engines[1].algorithm.images, rtol=0, atol=1e-12)
    (record,) = caplog.records
    assert "run.chunk_images is now 32" in record.message


def test_memory_that_does_not_suffice_for_half_the_chunk_ends_the_run(real32, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(EmbeddingMatching, "gradient", full)
    engine = make_engine(real32, settings("bacon"), ipc=1, seed=0, chunk_images=64)
    with pytest.raises(torch.OutOfMemoryError):
        engine.step()
    assert engine.algorithm.context.memory.chunk_images == 32


def _drawn(algorithm, accuracy):
    """The first network of an algorithm, and the sizes of the batches that it embeds."""
    network, seen = algorithm.context.build(0), []
    embedded_maps = network.embedded_maps
    network.embedded_maps = lambda x: seen.append(len(x)) or embedded_maps(x)
    return DrawnNetwork(network, torch.tensor(accuracy, dtype=algorithm.real.dtype)), seen


def test_larger_images_make_smaller_chunks():
    for size, images in ((8, 100), (32, 100), (64, 25)):
        real = RealImages(toy_dataset(size=size), device=torch.device("cpu"))
        algorithm = make_engine(real, settings("dm"), ipc=1, seed=0, chunk_images=100).algorithm
        drawn, seen = _drawn(algorithm, 0.0)
        algorithm.gradient(0, drawn)
        assert 0 < max(seen) <= images


def test_real_images_are_embedded_in_pieces_that_change_no_number(real64, monkeypatch):
    algorithm = make_engine(real64, settings("bacon"), ipc=1, seed=0).algorithm
    whole = algorithm.gradient(0, _drawn(algorithm, 1.0)[0])[0]
    monkeypatch.setattr(real_features, "_CACHE_BYTES", 5 * 6 * 8 * 8 * 8)
    drawn, seen = _drawn(algorithm, 1.0)
    pieces = algorithm.gradient(0, drawn)[0]
    assert 5 * torch.get_num_threads() in seen
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("places", [(0,), (3,), (0, 1, 2), [5, 6]])
def test_places_that_follow_one_another_are_a_slice(places):
    rows = torch.arange(10)
    assert torch.equal(rows[as_slice(places)], rows[list(places)])


@pytest.mark.parametrize("places", [(0, 2), (1, 0), (3, 3)])
def test_other_places_are_no_slice(places):
    assert as_slice(places) is None
