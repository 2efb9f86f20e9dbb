"""CAFE: stop rules with scripted accuracies, and its discrimination term."""

import pytest
import torch
import torch.nn.functional as F

from bacon.distillation.real_images import RealImages
from bacon.methods.cafe.layer_matching import discrimination
from bacon.methods.cafe.record import CafeSettings
from bacon.methods.cafe.stop_rules import Counts, Meter, alternate
from bacon.methods.cafe_dsa.record import CafeDsaSettings
from tests.distillation.conftest import toy_dataset
from tests.distillation.engines import NETWORK, make_engine, settings
from tests.methods.naive_cafe import NaiveCafe


def block(accuracies, *, classes=10, **settings):
    """Counts of an iteration whose accuracies are given; and what was done, in order."""
    chosen, script, done = CafeSettings(**settings), iter(accuracies), []
    meter = Meter(lambda: next(script), classes=classes, carries_over=chosen.accuracy == "published_code")
    counts = alternate(
        chosen, meter, move=lambda n: done.append(f"move {n}"), train=lambda n: done.append(f"train {n}")
    )
    assert next(script, None) is None, "every accuracy was asked for"
    return counts, done


def test_an_iteration_ends_when_accuracies_after_steps_have_settled():
    # After the step: .5, .52, .51. Between them epochs until two accuracies differ by more than .03.
    script = [0.50, 0.50, 0.60, 0.52, 0.40, 0.41, 0.50, 0.51]
    counts, done = block(script, accuracy="clean", window=2, outer_spread=0.015)
    assert counts == Counts(outer_steps=3, epochs=5, limited=0)
    assert done == ["move 0", "train 0", "train 1", "move 1", "train 2", "train 3", "train 4", "move 2"]


def test_no_rule_looks_at_fewer_accuracies_than_the_window_holds():
    script = [0.5, 0.1, 0.9, 0.1, 0.5, 0.1, 0.9, 0.1, 0.5]
    counts, _ = block(script, accuracy="clean", window=3)
    assert counts == Counts(outer_steps=3, epochs=6, limited=0)


def test_limits_end_loops_that_would_not_end_and_are_counted():
    # The network never moves, so its training never ends by the rule; steps of the images never settle.
    script = [0.1, 0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5, 0.9]
    counts, _ = block(script, accuracy="clean", window=2, max_outer=3, max_epochs=3)
    assert counts == Counts(outer_steps=3, epochs=6, limited=3)


def test_the_published_accuracy_carries_over_within_a_loop():
    values = iter([0.4, 0.4, 0.4, 0.4])
    meter = Meter(lambda: next(values), classes=10, carries_over=True)
    assert [meter.value(), meter.value(), meter.value()] == pytest.approx([0.4, 0.44, 0.444])
    assert meter.of_a_loop().value() == pytest.approx(0.4)
    # So a rule can end a loop where the accuracies themselves have not spread enough.
    assert block([0.0, 0.4, 0.4, 0.0], window=2, inner_spread=0.035, outer_spread=0.5)[0].epochs == 2
    with pytest.raises(StopIteration):
        block([0.0, 0.4, 0.4, 0.0], window=2, inner_spread=0.035, outer_spread=0.5, accuracy="clean")


def test_each_loop_carries_over_its_own_accuracies():
    # After steps .5, .55, .555, whatever was trained between them; after epochs .5, .55 each time.
    counts, done = block([0.5] * 7, window=2)
    assert counts == Counts(outer_steps=3, epochs=4, limited=0)
    assert done == ["move 0", "train 0", "train 1", "move 1", "train 2", "train 3", "move 2"]


def test_real_images_are_classified_by_the_synthetic_class_centres():
    generator = torch.Generator().manual_seed(0)
    real = [torch.randn(count, 5, generator=generator, dtype=torch.float64) for count in (3, 1, 4)]
    centres = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    found = discrimination(tuple(real), centres)
    for label, embeddings in enumerate(real):
        expected = sum(F.cross_entropy(embedding @ centres.T, torch.tensor(label)) for embedding in embeddings)
        torch.testing.assert_close(found[label], expected)
    huge = discrimination(tuple(1e4 * embeddings for embeddings in real), 1e4 * centres)
    assert huge.isfinite().all(), "logits are raw inner products"


@pytest.mark.parametrize("chunk", [10_000, 13])
@pytest.mark.parametrize("method", ["cafe", "cafe_dsa"])
def test_networks_with_batch_norm_see_all_classes_in_one_batch(method, chunk):
    """And those of one class where accuracies are measured, which decide how long an iteration is."""
    small = {"batch_real": 10, "query": 6, "window": 2, "max_outer": 4, "max_epochs": 3, "snapshot_interval": 0}
    chosen = settings(method, outer_spread=0.02, **small)
    network = NETWORK.model_copy(update={"norm": "batch"})
    real = RealImages(toy_dataset(), device=torch.device("cpu"), dtype=torch.float64)
    engine = make_engine(real, chosen, network, ipc=2, seed=3, chunk_images=chunk)
    start = engine.algorithm.images.clone()
    naive = NaiveCafe(real, chosen, network, ipc=2, seed=3, initial=start)
    for _ in range(4):
        naive.iteration(engine.iteration)
        engine.step()
        torch.testing.assert_close(engine.algorithm.images, naive.x.detach(), rtol=0, atol=1e-10)
    assert (engine.algorithm.images - start).abs().max() > 1e-3, "moved images, or the comparison means nothing"


def test_settings_are_the_published_ones():
    plain, dsa = CafeSettings(), CafeDsaSettings()
    assert (plain.iterations, plain.init, plain.lr_img, plain.batch_real, plain.query) == (2000, "noise", 0.1, 256, 128)
    assert (plain.outer_spread, plain.inner_spread, plain.window, plain.accuracy) == (0.04, 0.03, 10, "published_code")
    assert [int(part * plain.iterations) for part in plain.lr_milestones] == [1200, 1600, 1800]
    assert dsa.augment
    assert dsa.model_dump() == plain.model_dump() | {"augment": True}
