"""MTT against its loop written from the paper, and what it refuses."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from bacon.distillation.algorithm import Context
from bacon.distillation.real_images import RealImages
from bacon.distillation.trajectories import trajectory_distance
from bacon.methods.mtt.algorithm import MTT
from bacon.methods.mtt.record import MTTSettings
from bacon.methods.registry import METHODS
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell
from bacon.settings.network import NetworkSettings
from tests.distillation.conftest import toy_dataset
from tests.methods.naive_trajectories import NaiveTrajectories
from tests.methods.trained import inputs_of

CPU = torch.device("cpu")
NETWORK = NetworkSettings(width=6, depth=2)
SMOKE = METHODS["mtt"].scales["smoke"]["distillation"]


def settings(**changes):
    return MTTSettings.model_validate(SMOKE | changes)


def context(chosen, *, network=NETWORK, dataset=None, **changes):
    data = toy_dataset() if dataset is None else dataset
    base = Context(
        cell=Cell("toy", "mtt", 2, 3),
        real=RealImages(data, device=CPU, dtype=torch.float64),
        network=network,
        inputs=inputs_of(METHODS["mtt"], chosen, NETWORK),
    )
    return replace(base, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"constant_memory": False},
        {"batch_syn": 4, "student_steps": 5, "lr_lr": 1e-6},
        {"dsa_strategy": "none", "batch_syn": 2, "student_steps": 3, "lr_lr": 1e-6},
        {"init": "noise", "max_start_epoch": 1, "expert_epochs": 2, "lr_lr": 0.0},
    ],
)
def test_steps_equal_the_naive_loop(changes):
    chosen = settings(**changes)
    given = context(chosen)
    algorithm = MTT(chosen, given)
    naive = NaiveTrajectories(given.real, chosen, NETWORK, ipc=2, seed=3, initial=algorithm.images.clone())
    for iteration in range(4):
        torch.testing.assert_close(algorithm.images, naive.iteration(iteration), rtol=0, atol=1e-9)
        algorithm.step(iteration)
        torch.testing.assert_close(algorithm.rate, naive.alpha.detach(), rtol=0, atol=1e-12)
    assert (algorithm.rate.item() == chosen.lr_student) == (chosen.lr_lr == 0)


def test_the_distance_is_one_at_the_start_and_zero_at_the_target():
    start, target = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0])
    assert float(trajectory_distance(start, start, target)) == 1
    assert float(trajectory_distance(target, start, target)) == 0
    assert float(trajectory_distance(torch.tensor([2.0, 2.0]), start, target)) == pytest.approx(4 / 5)


def test_every_expert_has_its_turn_before_any_has_another():
    chosen = settings(experts=SMOKE["experts"] | {"runs": 3})
    experts = MTT(chosen, context(chosen)).experts
    turns = [[experts.chosen(3 * turn + place) for place in range(3)] for turn in range(6)]
    assert all(sorted(turn) == [0, 1, 2] for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 1
    epochs = {experts.start_epoch(iteration, 0, 2) for iteration in range(30)}
    assert epochs == {0, 1}, "the upper end is excluded"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell": Cell("digits", "mtt", 2, 3)}, r"another data set: toy, the cell has digits"),
        ({"network": NetworkSettings(width=8, depth=2)}, r"another network: .*'width': 6.*'width': 8"),
        ({"data_fingerprint": "e" * 32}, r"another data set's content or normalisation .*dddd.*eeee"),
        ({"inputs": {}}, r"no experts are given"),
    ],
)
def test_experts_of_something_else_are_refused(changes, message):
    chosen = settings()
    with pytest.raises(BaconError, match=message):
        MTT(chosen, context(chosen, **changes))


def test_experts_without_the_epochs_of_the_window_are_refused():
    given = context(settings())
    longer = settings(max_start_epoch=4, experts={"epochs": 6})
    with pytest.raises(BaconError, match=r"each epoch up to 4, those of 3, 4 were not kept.*more epochs, or lower"):
        MTT(longer, given)


def test_experts_that_diverged_are_refused_and_those_at_chance_are_named(caplog):
    chosen = settings()
    given = context(chosen)
    runs = given.inputs["experts"]
    entry = runs.entry(1)
    runs.entry = lambda run: replace(entry, train_accuracy=0.9 if run else 0.42)
    MTT(chosen, given)
    assert "1 of 2 experts are at chance level on the training images (33.3%)" in caplog.text
    runs.entry = lambda run: replace(entry, train_loss=float("nan") if run else 1.0)
    with pytest.raises(BaconError, match=r"run 1 of the experts diverged .*lower its learning rate"):
        MTT(chosen, given)


def test_a_window_beyond_the_experts_is_refused_while_the_configuration_is_read():
    with pytest.raises(ValidationError, match=r"matching up to epoch 41 .*`experts.epochs` is 40: raise it, or lower"):
        MTTSettings.model_validate({"max_start_epoch": 40, "experts": {"epochs": 40}})
    assert MTTSettings.model_validate({"max_start_epoch": 39, "experts": {"epochs": 40}}).last_start_epoch() == 38


def test_the_naive_form_says_what_helps_where_memory_ends(monkeypatch):
    chosen = settings(constant_memory=False)
    algorithm = MTT(chosen, context(chosen))
    monkeypatch.setattr(algorithm, "trained", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError))
    with pytest.raises(BaconError, match=r"graphs of 2 steps do not fit.*constant_memory: true"):
        algorithm.step(0)


def test_the_naive_form_is_tried_again_when_others_on_the_device_have_made_way(monkeypatch):
    chosen = settings(constant_memory=False)
    algorithm, alone, asked = MTT(chosen, context(chosen)), MTT(chosen, context(chosen)), []
    trained = algorithm.trained

    def full(*given):
        if not asked:
            raise torch.OutOfMemoryError("no room")
        return trained(*given)

    monkeypatch.setattr(algorithm, "trained", full)
    algorithm.context.memory.make_way = lambda: not asked and asked.append(1) is None
    algorithm.step(0)
    alone.step(0)
    assert asked == [1]
    assert torch.equal(algorithm.images, alone.images)


def test_the_learned_rate_is_part_of_the_set():
    chosen = settings()
    algorithm = MTT(chosen, context(chosen))
    algorithm.step(0)
    assert algorithm.synthetic().rates.tolist() == pytest.approx([float(algorithm.rate)])
