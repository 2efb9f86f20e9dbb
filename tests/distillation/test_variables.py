"""Variables move as PyTorch's optimisers move them, resume to the bit, and make the synthetic set."""

import io

import pytest
import torch

from bacon.distillation.variables import AdamUpdate, MomentumUpdate, Variable, Variables
from bacon.runtime.errors import BaconError

UPDATES = {
    "sgd": (lambda: MomentumUpdate(0.3), lambda x: torch.optim.SGD([x], lr=0.3)),
    "momentum": (lambda: MomentumUpdate(0.3, momentum=0.5), lambda x: torch.optim.SGD([x], lr=0.3, momentum=0.5)),
    "adam": (
        lambda: AdamUpdate(0.3, betas=(0.5, 0.999)),
        lambda x: torch.optim.Adam([x], lr=0.3, betas=(0.5, 0.999)),
    ),
}


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def variables():
    return Variables(
        classes=torch.tensor([0, 1]),
        images=Variable(drawn(2, 1, 4, 4), MomentumUpdate(0.3, momentum=0.5)),
        labels=Variable(drawn(2, 3, seed=1), MomentumUpdate(2.0, momentum=0.9)),
        label_kind="logits",
        rates=Variable(torch.full((), 0.02, dtype=torch.float64), AdamUpdate(1e-3)),
        own={"scale": Variable(drawn(5, seed=2), AdamUpdate(0.1)), "fixed": Variable(drawn(2, seed=3), None)},
    )


def step(ones, number):
    ones.step({name: drawn(*leaf.shape, seed=10 + number) for name, leaf in ones.leaves().items()})


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("shape", [(3, 2), ()])
def test_updates_are_those_of_pytorch(name, shape):
    make, reference = UPDATES[name]
    x = drawn(*shape).requires_grad_()
    variable, theirs = Variable(x.detach().clone(), make()), reference(x)
    for number in range(4):
        if number == 2:  # a schedule
            variable.update.rate = theirs.param_groups[0]["lr"] = 0.1
        x.grad = drawn(*shape, seed=number + 1)
        variable.update.step(variable.values, x.grad)
        theirs.step()
        torch.testing.assert_close(variable.values, x.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("at", [0, 1, 3])
def test_they_resume_to_the_bit(at):
    whole, first, rest = variables(), variables(), variables()
    for number in range(5):
        step(whole, number)
    for number in range(at):
        step(first, number)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    rest.load_state_dict(torch.load(file, weights_only=True))
    file.seek(0)
    again = torch.load(file, weights_only=True)
    for number in range(at, 5):
        step(rest, number)
    assert whole.all.keys() == rest.all.keys() == again.keys()
    for name, each in whole.all.items():
        assert torch.equal(each.values, rest.all[name].values), name
    assert not torch.equal(whole.images.values, variables().images.values)


def test_a_leaf_shares_memory_and_takes_a_gradient():
    ones = variables()
    leaves = ones.leaves()
    assert set(leaves) == {"images", "labels", "rates", "scale"}, "what has no optimiser stays"
    assert all(leaf.requires_grad and leaf.is_leaf for leaf in leaves.values())
    assert leaves["images"].data_ptr() == ones.images.values.data_ptr()


def test_values_stay_at_or_above_their_minimum():
    variable = Variable(torch.tensor([0.5, 2.0]), MomentumUpdate(1.0), minimum=0.1)
    variable.step(torch.ones(2))
    assert variable.values.tolist() == pytest.approx([0.1, 1.0])


def test_the_synthetic_set_has_every_part():
    ones = variables()
    synthetic = ones.synthetic()
    assert synthetic.rates.tolist() == pytest.approx([0.02])
    assert synthetic.soft_kind == "logits"
    assert torch.equal(synthetic.soft, ones.labels.values.float())
    assert torch.equal(synthetic.images, ones.images.values.float())


@pytest.mark.parametrize("value", [0.0, -0.1, float("nan"), float("inf")])
def test_a_learning_rate_that_is_not_above_zero_is_refused(value):
    ones = variables()
    ones.rates.values.fill_(value)
    with pytest.raises(BaconError, match=r"learned learning rates.*above 0.*lower.*lr_lr"):
        ones.synthetic()
