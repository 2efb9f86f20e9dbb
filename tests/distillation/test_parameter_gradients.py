"""Gradients of the parameters, class by class and together, and DC's distance between them."""

import pytest
import torch
import torch.nn.functional as F

from bacon.distillation import parameter_gradients as module
from bacon.distillation.gradient_distance import gradient_distance, image_gradient
from bacon.distillation.parameter_gradients import (
    is_groupable,
    matched_parameters,
    parameter_gradients,
    summed_in_pieces,
)
from bacon.networks import grouped_weights
from bacon.networks.build import build_network
from bacon.settings.network import NetworkSettings

CPU = torch.device("cpu")
# A group may hold several classes; 18 images are more than go through a network together on a CPU.
LABELS = torch.tensor([[2, 2, 2], [0, 0, 0], [1, 2, 0], [1, 1, 1], [0, 0, 1], [2, 0, 2]])
GROUPS = len(LABELS)


def network_of(size=8, dtype=torch.float64, **settings):
    if "architecture" not in settings:
        settings = {"width": 4, "depth": 2} | settings
    return build_network(
        NetworkSettings(**settings), channels=2, size=size, classes=3, seed=0, device=CPU, dtype=dtype
    ).eval()


def images_of(each=3, size=8, dtype=torch.float64, seed=0):
    return torch.randn(GROUPS, each, 2, size, size, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def one_by_one(network, parameters, images, labels, **keywords):
    """Written out: a pass for each group."""
    each = [
        torch.autograd.grad(F.cross_entropy(network(some), classes), parameters, **keywords)
        for some, classes in zip(images, labels, strict=True)
    ]
    return [torch.stack(of_groups) for of_groups in zip(*each, strict=True)]


GROUPABLE = {
    "convnet": {},
    "first-block": {"size": 16},  # large enough for the pass that the first block has of its own
    "batch-norm": {"norm": "batch"},
    "max-pool": {"norm": "none", "pooling": "max"},
    "mlp": {"architecture": "mlp"},
    "lenet": {"architecture": "lenet", "size": 16},
}


@pytest.mark.usefixtures("_groups_of_either_size")
@pytest.mark.parametrize("settings", GROUPABLE.values(), ids=GROUPABLE)
def test_small_groups_share_a_pass_and_get_their_own_gradients(settings, monkeypatch):
    network, images = network_of(**settings), images_of(size=settings.get("size", 8))
    parameters = matched_parameters(network)
    expected = one_by_one(network, parameters, images, LABELS)
    assert is_groupable(network, parameters)
    monkeypatch.setattr(module, "_of_one_group", None)
    found = parameter_gradients(network, parameters, images, LABELS)
    for ours, theirs, parameter in zip(found, expected, parameters, strict=True):
        assert ours.shape == (GROUPS, *parameter.shape)
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.fixture(params=[64, 2], ids=["groups of one convolution", "a convolution for each group"])
def _groups_of_either_size(request, monkeypatch):
    monkeypatch.setattr(grouped_weights, "_MOST_SIDE_BY_SIDE", request.param)


@pytest.mark.usefixtures("_groups_of_either_size")
@pytest.mark.parametrize("settings", [GROUPABLE["convnet"], GROUPABLE["first-block"]], ids=["convnet", "first-block"])
def test_gradients_taken_together_have_the_same_derivatives(settings):
    network, size = network_of(**settings), settings.get("size", 8)
    parameters, images = matched_parameters(network), images_of(size=size).requires_grad_()
    towards = [torch.randn(GROUPS, *each.shape, dtype=each.dtype) for each in parameters]

    def derivative(gradients):
        return torch.autograd.grad(sum((a * b).sum() for a, b in zip(towards, gradients, strict=True)), images)[0]

    ours = derivative(parameter_gradients(network, parameters, images, LABELS, create_graph=True))
    theirs = derivative(one_by_one(network, parameters, images, LABELS, create_graph=True))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_where_a_pass_cannot_be_shared_there_is_one_for_each_group():
    """Norms' own parameters are no weights of a layer; batch norm in training mixes the images of a batch."""
    network, images = network_of(), images_of()
    everything = list(network.parameters())
    assert not is_groupable(network, everything)
    assert not is_groupable(network_of(norm="batch").train(), [])
    found = parameter_gradients(network, everything, images, LABELS)
    for ours, theirs in zip(found, one_by_one(network, everything, images, LABELS), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_in_bfloat16_grouped_gradients_are_those_of_each_group():
    network, images = network_of(dtype=torch.float32, size=16), images_of(dtype=torch.float32, size=16)
    network.precision = "bf16"
    parameters = matched_parameters(network)
    found = parameter_gradients(network, parameters, images, LABELS)
    for ours, theirs in zip(found, one_by_one(network, parameters, images, LABELS), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0.02 * float(theirs.abs().max()))


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 100])
def test_images_at_a_time_change_rounding_only(at_once):
    network, images = network_of(), images_of()
    parameters = matched_parameters(network)
    found = summed_in_pieces(network, parameters, images, LABELS, at_once=at_once)
    for ours, theirs in zip(found, one_by_one(network, parameters, images, LABELS), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


# The distance


def rows(*values):
    """A gradient of one group, (1, rows, columns)."""
    return torch.tensor(values, dtype=torch.float64)[None]


@pytest.mark.parametrize(
    ("other", "expected"),
    [((2.0, 0.0), 0.0), ((0.0, 3.0), 1.0), ((-1.0, 0.0), 2.0), ((0.0, 0.0), 1.0)],
    ids=["parallel", "orthogonal", "opposite", "zero"],
)
def test_the_distance_of_a_row_is_one_minus_the_cosine(other, expected):
    assert float(gradient_distance([rows((1.0, 0.0))], [rows(other)])) == pytest.approx(expected, abs=2e-6)


def test_the_distance_adds_output_units_and_leaves_out_parameters_of_one_dimension():
    one = [
        torch.randn(2, 3, 2, 3, 3, dtype=torch.float64),
        torch.randn(2, 3, dtype=torch.float64),
        torch.randn(2, 4, 5),
    ]
    other = [torch.randn_like(each) for each in one]
    expected = torch.zeros(2, dtype=torch.float64)
    for group in range(2):
        for a, b in ((one[0], other[0]), (one[2], other[2])):
            for row, against in zip(a[group].flatten(1), b[group].flatten(1), strict=True):
                expected[group] += 1 - torch.dot(row, against) / (row.norm() * against.norm() + 1e-6)
    torch.testing.assert_close(gradient_distance(one, other).double(), expected, rtol=1e-6, atol=1e-6)


def test_a_row_of_zeros_has_a_finite_derivative():
    zero = torch.zeros(1, 1, 4, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(gradient_distance([rows((1.0, 2.0, 0.0, 0.0))], [zero]).sum(), zero)
    assert found.isfinite().all()


@pytest.mark.parametrize(("together", "limit"), [(1, 100), (6, 100), (100, 100), (100, 2), (100, 1)])
def test_the_derivative_of_the_distance_does_not_depend_on_what_is_computed_together(together, limit):
    network, images = network_of(), images_of()
    parameters = matched_parameters(network)
    real = one_by_one(network, parameters, images_of(each=5, seed=1), LABELS[:, :1].expand(GROUPS, 5))
    leaf = images.clone().requires_grad_()
    found = one_by_one(network, parameters, leaf, LABELS, create_graph=True)
    expected = gradient_distance(real, found)
    (derivative,) = torch.autograd.grad(expected.sum(), leaf)
    distances, gradient = image_gradient(network, parameters, images, LABELS, real, together=together, limit=limit)
    torch.testing.assert_close(distances, expected.detach())
    torch.testing.assert_close(gradient, derivative, rtol=1e-8, atol=1e-12)
