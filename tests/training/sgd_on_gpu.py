"""``python -m tests.training.sgd_on_gpu``: the kernel of SGD's update against its formula in float64, interpreted on a CPU."""

import torch

from bacon.training.sgd import Sgd
from bacon.training.sgd_triton import update
from tests.triton_kernels import loops_take_arguments

SHAPES = [(40, 3, 3, 3), (130, 9, 3, 3), (130,), (3, 1033), (7,), *[(3,)] * 13]  # of two launches
KINDS = [torch.bfloat16, torch.bfloat16, None, torch.float32, None, torch.bfloat16, *[torch.float32] * 12]
SETTINGS = [
    {"weight_decay": 5e-4, "momentum": 0.9, "nesterov": False},
    {"weight_decay": 0.01, "momentum": 0.8, "nesterov": True},
    {"weight_decay": 0.0, "momentum": 0.5, "nesterov": False},
]


def inputs(device, seed=0):
    """Parameters, some channels-last; gradients of every kind; momenta."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(shape):
        layout = torch.channels_last if len(shape) == 4 and shape[0] > 100 else torch.contiguous_format
        return torch.randn(shape, generator=generator).to(memory_format=layout).to(device)

    parameters, momenta = ([drawn(shape) for shape in SHAPES] for _ in range(2))
    gradients = [None if kind is None else drawn(shape).to(kind) for shape, kind in zip(SHAPES, KINDS, strict=True)]
    return parameters, gradients, momenta


def as_pytorch_on_a_gpu(parameter, gradient, momentum, rate, *, weight_decay, momentum_factor, nesterov):
    """Parameter and momentum after the step, in the arithmetic of PyTorch's kernel on a GPU."""
    g = torch.zeros_like(parameter) if gradient is None else gradient.float()
    if weight_decay != 0:
        g = (g.double() + weight_decay * parameter.double()).float()
    kept = momentum_factor * momentum.double() + g.double()
    step = (g.double() + momentum_factor * kept if nesterov else kept).float()
    return (parameter.double() - rate.double() * step.double()).float(), kept.float()


def moved(device, settings, seed=0):
    """What the kernel makes of the inputs."""
    parameters, gradients, momenta = inputs(device, seed)
    update(parameters, gradients, momenta, torch.tensor(0.03, device=device), **settings)
    return parameters, momenta


def check(device, settings, *, fused_multiply_adds):
    """The formula, bit for bit where products are rounded before they are added, as the interpreter does."""
    factors = {key: settings[key] for key in ("weight_decay", "nesterov")} | {"momentum_factor": settings["momentum"]}
    rate, found = torch.tensor(0.03, device=device), moved(device, settings)
    for mine, *given in zip(zip(*found, strict=True), *inputs(device), strict=True):
        for one, other in zip(mine, as_pytorch_on_a_gpu(*given, rate, **factors), strict=True):
            assert one.stride() == other.stride()
            if fused_multiply_adds:
                same_but_for_roundings(one, other)
            else:
                assert torch.equal(one, other)
    for mine, again in zip(found, moved(device, settings), strict=True):
        assert all(torch.equal(one, other) for one, other in zip(mine, again, strict=True))


def same_but_for_roundings(one, other):
    """Where a sum lies halfway between two neighbours in float32, its last bits in float64 decide which of the two it is.

    Sums of .8 m do at times, as every fifth m has a short .8 m: then it matters whether products are rounded before they are
    added, and 12 of the 14,885 momenta of the second settings differ. A parameter moves by as much times the rate.
    """
    torch.testing.assert_close(one, other, rtol=2**-23, atol=2**-25)
    assert int((one != other).sum()) <= 1 + one.numel() // 200


def check_against_pytorch(device, settings, *, exact):
    """PyTorch's fused update: on a GPU the same arithmetic; on a CPU it is float32's."""
    parameters, gradients, momenta = inputs(device)
    optimiser = Sgd(parameters, lr=float(torch.tensor(0.03)), **settings)
    optimiser.load_state_dict({"momentum": momenta})
    optimiser.step(gradients)
    for mine, other in zip(moved(device, settings), (parameters, optimiser.momenta()), strict=True):
        for one, two in zip(mine, other, strict=True):
            if exact:
                same_but_for_roundings(one, two)
            torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-6)


def check_infinities_and_nan(device):
    """They go where they go in PyTorch's update."""
    given = torch.tensor([float("inf"), float("-inf"), float("nan"), 1.0, 3e38])
    parameter, gradient, momentum = (torch.ones(5, device=device), given.to(device), torch.ones(5, device=device))
    update([parameter], [gradient], [momentum], torch.tensor(2.0, device=device), **SETTINGS[2])
    inf, nan = float("inf"), float("nan")
    torch.testing.assert_close(parameter.cpu(), torch.tensor([-inf, inf, nan, -2.0, -inf]), equal_nan=True)
    torch.testing.assert_close(momentum.cpu(), torch.tensor([inf, -inf, nan, 1.5, 3e38]), equal_nan=True)


if __name__ == "__main__":
    loops_take_arguments()
    cpu = torch.device("cpu")
    for settings in SETTINGS:
        check(cpu, settings, fused_multiply_adds=False)
        check_against_pytorch(cpu, settings, exact=False)
    check_infinities_and_nan(cpu)
    print("all checks passed")
