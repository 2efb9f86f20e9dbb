"""The kernel of SGD's update, and the gradients that it reads: interpreted, compiled for a GPU that is not here, and run."""

import copy
from collections import Counter
from fractions import Fraction

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bacon.networks.build import build_network
from bacon.settings.network import NetworkSettings
from bacon.training import sgd_gpu
from bacon.training.recipe_loss import hard_cross_entropy
from bacon.training.sgd import Sgd
from bacon.training.steps import PlainStep, StaticStep
from tests.emulated_gpu.tensors import EmulatedGpu
from tests.training import test_steps
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
from bacon.training import sgd_triton as kernels

names = kernels._update.arg_names
sizes = (3456, 128, 130, 147456, 10)
kinds = {"parameters": ["*fp32"] * 5, "gradients": ["*fp32", None, "*bf16", "*bf16", "*fp32"], "momenta": ["*fp32"] * 5}
for factors in (
    {"DECAY": 5e-4, "MOMENTUM": 0.9, "NESTEROV": False},
    {"DECAY": 0.0, "MOMENTUM": 0.5, "NESTEROV": True},
):
    values = {"SIZES": sizes, "NUMBERS": kernels._NUMBERS, **factors}
    signature = {name: tuple(kind or "constexpr" for kind in kinds[name]) if name in kinds else "*fp32" for name in names}
    signature |= dict.fromkeys(values, "constexpr")
    constants = {(names.index(name),): value for name, value in values.items()}
    constants |= {(names.index("gradients"), 1): None}
    whole = [["tt.divisibility", 16]]
    aligned = {(names.index(name), place): whole for name in kinds for place in range(5) if kinds[name][place]}
    source = ASTSource(fn=kernels._update, signature=signature, constexprs=constants, attrs=aligned)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": kernels._WARPS})
    assert made.asm["cubin"]
    assert "fma.rn.f64" in made.asm["ptx"], "in float64, as PyTorch's"
    assert "ld.global.v4.b32" in made.asm["ptx"] or "ld.global.v4.f32" in made.asm["ptx"], "four numbers at once"
"""

BATCHES = 3


@needs_triton
def test_the_interpreted_kernel_equals_the_formula():
    check_interpreted("tests.training.sgd_on_gpu")


@needs_triton
def test_the_kernel_compiles_for_a_gpu(tmp_path):
    check_compiled(COMPILE, tmp_path)


@pytest.mark.usefixtures("forgotten_kernels")
def test_where_it_cannot_be_compiled_one_line_says_so(monkeypatch, caplog):
    logged_where_it_cannot_be_compiled(monkeypatch, caplog, sgd_gpu, sgd_gpu.gpu_kernel)


def test_sums_that_lie_halfway_are_allowed_for_and_arithmetic_in_float32_is_not():
    """As a GPU adds a product that is not rounded before, by whole numbers; the interpreter rounds it."""
    sgd_on_gpu = pytest.importorskip(
        "tests.training.sgd_on_gpu", reason="Triton is made for Linux", exc_type=ImportError
    )
    factor = sgd_on_gpu.SETTINGS[1]["momentum"]
    parameter, gradient, momentum = (tensors[1].flatten() for tensors in sgd_on_gpu.inputs(torch.device("cpu")))
    gradient = gradient.float() + 0.01 * parameter
    pairs = zip(momentum.tolist(), gradient.tolist(), strict=True)
    fused = torch.tensor([float(Fraction(factor) * Fraction(m) + Fraction(g)) for m, g in pairs], dtype=torch.float64)
    rounded = factor * momentum.double() + gradient.double()
    assert int((fused.float() != rounded.float()).sum()) > 1
    sgd_on_gpu.same_but_for_roundings(fused.float(), rounded.float())
    with pytest.raises(AssertionError):
        sgd_on_gpu.same_but_for_roundings(factor * momentum + gradient, rounded.float())


def make_network(settings, device):
    sizes = {} if "architecture" in settings else {"width": 8, "depth": 2}
    chosen = NetworkSettings(**sizes, **settings)
    return build_network(chosen, channels=2, size=16, classes=3, seed=0, device=device)


def batches(device):
    generator = torch.Generator().manual_seed(0)
    for _ in range(BATCHES):
        images, labels = torch.randn(9, 2, 16, 16, generator=generator), torch.randint(3, (9,), generator=generator)
        yield images.to(device), labels.to(device)


def make_optimiser(network, **changes):
    return Sgd(network.parameters(), **{"lr": 0.125, "momentum": 0.9, "weight_decay": 5e-4, **changes})


def in_place_of_the_kernel(monkeypatch, kinds):
    """What the kernel computes, by PyTorch's update; ``kinds`` counts the dtypes of the gradients."""

    def update(parameters, gradients, momenta, rate, **factors):
        kinds.update(None if gradient is None else gradient.dtype for gradient in gradients)
        whole = [
            torch.zeros_like(parameter) if gradient is None else gradient.to(parameter.dtype)
            for parameter, gradient in zip(parameters, gradients, strict=True)
        ]
        assert [gradient.stride() for gradient in whole] == [parameter.stride() for parameter in parameters]
        torch._fused_sgd_(
            list(parameters),
            whole,
            list(momenta),
            lr=rate,
            dampening=0.0,
            maximize=False,
            is_first_step=False,
            **factors,
        )

    monkeypatch.setattr(sgd_gpu, "update", update)
    monkeypatch.setattr(sgd_gpu, "gpu_kernel", lambda: True)


@pytest.fixture
def kinds_on_the_cpu(monkeypatch):
    """Steps take gradients for the kernel on a CPU too; a count of their dtypes."""
    kinds = Counter()
    in_place_of_the_kernel(monkeypatch, kinds)
    monkeypatch.setattr(sgd_gpu, "takes_kernel", lambda *_: True)

    def keep_rate_in_place(optimiser):
        optimiser._rate = torch.tensor(optimiser.lr)

    monkeypatch.setattr(Sgd, "keep_rate_in_place", keep_rate_in_place)
    return kinds


def trained(network, *, kernel, loss=hard_cross_entropy, clip_norm=None, **changes):
    """Parameters, momenta, buffers and meters after three steps."""
    network = copy.deepcopy(network)
    optimiser = make_optimiser(network, **changes)
    if kernel:
        optimiser.keep_rate_in_place()
    optimiser.fill_momenta()
    step = PlainStep(network, optimiser, loss=loss, clip_norm=clip_norm)
    step.count()
    for batch in batches(optimiser.parameters[0].device):
        step(*batch)
    return [*network.state_dict().values(), *optimiser.momenta(), step.totals, step.correct]


ARCHITECTURES = [
    {"precision": "bf16"},
    {"precision": "fp32"},
    {"precision": "bf16", "norm": "batch"},
    {"precision": "bf16", "pooling": "max"},
    {"precision": "bf16", "architecture": "lenet"},
    {"precision": "bf16", "architecture": "mlp"},
]


@pytest.mark.parametrize("settings", ARCHITECTURES, ids=lambda settings: "-".join(map(str, settings.values())))
@pytest.mark.parametrize(
    "loss", [hard_cross_entropy, lambda *given: 2 * hard_cross_entropy(*given)], ids=["hard", "other"]
)
def test_steps_by_the_kernel_have_the_bits_of_plain_ones(kinds_on_the_cpu, settings, loss):
    network = make_network(settings, torch.device("cpu"))
    expected = trained(network, kernel=False, loss=loss, nesterov=True)
    assert not kinds_on_the_cpu
    for one, other in zip(trained(network, kernel=True, loss=loss, nesterov=True), expected, strict=True):
        assert torch.equal(one, other)
    convolutions = len(network.rounded_weights())
    assert kinds_on_the_cpu[torch.bfloat16] == BATCHES * convolutions
    assert (convolutions > 0) == (settings["precision"] == "bf16" and settings.get("architecture") != "mlp")


class _Made(TorchDispatchMode):
    """Tensors of weights' shapes that operations other than the convolutions' make."""

    def __init__(self, weights):
        super().__init__()
        self._shapes, self.names = {weight.shape for weight in weights}, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        makes = not any(each.alias_info for each in function._schema.returns) and isinstance(out, torch.Tensor)
        if makes and out.shape in self._shapes:
            self.names.append(function._schema.name)
        return out


@pytest.mark.usefixtures("kinds_on_the_cpu")
def test_no_weight_is_cast_by_itself_and_no_bias_gets_zeros(monkeypatch):
    monkeypatch.setattr(sgd_gpu, "update", lambda *_, **__: None)  # which casts in the test, and does not otherwise
    network = make_network({"precision": "bf16"}, torch.device("cpu"))
    optimiser = make_optimiser(network)
    step, batch = PlainStep(network, optimiser), next(batches("cpu"))
    given = [
        *network.rounded_weights(),
        *(layer.bias for layer in network.features if getattr(layer, "bias_cancels", 0)),
    ]
    found = []
    for kernel in (False, True):
        if kernel:
            optimiser.keep_rate_in_place()
        optimiser.fill_momenta()
        with _Made(given) as made:
            step(*batch)
        found.append(Counter(made.names))
    assert found[0]["aten::_to_copy"] >= 4, "each weight, and its gradient"
    assert found[0]["aten::new_zeros"] == 2
    assert not {"aten::_to_copy", "aten::new_zeros"} & set(found[1])
    assert found[1]["aten::empty_like"] == 2, "the copies"


def test_clipped_steps_take_whole_gradients(kinds_on_the_cpu):
    network = make_network({"precision": "bf16"}, torch.device("cpu"))
    found, expected = (trained(network, kernel=kernel, clip_norm=0.1) for kernel in (True, False))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert set(kinds_on_the_cpu) == {torch.float32}


def test_where_the_kernel_is_not_the_update_takes_such_gradients_too():
    parameters = [torch.ones(2, 3, 2, 2), torch.ones(4), torch.ones(4)]
    optimiser = Sgd(parameters, lr=0.5, momentum=0.5, weight_decay=1.0)
    assert not optimiser.is_kernel
    rounded = torch.full((2, 3, 2, 2), 2.0, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    optimiser.step([rounded, None, torch.ones(4)])
    assert [float(parameter.unique()) for parameter in parameters] == [-0.5, 0.5, 0.0]
    assert all(parameter.is_contiguous() for parameter in parameters)


@pytest.mark.parametrize(
    ("parameters", "momenta", "expected"),
    [
        ([(3,)], [torch.zeros(3)], True),
        ([(3,)] * 64, [torch.zeros(3)] * 64, True),
        ([(3,)] * 65, [torch.zeros(3)] * 65, False),
        ([(3,)], [None], False),
        ([(3,)], [torch.zeros(3, dtype=torch.float64)], False),
        ([(2, 3, 2, 2)], [torch.zeros(2, 3, 2, 2).to(memory_format=torch.channels_last)], False),
        ([(0,)], [torch.zeros(0)], False),
    ],
)
def test_what_the_kernel_takes(monkeypatch, parameters, momenta, expected):
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setattr(sgd_gpu, "gpu_kernel", lambda: True)
    assert sgd_gpu.takes_kernel([torch.zeros(size) for size in parameters], momenta) == expected
    assert not sgd_gpu.takes_kernel([torch.zeros(size, dtype=torch.float64) for size in parameters], momenta)


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("number", range(3))
    def test_the_kernel_equals_the_formula_and_pytorch(self, request, number):
        if EmulatedGpu.here in request.config.stash:
            pytest.skip("the emulated GPU runs no kernels")
        from tests.training import sgd_on_gpu

        gpu, settings = torch.device("cuda"), sgd_on_gpu.SETTINGS[number]
        sgd_on_gpu.check(gpu, settings, fused_multiply_adds=True)
        sgd_on_gpu.check_against_pytorch(gpu, settings, exact=True)
        sgd_on_gpu.check_infinities_and_nan(gpu)

    # A weight that differs by float32's rounding may be rounded to another bfloat16, and the next gradients differ by as much.
    @pytest.mark.parametrize(
        ("precision", "rtol", "atol"), [("bf16", 1e-2, 1e-4), ("tf32", 1e-5, 1e-6)], ids=["bf16", "tf32"]
    )
    def test_recorded_steps_by_the_kernel_equal_plain_ones(self, request, monkeypatch, precision, rtol, atol):
        gpu = torch.device("cuda")
        if EmulatedGpu.here in request.config.stash:
            in_place_of_the_kernel(monkeypatch, Counter())
        # Sums without an order would move weights by so little, but TF32 rounds some of them to other numbers then.
        monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
        network = make_network({"precision": precision}, gpu)
        expected = trained(network, kernel=False)
        optimiser = make_optimiser(network)
        step = StaticStep(network, optimiser, record=True)
        for batch in batches(gpu):
            step(*batch)
        assert optimiser.is_kernel, "see the log"
        assert all(kept.is_recorded for kept in step._recordings.values())
        found = [*network.state_dict().values(), *optimiser.momenta(), step.totals, step.correct]
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=rtol, atol=atol)

    def test_rounds_of_the_queue_by_the_kernel_equal_plain_steps(self, request, monkeypatch):
        gpu, kinds = torch.device("cuda"), Counter()
        if EmulatedGpu.here in request.config.stash:
            in_place_of_the_kernel(monkeypatch, kinds)
        plain, shared = (
            test_steps.trained(test_steps.make_queue(shared=shared, device=gpu, precision="bf16"))
            for shared in (False, True)
        )
        for one, two in zip(plain.members, shared.members, strict=True):
            for mine, other in zip(one.network.state_dict().values(), two.network.state_dict().values(), strict=True):
                torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)
        assert shared._rounds.is_recorded, "see the log"
        rounds = [each._own.optimiser for each in shared._rounds._rounds.values()]
        assert rounds
        assert all(each.is_kernel for each in rounds), "see the log"
        if kinds:
            assert kinds[torch.bfloat16] > 0
