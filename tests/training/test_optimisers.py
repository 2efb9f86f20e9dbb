"""Optimisers and schedules against torch.optim, clipping and sharpness-aware steps against plain formulas."""

from __future__ import annotations

import math

import pytest
import torch

from bacon.runtime.pieces import in_pieces, pieces_of
from bacon.settings.recipe import AdamSettings, SgdSettings, Sharpness, TrainingRecipe
from bacon.training import sgd
from bacon.training.gradients import clipped, sharpness_aware
from bacon.training.optimisers import make_optimiser
from bacon.training.schedules import forgets_momentum, rate
from bacon.training.sgd import Sgd

SHAPES = [(3, 2, 3, 3), (3,), (4, 6)]


def weights(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, dtype=dtype, generator=generator).requires_grad_() for shape in SHAPES]


def gradients(step, dtype=torch.float64):
    generator = torch.Generator().manual_seed(100 + step)
    return [torch.randn(shape, dtype=dtype, generator=generator) for shape in SHAPES]


CASES = {
    "sgd": (
        SgdSettings(momentum=0.9),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=5e-4, fused=True),
    ),
    "plain sgd": (
        SgdSettings(momentum=0, weight_decay=0),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0, weight_decay=0, fused=True),
    ),
    "nesterov": (
        SgdSettings(momentum=0.8, nesterov=True, weight_decay=0.01),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01, fused=True),
    ),
    "adam": (
        AdamSettings(kind="adam", betas=(0.5, 0.99), weight_decay=0.01),
        lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.5, 0.99), weight_decay=0.01, fused=True),
    ),
    "adamw": (
        AdamSettings(kind="adamw", weight_decay=0.05),
        lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.05, fused=True),
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_those_of_torch_optim(name, dtype):
    settings, reference = CASES[name]
    ours, theirs = weights(dtype), weights(dtype)
    optimiser, other = make_optimiser(settings, ours, 0.1), reference(theirs)
    for step in range(5):
        if step == 3:  # a schedule's new rate
            optimiser.lr = other.param_groups[0]["lr"] = 0.02
        optimiser.step(gradients(step, dtype))
        for parameter, gradient in zip(theirs, gradients(step, dtype), strict=True):
            parameter.grad = gradient
        other.step()
    for mine, their in zip(ours, theirs, strict=True):
        assert torch.equal(mine, their)


@pytest.mark.parametrize("name", CASES)
def test_an_optimiser_goes_on_from_its_state_and_leaves_the_state_alone(name):
    settings, _ = CASES[name]
    whole, first = weights(), weights()
    optimiser, part = make_optimiser(settings, whole, 0.1), make_optimiser(settings, first, 0.1)
    for step in range(3):
        part.step(gradients(step))
    state = part.state_dict()
    kept = {key: [None if value is None else value.clone() for value in values] for key, values in state.items()}
    second = [parameter.detach().clone().requires_grad_() for parameter in first]
    resumed = make_optimiser(settings, second, 0.1)
    resumed.load_state_dict(state)
    for step in range(6):
        optimiser.step(gradients(step))
        if step >= 3:
            resumed.step(gradients(step))
    for mine, other in zip(whole, second, strict=True):
        assert torch.equal(mine, other)
    for key, values in state.items():
        for value, before in zip(values, kept[key], strict=True):
            assert value is None or torch.equal(value, before)


def of(kind, **keys):
    return TrainingRecipe(epochs=1, schedule={"kind": kind, **keys}).schedule


def theirs(make, units):
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler, rates = make(optimiser), []
    for _ in range(units):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("units", [1, 2, 7, 30, 300])
def test_schedules_are_those_of_torch_optim(units):
    schedulers = torch.optim.lr_scheduler
    rise = min(3, units // 2)
    cases = {
        of("constant"): lambda o: schedulers.ConstantLR(o, factor=1.0),
        of("multistep", factor=0.2): lambda o: schedulers.MultiStepLR(o, [2 * units // 3, 5 * units // 6], gamma=0.2),
        of("multistep", milestones=(0.2, 0.4, 0.6, 0.8), factor=0.5): lambda o: schedulers.MultiStepLR(
            o, [units * share // 5 for share in (1, 2, 3, 4)], gamma=0.5
        ),
        of("cosine"): lambda o: schedulers.LambdaLR(o, lambda e: 0.5 * (1 + math.cos(math.pi * e / units))),
        of("half_cosine"): lambda o: schedulers.LambdaLR(o, lambda e: 0.5 * (1 + math.cos(math.pi * e / (2 * units)))),
        of("warmup_cosine", warmup=3, last=0.02): lambda o: (
            schedulers.SequentialLR(
                o,
                [
                    schedulers.LambdaLR(o, lambda e: e / max(rise, 1)),
                    schedulers.CosineAnnealingLR(o, units - rise, eta_min=0.02 * 0.3),
                ],
                [rise],
            )
            if rise
            else schedulers.CosineAnnealingLR(o, units, eta_min=0.02 * 0.3)
        ),
    }
    for schedule, make in cases.items():
        ours = [rate(schedule, 0.3, unit, units) for unit in range(units)]
        assert ours == pytest.approx(theirs(make, units), rel=1e-12)
        assert not any(forgets_momentum(schedule, unit, units) for unit in range(units))


@pytest.mark.parametrize(("units", "first_low"), [(1001, 502), (301, 152), (7, 5), (4, 3), (3, None), (1, None)])
def test_the_drop_comes_once_after_half_the_epochs_and_forgets_momentum(units, first_low):
    """Published: E = 1000 of 0..E; after epoch E // 2 + 1 a new optimiser with a tenth of the rate."""
    rates = [rate(of("drop"), 0.5, unit, units) for unit in range(units)]
    assert rates == [0.5 * 0.1 if first_low is not None and unit >= first_low else 0.5 for unit in range(units)]
    forgetting = [unit for unit in range(units) if forgets_momentum(of("drop"), unit, units)]
    assert forgetting == ([] if first_low is None else [first_low])


@pytest.mark.parametrize("largest", [0.5, 5.0, 1e6])
def test_clipping_is_that_of_torch(largest):
    parameters = weights()
    for parameter, gradient in zip(parameters, gradients(0), strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(parameters, largest)
    for ours, parameter in zip(clipped(tuple(gradients(0)), largest), parameters, strict=True):
        torch.testing.assert_close(ours, parameter.grad, rtol=1e-12, atol=0)


def loss_of(parameters):
    return sum((parameter.sin() * parameter**2).sum() * (i + 1) for i, parameter in enumerate(parameters))


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("gap", [0.0, 0.3])
def test_sharpness_aware_gradients_follow_the_two_steps_written_out(adaptive, gap):
    rho = 0.07
    parameters = weights()
    before = [parameter.detach().clone() for parameter in parameters]

    def gradient():
        return torch.autograd.grad(loss_of(parameters), parameters)

    found = sharpness_aware(Sharpness(rho=rho, adaptive=adaptive, gap=gap), parameters, gradient(), gradient)
    for parameter, kept in zip(parameters, before, strict=True):
        assert torch.equal(parameter, kept)
    # Naive: all weights as one vector.
    flat = torch.cat([kept.flatten() for kept in before]).requires_grad_()

    def of_flat(vector):
        parts = vector.split([kept.numel() for kept in before])
        loss = loss_of([part.view_as(kept) for part, kept in zip(parts, before, strict=True)])
        return torch.autograd.grad(loss, vector)[0]

    first = of_flat(flat)
    scale = flat.detach().abs() if adaptive else torch.ones_like(first)
    step = rho * scale**2 * first / (scale * first).norm()
    second = of_flat((flat.detach() + step).requires_grad_())
    orthogonal = first - (first @ second) / (second @ second) * second
    expected = second - gap * orthogonal
    torch.testing.assert_close(torch.cat([part.flatten() for part in found]), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_an_update_in_pieces_has_the_bits_of_the_whole_one(monkeypatch, nesterov):
    def moved():
        shapes = [(40, 3, 3, 3), (130, 33, 3, 3), (130,), (10, 4099)]
        generator = torch.Generator().manual_seed(1)
        parameters = [torch.randn(shape, generator=generator) for shape in shapes]
        parameters[1] = parameters[1].to(memory_format=torch.channels_last)
        optimiser = Sgd(parameters, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=nesterov)
        optimiser.fill_momenta()
        for _ in range(4):
            optimiser.step([torch.randn(shape, generator=generator) for shape in shapes])
        return [*parameters, *optimiser.momenta()]

    whole, pieces = moved(), []
    monkeypatch.setattr(Sgd, "_in_pieces", lambda _: True)
    monkeypatch.setattr(sgd, "in_pieces", lambda *given: pieces.append(in_pieces(*given)) or pieces[-1])
    for one, other in zip(moved(), whole, strict=True):
        assert torch.equal(one, other)
    assert len(pieces[0]) > 4


@pytest.mark.parametrize(
    ("sizes", "expected"), [([10], 8192), ([3456, 147456, 147456, 20480, *[128] * 9, 10], 9216), ([8192 * 49], 9216)]
)
def test_pieces_are_as_small_as_the_fewest_launches_let_them_be(sizes, expected):
    assert pieces_of(sizes) == expected
