"""DANCE and NCFM: the distance of characteristic functions, images that move in turns, the learning rate."""

from types import SimpleNamespace

import pytest
import torch

from bacon.distillation.class_turns import AdamWTurn, MomentumTurn, TurnedImages
from bacon.methods.ncfm.algorithm import Characteristic, characteristic, distance
from bacon.methods.registry import METHODS
from bacon.runtime.draws import device_normal
from tests.methods.test_contract import engine_of, run, small

CPU = torch.device("cpu")


def embeddings(seed, count=9):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, count, 6, generator=generator, dtype=torch.float64)


def frequencies(count, purpose="test"):
    drawn = device_normal(0, purpose, count=count * 6, device=CPU, dtype=torch.float64)
    return drawn.view(count, 6)


def between(one, other, count=64, purpose="test", **weights):
    drawn = frequencies(count, purpose)
    weights = {"alpha": 0.5, "beta": 0.5} | weights
    return distance(characteristic(one, drawn), characteristic(other, drawn), **weights)


def test_equal_sets_have_the_least_distance():
    one = embeddings(0)
    torch.testing.assert_close(between(one, one), torch.full((2,), 0.5e-12, dtype=torch.float64).sqrt())
    assert (between(one, one[:, torch.randperm(9)]) < 1e-6).all(), "the order of the images does not matter"


def test_the_distance_is_symmetric_and_only_of_directions():
    one, other = embeddings(0), embeddings(1, count=5)
    torch.testing.assert_close(between(one, other), between(other, one))
    torch.testing.assert_close(between(one, other), between(3 * one, other))
    assert (between(one, other) > 0.05).all()


def test_more_frequencies_converge():
    one, other = embeddings(0), embeddings(1)
    exact = between(one, other, count=40_000)
    errors = [
        torch.stack([(between(one, other, count=count, purpose=f"p{turn}") - exact).abs() for turn in range(20)]).mean()
        for count in (16, 1600)
    ]
    assert errors[1] < errors[0] / 5, "a hundred times as many frequencies: a tenth of the error"


def test_a_function_of_amplitude_zero_has_a_finite_gradient():
    zero = torch.zeros(1, 3, requires_grad=True)
    found = Characteristic(real=zero, imaginary=zero)
    there = Characteristic(real=torch.ones(1, 3), imaginary=torch.zeros(1, 3))
    for alpha, beta in ((0.5, 0.5), (1.0, 0.0), (0.0, 1.0)):
        (gradient,) = torch.autograd.grad(distance(there, found, alpha=alpha, beta=beta).sum(), zero)
        assert gradient.isfinite().all()


def real(classes=3, *, whitened=False):
    scale = torch.tensor([0.5], dtype=torch.float64).view(1, 1, 1)
    return SimpleNamespace(classes=classes, is_whitened=whitened, pixel_mean=scale, pixel_std=scale / 2)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_rounds_equal_a_loop_of_steps(kind):
    """Gradients that depend on where each class is: those of its turn must be taken there."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 1, 2, 2, generator=generator, dtype=torch.float64)
    turned = TurnedImages(images, real())
    pixels = turned.pixels.clone().requires_grad_()
    if kind == "sgd":
        turn, optimiser = MomentumTurn(pixels, rate=0.1, momentum=0.5), torch.optim.SGD([pixels], lr=0.1, momentum=0.5)
    else:
        turn = AdamWTurn(pixels, rate=0.1, weight_decay=0.3)
        optimiser = torch.optim.AdamW([pixels], lr=0.1, weight_decay=0.3)
    for _ in range(3):
        turned.clamp()
        pixels.data.clamp_(0, 1)
        for _ in range(2):
            turned.approach(turn)
            turned.take(turn, 4 * turned.normalised() ** 3)
            for place in range(3):
                optimiser.zero_grad()
                (((pixels[place] - 0.5) / 0.25) ** 4).sum().backward()
                optimiser.step()
        torch.testing.assert_close(turned.pixels, pixels.detach(), rtol=0, atol=1e-12)
        turn.rate = optimiser.param_groups[0]["lr"] = turn.rate / 2


def test_whitened_images_have_no_pixels_and_no_bounds():
    images = 5 * torch.ones(3, 1, 2, 2, dtype=torch.float64)
    turned = TurnedImages(images, real(whitened=True))
    turned.clamp()
    assert torch.equal(turned.normalised(), images)


def test_the_learning_rate_is_halved_where_the_loss_no_longer_falls():
    method = METHODS["ncfm"]
    # The calibration's part of the loss is by far the larger one, so that it decides.
    engine = engine_of(method, small(method, patience=1, lr_img=1e-3, calibration_weight=1e4))
    engine.algorithm.turned.take = lambda *_: None  # nothing moves: the loss falls by chance alone
    run(engine)
    rate, best, bad = 1e-3, float("inf"), 0
    matching, calibration = (engine.history.values[:, engine.algorithm.terms.index(n)] for n in ("loss", "calibration"))
    for loss in (matching + 1e4 * calibration).tolist():
        bad, best = (0, loss) if loss < best * (1 - 1e-4) else (bad + 1, best)
        if bad > 1:
            rate, bad = rate / 2, 0
    assert rate < 1e-3
    assert engine.algorithm.turn.rate == pytest.approx(rate)


@pytest.mark.parametrize("name", ["dance", "ncfm"])
def test_the_calibrations_weight_is_that_of_its_gradient_and_not_of_the_loss_that_is_recorded(name):
    (once, loss), (thrice, same) = (
        algorithm.calibration(0, algorithm.pool.trained(0))
        for algorithm in (
            engine_of(METHODS[name], small(METHODS[name], calibration_weight=weight), dtype=torch.float64).algorithm
            for weight in (1.0, 3.0)
        )
    )
    assert once.abs().max() > 0
    torch.testing.assert_close(thrice, 3 * once)
    assert loss == same


def test_a_sampling_network_goes_on_from_its_state_and_does_not_know_chunks():
    method = METHODS["ncfm"]
    chosen = small(method, sampling="network", sampling_width=16, frequencies=64, iterations=3)
    whole, first, rest, pieces = (
        engine_of(method, chosen, dtype=torch.float64, chunk_images=size) for size in (2048, 2048, 2048, 13)
    )
    run(whole)
    run(first, 2)
    rest.load_state_dict(first.state_dict())
    run(rest)
    assert torch.equal(whole.algorithm.images, rest.algorithm.images)
    assert all(map(torch.equal, *(e.algorithm.loss.sampler.network.parameters for e in (whole, rest))))
    run(pieces)
    torch.testing.assert_close(pieces.algorithm.images, whole.algorithm.images, rtol=0, atol=1e-9)


def test_published_settings_of_ncfm_and_dance():
    dance, ncfm = METHODS["dance"], METHODS["ncfm"]
    chosen = dance.settings_model()
    assert (chosen.iterations, chosen.batch_real, chosen.batch_synthetic, chosen.partition) == (10000, 128, 200, 2)
    chosen = ncfm.settings_model()
    assert (chosen.batch_real, chosen.frequencies, chosen.weight, chosen.optimiser) == (1024, 4096, 300, "adamw")
    assert ncfm.published["cifar100", 10]["distillation"] == {"optimiser": "sgd", "lr_img": 0.01}
    # Four blocks on TinyImageNet for NCFM, three for DANCE.
    assert {key: own["network"]["depth"] for key, own in ncfm.published.items() if "network" in own} == {
        ("tinyimagenet", ipc): 4 for ipc in (1, 10, 50)
    }
    assert not dance.published
