"""BEARD's numbers by hand; the attacks on a linear model, in pixels, within their bounds, and the same each time."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from bacon.downstream.pixel_network import PixelNetwork, pixels_at
from bacon.downstream.robustness.beard_metrics import (
    attack_efficiency,
    robustness_efficiency_index,
    robustness_ratio,
)
from bacon.downstream.robustness.record import ROBUSTNESS, RobustnessSettings, columns, notes
from bacon.training.image_set import ImageSet
from tests.downstream.packages import needs
from tests.downstream.toy_cells import context, selection

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
CPU = torch.device("cpu")


def test_robustness_ratio_by_hand():
    """Clean 80 %; attacks leave 40, 20 and 60 %: they take 40 points on average, 60 at most."""
    assert robustness_ratio(0.8, [0.4, 0.2, 0.6]) == pytest.approx(1 - 0.4 / 0.6)
    assert robustness_ratio(0.8, [0.3]) == 0.0
    assert robustness_ratio(0.8, [0.8, 0.8]) is None
    with pytest.raises(ValueError, match="percentages"):
        robustness_ratio(80, [40])


def test_robustness_ratio_is_beards_own_number():
    """Of its log of BACON, CIFAR-10, IPC 50, untargeted: clean 69.95, FGSM, PGD, PGD-L2, DeepFool, C&W, AutoAttack."""
    attacked = [38.16, 28.86, 50.80, 18.28, 8.31, 27.00]
    found = robustness_ratio(0.6995, [value / 100 for value in attacked])
    assert found == pytest.approx(1 - (69.95 - sum(attacked) / 6) / (69.95 - 8.31))


def test_attack_efficiency_and_index_by_hand():
    """Testing takes 1 s; attacks 3, 5 and 11 s."""
    assert attack_efficiency(1.0, [3.0, 5.0, 11.0]) == pytest.approx((19 / 3 - 1) / 10)
    assert attack_efficiency(4.0, [4.0, 3.0]) is None
    assert robustness_efficiency_index(0.2, 0.6) == pytest.approx(0.4)
    assert robustness_efficiency_index(0.2, 0.6, alpha=0.75) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="alpha"):
        robustness_efficiency_index(0.2, 0.6, alpha=2)


def linear():
    """A linear network on normalised images of 3x4x4 pixels, with weights that are drawn."""
    generator = torch.Generator().manual_seed(3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 5))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 7)
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 4, 4), dtype=np.uint8)
    data = ImageSet.of_uint8(images, np.arange(12) % 5, mean=MEAN, std=STD, device=CPU)
    return network, PixelNetwork(network.requires_grad_(False), data), pixels_at(data, torch.arange(12)), data.labels


def test_a_pixel_network_normalises_as_the_test_set_is():
    network, pixel, pixels, _ = linear()
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    torch.testing.assert_close(pixel(pixels), network((pixels - mean) / std))


def test_fgsm_on_a_linear_model_is_the_closed_form():
    """The gradient by a pixel is ``W^T (p - onehot) / std``; each pixel goes epsilon along its sign, in [0, 1]."""
    needs("torchattacks")
    from bacon.downstream.robustness.algorithm import made_attack

    network, pixel, pixels, labels = linear()
    epsilon = 20 / 255
    found = made_attack("fgsm", epsilon, RobustnessSettings(), pixel, 5, 0)(pixels, labels)
    error = pixel(pixels).softmax(dim=1) - nn.functional.one_hot(labels, 5)
    gradient = (error @ network[1].weight).view_as(pixels) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(found, (pixels + epsilon * gradient.sign()).clamp(0, 1), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["pgd", "autoattack"])
def test_attacks_stay_in_their_bounds_and_repeat_to_the_bit(name):
    needs("torchattacks")
    from bacon.downstream.robustness.algorithm import made_attack, seeded

    _, pixel, pixels, labels = linear()
    before, found = torch.get_rng_state(), []
    for _ in range(2):
        torch.rand(3)  # whatever was drawn before
        with seeded(5, CPU):
            found.append(made_attack(name, 8 / 255, RobustnessSettings(), pixel, 5, 7)(pixels, labels).detach())
    assert torch.equal(*found)
    assert float((found[0] - pixels).abs().max()) <= 8 / 255 + 1e-6
    assert float(found[0].min()) >= 0
    assert float(found[0].max()) <= 1
    assert bool((pixel(found[0]).argmax(dim=1) == labels).sum() <= (pixel(pixels).argmax(dim=1) == labels).sum())
    torch.set_rng_state(before)


def test_a_published_protocol_gives_way_to_what_is_said_beside_it():
    beard = RobustnessSettings(protocol="beard", steps=3)
    assert (beard.epsilons, beard.steps, beard.random_start) == ((8 / 255,), 3, False)
    bench = RobustnessSettings(protocol="dd-robustbench")
    assert bench.seeds == 5
    pairs = list(bench.pairs())
    assert ("autoattack", 3 / 255) in pairs
    assert ("pgd", 3 / 255) not in pairs
    assert ("autoattack", 8 / 255) not in pairs
    titles = [column.title for column in columns(bench)]
    assert "PGD 8/255 (%)" in titles
    assert "RR 8/255 (%)" in titles
    assert "RR 3/255 (%)" not in titles


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, ""),
        ({"steps": 4}, ""),  # exactly 8/255
        ({"epsilons": [0.024], "steps": 10, "step_size": 0.0024}, ""),  # 0.024 but for rounding
        (
            {"steps": 3},
            r"3 steps of 2/255 move a pixel by 6/255 at most from where it begins, less than epsilon 8/255:",
        ),
        (
            {"epsilons": [1 / 255, 2 / 255, 4 / 255], "steps": 1, "step_size": 1 / 255},
            r"less than epsilon 2/255, 4/255:",
        ),
        ({"steps": 3, "attacks": ["fgsm"]}, ""),
        ({"steps": 3, "epsilons": [6 / 255], "autoattack_epsilons": [8 / 255]}, ""),  # pgd is not run with 8/255
    ],
)
def test_steps_that_cannot_reach_the_bound_are_told_below_the_table(changes, missed):
    *_, last = notes(RobustnessSettings(**changes))
    assert ("move a pixel" in last) == bool(missed)
    assert re.search(missed, last)


def test_steps_that_cannot_reach_the_bound_are_told_in_the_log(tmp_path, caplog):
    needs("torchattacks")
    from bacon.downstream.robustness.algorithm import Robustness

    given = context(tmp_path, synthetic=selection())
    Robustness(RobustnessSettings(steps=4), given)
    assert not caplog.records
    Robustness(RobustnessSettings(steps=3), given)
    (record,) = caplog.records
    # Nothing of the network, so that the run's last lines can say it once for all jobs.
    assert record.getMessage().startswith(
        "PGD: 3 steps of 2/255 move a pixel by 6/255 at most from where it begins, less than epsilon 8/255"
    )


def test_accuracies_are_those_of_the_attacked_images(tmp_path):
    """Every pixel of the toy set may go to 0 or 1 under an epsilon of 1: nothing is left, and RR says that both are equal."""
    needs("torchattacks")
    from bacon.downstream.robustness.algorithm import Robustness

    settings = RobustnessSettings(
        attacks=("fgsm", "pgd"), epsilons=(1e-6, 1.0), step_size=0.5, test_images=20, alpha=0.25
    )
    found = Robustness(settings, context(tmp_path, synthetic=selection())).measure(0)
    values = {(one.metric, one.condition, one.at): one.value for one in found.measurements}
    clean = values["accuracy", "", None]
    assert clean > 0.8
    assert found.details["test_images"] == 20
    for attack in ("fgsm", "pgd", "worst"):
        assert values["robust_accuracy", attack, 1e-6] == clean
        assert values["robust_accuracy", attack, 1.0] < 0.3
    assert values["robust_accuracy", "worst", 1.0] <= min(
        values["robust_accuracy", name, 1.0] for name in ("fgsm", "pgd")
    )
    assert ("rr", "", 1e-6) not in values, "no attack lowers the accuracy"
    seconds = [found.details["seconds"][f"{attack} 1"] for attack in ("fgsm", "pgd")]
    efficiency = attack_efficiency(found.details["clean_seconds"], seconds)
    assert values.get(("ae", "", 1.0)) == efficiency
    ratio = values["rr", "", 1.0]
    assert ratio == robustness_ratio(clean, [values["robust_accuracy", attack, 1.0] for attack in ("fgsm", "pgd")])
    expected = None if efficiency is None else pytest.approx(0.25 * ratio + 0.75 * efficiency)
    assert values.get(("crei", "", 1.0)) == expected


def test_a_missing_package_is_named_with_what_to_install(monkeypatch):
    from bacon.downstream import base
    from bacon.runtime.errors import BaconError

    monkeypatch.setattr(base, "find_spec", lambda _: None)
    with pytest.raises(BaconError, match=r"needs the package torchattacks.*pip install --no-deps torchattacks"):
        ROBUSTNESS.check_packages()
