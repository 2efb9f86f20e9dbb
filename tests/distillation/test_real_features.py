"""Real features come in pieces, whose statistics do not depend on how they are cut."""

import pytest
import torch

from bacon.distillation.chunks import consecutive_chunks
from bacon.distillation.matching.features import Features
from bacon.distillation.matching.matching_losses import ClassMeans, MatchingLoss
from tests.methods.test_contract import METHODS, engine_of, small


class Everything(MatchingLoss):
    """Keeps the real features of each class."""

    reads = frozenset({"stages", "embedding", "logits"})

    def __init__(self, *, couples):
        self.couples_classes = couples

    def reduce(self, real, classes):
        kept = [[] for _ in range(classes)]
        for piece in real:
            places = range(*piece.places.indices(classes))
            for place, *parts in zip(places, *all_parts(piece.features), strict=True):
                kept[place].append(parts)
        return [[torch.cat(part) for part in zip(*parts, strict=True)] for parts in kept]

    def weights(self):
        return {}

    def terms(self, real, synthetic):
        raise NotImplementedError  # abstract in the base; these tests look at the statistics alone


def all_parts(features: Features):
    return *features.stages, features.embedding, features.logits


def statistics(*, couples, chunk_images, mixes=False):
    """Everything of each class, by the engine of a method that has been given this loss."""
    algorithm = engine_of(
        METHODS["datadam"], small(METHODS["datadam"], norm="instance"), dtype=torch.float64, chunk_images=chunk_images
    ).algorithm
    loss = Everything(couples=couples)
    algorithm.loss, algorithm._is_whole = loss, couples or mixes
    algorithm._real_features._loss, algorithm._real_features._mixes_images = loss, mixes
    network = algorithm.pool.draw(1).network
    found = {}
    for chunk in algorithm.chunks():
        found |= dict(zip(chunk.classes, algorithm.real_statistics(chunk, 1, network), strict=True))
    return found


@pytest.mark.parametrize("couples", [False, True])
@pytest.mark.parametrize("chunk_images", [1, 5, 30])
def test_pieces_make_up_the_whole_batch_of_each_class(couples, chunk_images):
    whole = statistics(couples=True, mixes=True, chunk_images=10_000)
    pieces = statistics(couples=couples, chunk_images=chunk_images)
    assert {label: len(parts[0]) for label, parts in pieces.items()} == {0: 14, 1: 11, 2: 16}, "a class may have less"
    for label, parts in pieces.items():
        for part, expected in zip(parts, whole[label], strict=True):
            torch.testing.assert_close(part, expected, rtol=0, atol=1e-12)


def test_means_of_pieces_are_the_means():
    values = torch.randn(3, 7, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    means = ClassMeans(3)
    means.add(slice(0, 2), values[:2, :3])
    means.add(slice(2, 3), values[2:])
    means.add(slice(0, 2), values[:2, 3:])
    torch.testing.assert_close(means.means(), values.mean(1))


def test_consecutive_chunks_keep_the_order_of_the_classes():
    chunks = consecutive_chunks([9, 9, 4, 9, 9, 9], batch_real=8, limit=16)
    assert [(chunk.classes, chunk.batch_real) for chunk in chunks] == [
        ((0, 1), 8), ((2,), 4), ((3, 4), 8), ((5,), 8),
    ]  # fmt: skip
