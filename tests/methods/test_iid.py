"""IID: its covariance, and its weights in other cells than those that they were published for."""

import pytest
import torch

from bacon.distillation.matching.features import Features
from bacon.distillation.matching.matching_losses import RealPiece
from bacon.methods.dm_iid.algorithm import MomentMatching, covariance
from bacon.methods.registry import METHODS
from tests.methods.test_contract import engine_of, small


def test_with_maps_of_one_place_it_is_the_usual_covariance():
    embedding = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = covariance(embedding, channels=5)
    for own, values in zip(found, embedding, strict=True):
        torch.testing.assert_close(own, torch.cov(values.T, correction=0))


def test_places_of_a_map_are_summed():
    embedding = torch.randn(1, 7, 15, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    maps = embedding.view(1, 7, 5, 3)
    expected = sum(covariance(maps[..., place], channels=5) for place in range(3))
    torch.testing.assert_close(covariance(embedding, channels=5), expected)


def test_one_image_per_class_has_no_relations():
    embedding = torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = covariance(embedding, channels=3)
    (gradient,) = torch.autograd.grad((found - 1).square().sum(), embedding)
    assert not found.any()
    assert not gradient.any()


@pytest.mark.parametrize(
    ("weights", "ipc", "expected"), [("code", 1, (0.01, 0.05)), ("scaled", 1, (0.16, 0.5)), ("scaled", 5, (0.16, 0.1))]
)
def test_weights_hold_for_ten_images_of_16_places(weights, ipc, expected):
    """The contract's network has maps of 2x2 places."""
    method = METHODS["dm_iid"]
    algorithm = engine_of(method, small(method, weights=weights), ipc=ipc).algorithm
    term = algorithm.extra[0]
    assert (algorithm.loss.weights()["covariance"], term.weight(None)) == pytest.approx(expected)


def test_hosts_have_their_own_published_weights():
    dm, idm = (METHODS[name].settings_model for name in ("dm_iid", "idm_iid"))
    assert [(model().covariance_weight, model().centralisation_weight) for model in (dm, idm)] == [
        (0.01, 0.05), (0.03, 0.01),
    ]  # fmt: skip
    assert idm().extractor.architecture == "resnet18"
    assert METHODS["idm_iid"].published == METHODS["idm"].published


def test_moments_of_classes_in_several_pieces_are_those_of_each():
    """Classes of different sizes come in pieces where networks with batch norm have all of them in one batch."""
    generator = torch.Generator().manual_seed(0)
    loss = MomentMatching(channels=2, weight=0.1)
    pieces = [
        RealPiece(places=places, features=Features(embedding=torch.randn(*shape, 6, generator=generator)))
        for places, shape in ((slice(0, 2), (2, 5)), (slice(2, 3), (1, 9)))
    ]
    together = loss.reduce(pieces, 3)
    alone = [loss.reduce([piece], len(piece.features.embedding)) for piece in pieces]
    assert torch.equal(together.mean, torch.cat([each.mean for each in alone]))
    assert torch.equal(together.covariance, torch.cat([each.covariance for each in alone]))
    assert together.covariance.shape == (3, 2, 2)
