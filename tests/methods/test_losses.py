import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from bacon.distillation.matching.features import Features
from bacon.distillation.matching.matching_losses import RealStatistics
from bacon.distillation.matching.mean_matching import MeanMatching
from bacon.methods import registry
from bacon.methods.bacon.algorithm import BaconMatching, gaussian_negative_log_likelihood
from bacon.methods.bacon.record import BaconObjective
from bacon.methods.registry import METHODS, OWN


def statistics(seed=0, classes=3, dimensions=7, batch=20):
    generator = torch.Generator().manual_seed(seed)
    embedded = torch.randn(classes, batch, dimensions, dtype=torch.float64, generator=generator)
    synthetic = torch.randn(classes, dimensions, dtype=torch.float64, generator=generator)
    return RealStatistics(mean=embedded.mean(1), std=embedded.std(1, unbiased=True)), synthetic


def bacon(**settings):
    return BaconMatching(BaconObjective(**settings))


def terms_of(loss, real, synthetic_mean):
    """The terms for one synthetic image of each class, whose embedding is its mean."""
    return loss.terms(real, Features(embedding=synthetic_mean[:, None]))


def test_llh_is_the_negative_log_density_where_that_does_not_underflow():
    real, synthetic = statistics()
    terms = terms_of(bacon(), real, synthetic)
    for c in range(3):
        log_density = 0.0
        for d in range(7):
            sigma = math.exp(float(real.std[c, d]))
            density = math.exp(-0.5 * ((float(synthetic[c, d]) - float(real.mean[c, d])) / sigma) ** 2)
            log_density += math.log(density / (sigma * math.sqrt(2 * math.pi)))
        assert float(terms["llh"][c]) == pytest.approx(-log_density, abs=1e-12)


def test_llh_is_finite_where_the_density_underflows():
    difference, log_sigma = torch.full((1, 2), 1e4), torch.zeros(1, 2)
    naive = -(torch.exp(-0.5 * difference**2) / math.sqrt(2 * math.pi)).log().sum()
    assert not torch.isfinite(naive)
    value = gaussian_negative_log_likelihood(difference, log_sigma)
    assert float(value) == pytest.approx(2 * (0.5e8 + 0.5 * math.log(2 * math.pi)), rel=1e-6)


@pytest.mark.parametrize("sigma", [0.0, 1e-8, 50.0])
@pytest.mark.parametrize("distance", [0.0, 1e-8, 1e6])
@pytest.mark.parametrize("clip", ["published_code", "per_dimension"])
def test_terms_and_gradients_are_finite_at_extremes(sigma, distance, clip):
    real = RealStatistics(mean=torch.zeros(2, 3), std=torch.full((2, 3), sigma))
    synthetic = torch.full((2, 3), distance, requires_grad=True)
    objective = bacon(clip=clip)
    terms = terms_of(objective, real, synthetic)
    sum(weight * terms[name].sum() for name, weight in objective.weights().items()).backward()
    assert torch.isfinite(synthetic.grad).all()
    assert all(torch.isfinite(values).all() for values in terms.values())


def test_tv_is_half_the_l1_distance_and_mean_the_squared_l2():
    real, synthetic = statistics()
    difference = (synthetic - real.mean).numpy()
    tv = terms_of(bacon(), real, synthetic)["tv"]
    mean = terms_of(MeanMatching(), real, synthetic)["mean"]
    for c in range(3):
        assert float(tv[c]) == pytest.approx(0.5 * sum(abs(v) for v in difference[c]), abs=1e-12)
        assert float(mean[c]) == pytest.approx(sum(v * v for v in difference[c]), abs=1e-12)


def test_clip_per_dimension_against_a_scalar_loop():
    real, synthetic = statistics()
    clip = terms_of(bacon(clip="per_dimension"), real, synthetic)["clip"]
    for c in range(3):
        total = 0.0
        for d in range(7):
            u = float((synthetic[c, d] - real.mean[c, d]) / real.std[c, d])
            total += (u - min(max(u, 0.0), 1.0)) ** 2
        assert float(clip[c]) == pytest.approx(total / 7, abs=1e-12)


def test_published_clip_is_the_difference_of_two_equal_means():
    """The published code averages softmax(mu) over d on both sides: 1/D - 1/D, clamped; zero without gradient."""
    real, synthetic = statistics()
    synthetic.requires_grad_()
    clip = terms_of(bacon(clip="published_code"), real, synthetic)["clip"]
    published = synthetic.softmax(-1).mean(-1) - real.mean.softmax(-1).mean(-1)
    torch.testing.assert_close(published, torch.zeros_like(published), rtol=0, atol=1e-15)
    assert torch.equal(clip, torch.zeros(3, dtype=torch.float64))
    assert not clip.requires_grad


@pytest.mark.parametrize("objective", [MeanMatching(), bacon(), bacon(clip="per_dimension")])
def test_gradients(objective):
    real, synthetic = statistics()
    synthetic.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: tuple(t for t in terms_of(objective, real, s).values() if t.requires_grad), synthetic
    )


def test_every_objective_weighs_exactly_its_terms():
    real, synthetic = statistics()
    for chosen in (MeanMatching(), bacon(), bacon(clip="per_dimension")):
        assert tuple(chosen.weights()) == tuple(terms_of(chosen, real, synthetic))
    assert bacon(**{"lambda": 0.25}).weights() == {"llh": 1.0, "tv": 0.25, "clip": 0.75}


def test_lambda_outside_the_unit_interval_is_refused():
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        BaconObjective(**{"lambda": 1.5})


def test_every_method_folder_is_registered_under_its_name():
    """The references come first: tables follow the order of the registry."""
    folders = {path.parent.name for path in (Path(registry.__file__).parent).glob("*/record.py")}
    assert {method.name for method in OWN} == folders
    assert all(method.name == name for name, method in METHODS.items())
    assert list(METHODS)[:2] == ["full", "random"]
