"""The kernel of a step's cross-entropy: interpreted on the CPU, compiled for a GPU that is not here, run where there is one."""

import copy

import pytest
import torch
import torch.nn.functional as F

from bacon.networks.build import build_network
from bacon.settings.network import NetworkSettings
from bacon.training import cross_entropy_gpu
from bacon.training.recipe_loss import hard_cross_entropy
from bacon.training.sgd import Sgd
from bacon.training.steps import PlainStep, StaticStep
from tests.triton_kernels import (
    check_compiled,
    check_interpreted,
    logged_where_it_cannot_be_compiled,
    needs_triton,
    on_a_gpu,
)

COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from bacon.training import cross_entropy_triton as kernels

types = {"labels": "*i64", "totals": "*fp64", "correct": "*u8", "count": "i32", "classes": "i32"}
for function, constants in (
    (kernels._rows, {"ROWS": 256, "CLASSES": 16, "ALONE": True, "COUNTED": True}),
    (kernels._rows, {"ROWS": 8, "CLASSES": 256, "ALONE": False, "COUNTED": True}),
    (kernels._rows, {"ROWS": 8, "CLASSES": 256, "ALONE": False, "COUNTED": False}),
    (kernels._summed, {"PLACES": 1024}),
):
    signature = {name: "constexpr" if name in constants else types.get(name, "*fp32") for name in function.arg_names}
    source = ASTSource(fn=function, signature=signature, constexprs=constants)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 8})
    assert made.asm["cubin"], function
"""


@needs_triton
def test_the_interpreted_kernel_equals_the_operations():
    check_interpreted("tests.training.cross_entropy_on_gpu")


@needs_triton
def test_the_kernel_compiles_for_a_gpu(tmp_path):
    check_compiled(COMPILE, tmp_path)


@pytest.mark.usefixtures("forgotten_kernels")
def test_where_it_cannot_be_compiled_one_line_says_so(monkeypatch, caplog):
    logged_where_it_cannot_be_compiled(monkeypatch, caplog, cross_entropy_gpu, lambda: cross_entropy_gpu.gpu_kernel(10))


def in_place_of_the_kernel(calls):
    """What the kernel computes, by PyTorch's operations."""

    def gradient_and_correct(logits, labels, totals):
        calls.append(len(labels))
        logits = logits.clone().requires_grad_()
        with torch.enable_grad():
            loss = F.cross_entropy(logits, labels)
        correct = logits.argmax(dim=1) == labels
        if totals is not None:
            totals += torch.stack([loss.detach().double() * len(labels), correct.sum().double()])
        return torch.autograd.grad(loss, logits)[0], correct

    return gradient_and_correct


@pytest.mark.parametrize("kind", [PlainStep, StaticStep])
@pytest.mark.parametrize("counts", [True, False])
def test_steps_by_the_kernel_are_those_by_the_operations(monkeypatch, kind, counts):
    generator = torch.Generator().manual_seed(0)
    start = build_network(
        NetworkSettings(width=8, depth=2), channels=2, size=8, classes=3, seed=0, device=torch.device("cpu")
    )
    batches = [
        (torch.randn(9, 2, 8, 8, generator=generator), torch.randint(3, (9,), generator=generator)) for _ in range(3)
    ]

    def trained():
        network = copy.deepcopy(start)
        optimiser = Sgd(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        step = kind(network, optimiser) if kind is PlainStep else kind(network, optimiser, record=False)
        if counts:
            step.count()
        for batch in batches:
            step(*batch)
        return [*network.state_dict().values(), step.totals, step.correct]

    expected, calls = trained(), []
    monkeypatch.setattr(cross_entropy_gpu, "takes_kernel", lambda _: True)
    monkeypatch.setattr(cross_entropy_gpu, "gradient_and_correct", in_place_of_the_kernel(calls))
    for found, other in zip(trained(), expected, strict=True):
        assert torch.equal(found, other)
    assert calls == [9, 9, 9]


def test_other_losses_and_mixed_images_do_not_go_through_the_kernel(monkeypatch):
    monkeypatch.setattr(cross_entropy_gpu, "takes_kernel", lambda _: True)
    monkeypatch.setattr(cross_entropy_gpu, "gradient_and_correct", None)
    network = build_network(
        NetworkSettings(width=8, depth=2), channels=2, size=8, classes=3, seed=0, device=torch.device("cpu")
    )
    images, labels = torch.randn(4, 2, 8, 8), torch.tensor([0, 1, 2, 0])
    before = network.classifier.bias.detach().clone()
    for loss, mixed in (
        (hard_cross_entropy, F.one_hot(labels).float()),
        (lambda *given: hard_cross_entropy(*given), None),
    ):
        PlainStep(network, Sgd(network.parameters(), lr=0.1, momentum=0.0, weight_decay=0.0), loss=loss)(
            images, labels, mixed
        )
    assert not torch.equal(network.classifier.bias, before)


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("size", [(7, 3), (256, 10), (300, 33), (2048, 10), (256, 200), (17, 1000)])
    def test_the_kernel_equals_the_operations(self, size):
        from tests.training import cross_entropy_on_gpu

        cross_entropy_on_gpu.check(torch.device("cuda"), *size)

    def test_ties_and_nan(self):
        from tests.training import cross_entropy_on_gpu

        cross_entropy_on_gpu.check_ties_and_nan(torch.device("cuda"))
