"""DataDAM: its attention maps, its loss, and its loop against one written from the formula."""

import pytest
import torch

from bacon.distillation.matching.features import Features
from bacon.methods.datadam.algorithm import AttentionMatching, MeanAttention, attention
from bacon.methods.registry import METHODS
from bacon.settings.network import NetworkSettings
from bacon.transforms.dsa import siamese_augment, siamese_draw
from tests.distillation.naive import build
from tests.methods.plain_convnet import blocks


class NaiveDataDAM:
    """One iteration at a time: all classes in one batch, real and synthetic apart, and one SGD step."""

    def __init__(self, real, settings, network, *, ipc, seed, initial):
        self.real, self.settings, self.ipc, self.seed = real, settings, ipc, seed
        self.network = NetworkSettings(**network.model_dump() | {"norm": settings.norm})
        self.x = initial.clone().requires_grad_()
        self.optimiser = torch.optim.SGD([self.x], lr=settings.lr_img, momentum=settings.momentum)

    def iteration(self, it):
        seen = self.x.detach().clone()
        network, s = build(self.real, self.network, self.seed, it), self.settings
        reals, synthetics, sizes = [], [], []
        for c in range(self.real.classes):
            draw = siamese_draw(s.dsa_strategy, self.seed, it, [c])
            size = min(s.batch_real, self.real.counts[c])
            indices = self.real.sample_classes(self.seed, "real-batch", iteration=it, classes=[c], size=size)[0]
            reals.append(siamese_augment(draw, self.real.batch(indices)[None])[0])
            synthetics.append(siamese_augment(draw, self.x[c * self.ipc : (c + 1) * self.ipc][None])[0])
            sizes.append(size)
        real, synthetic = self.described(network, torch.cat(reals)), self.described(network, torch.cat(synthetics))
        loss, weights = 0.0, [100.0] * (len(real) - 1) + [100.0 * s.lambda_]
        for weight, there, here in zip(weights, real, synthetic, strict=True):
            per_class = zip(there.split(sizes), here.split(self.ipc), strict=True)
            loss = loss + weight * sum(((t.mean(0).detach() - h.mean(0)) ** 2).sum() for t, h in per_class)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return seen

    def described(self, network, images):
        """Attention maps of all stages but the last, and embeddings."""
        relus, embedding = blocks(network, images)
        maps = [(relu**self.settings.exponent).sum(1).flatten(1) for relu in relus[:-1]]
        return [*(m / m.norm(dim=1, keepdim=True) for m in maps), embedding]


def test_attention_maps_have_unit_norm_and_do_not_know_the_order_of_channels():
    maps = torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for exponent in (1.0, 4.0):
        found = attention(maps, exponent)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-14)
        torch.testing.assert_close(attention(maps[:, [2, 0, 3, 1]], exponent), found, rtol=0, atol=1e-14)
    image = maps[0].abs().pow(4).sum(0).flatten()
    torch.testing.assert_close(attention(maps, 4.0)[0], image / (image**2).sum().sqrt())


def test_maps_of_zeros_have_a_finite_gradient():
    maps = torch.zeros(1, 2, 3, 3, requires_grad=True)
    attention(maps, 4.0).sum().backward()
    assert maps.grad.isfinite().all()


def test_equal_features_have_no_distance():
    stage = torch.rand(2, 3, 4, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    features = Features(embedding=stage[:, :, 0, 0], stages=(stage, stage))
    real = MeanAttention(maps=(attention(stage, 1.0).mean(1),), embedding=features.embedding.mean(1))
    loss = AttentionMatching(exponent=1.0, weight=100.0, ratio=0.5)
    assert all(float(term.abs().max()) < 1e-28 for term in loss.terms(real, features).values())
    assert loss.weights() == {"attention": 100.0, "embedding": 50.0}


@pytest.mark.parametrize("form", [{}, {"exponent": 4, "norm": "instance"}], ids=["code", "paper"])
def test_code_and_paper_are_settings(form):
    chosen = METHODS["datadam"].settings_model.model_validate(form)
    assert (chosen.iterations, chosen.update, chosen.parts()) == (20000, "joint", 1)
    assert chosen.exponent == form.get("exponent", 1)
