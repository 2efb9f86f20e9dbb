"""Compiles what the package launches for a GPU that is not here, and reads off what each kernel needs of it.

``python -m tests.launches_compiled 86`` goes through the calls that the package makes, on tensors of the CPU; whatever they
launch is compiled for compute capability 8.6 and not run. So tiles, layouts and types are those of the package.
"""

import sys

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from bacon.networks.kernels import block_gpu, classifier_gpu, first_gpu

CPU = torch.device("cpu")
SHARED = {75: 64 << 10, 80: 163 << 10, 86: 99 << 10, 89: 99 << 10, 90: 227 << 10, 100: 227 << 10, 120: 99 << 10}
"""Compute capability -> bytes of shared memory that a block of threads may have (CUDA C++ Programming Guide)."""


class Driver:
    """Triton's view of a GPU that is not here."""

    def __init__(self, capability):
        self.capability = capability

    def get_current_target(self):
        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, _):
        return 0


class Compiled:
    """Launches become compilations; ``kernels`` are those made so far, each once."""

    def __init__(self, capability):
        self.kernels = {}
        driver.set_active(Driver(capability))
        run = JITFunction.run

        def compile_only(function, *arguments, **options):
            made = run(function, *arguments, **options | {"warmup": True})
            self.kernels[id(made)] = made

        JITFunction.run = compile_only

    def of(self, work):
        """What ``work`` launches that was not compiled before."""
        before = set(self.kernels)
        work()
        return [made for key, made in self.kernels.items() if key not in before]


def used_block(dtype, side):
    """What a network launches for maps between two convolutions, which lie channels-last, up to second derivatives."""
    x = torch.zeros(5, 128, side, side, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()
    weight, bias = (torch.ones(128, requires_grad=True) for _ in range(2))
    pooled = block_gpu.FusedOnGpu.apply(x, weight, bias, 1e-5)
    (dx,) = torch.autograd.grad(pooled, x, torch.ones_like(pooled), create_graph=True)
    torch.autograd.grad(dx, (x, weight), torch.ones_like(dx))


def main(capability):
    """Fails where a kernel wants more shared memory than such a GPU has, or a block's is first compiled when it is used.

    Of the kernels at the sizes of the paper's data sets, those that want much: the first block in tf32 with 32x32 images, and,
    most of all, the classifier with more than 32 classes.
    """
    compiled, limit = Compiled(capability), SHARED[capability]
    tries = {
        "first": lambda: first_gpu._compile("tf32", (2, 3, 32, 32), 1, 128, CPU),
        "classifier": lambda: classifier_gpu._compile(torch.float32, (128, 4, 4), 100, CPU),
        "block": lambda: block_gpu._compile(torch.bfloat16, 128, 32, 32, CPU),
        "second": lambda: block_gpu._compile_second(torch.bfloat16, 128, 32, 32, CPU),
    }
    for name, work in tries.items():
        kernels = compiled.of(work)
        assert kernels, name
        for made in kernels:
            print(capability, name, made.metadata.name, made.metadata.shared, "bytes")
            assert made.metadata.shared <= limit, f"{made.metadata.name} wants {made.metadata.shared} of {limit} bytes"
    assert not compiled.of(lambda: used_block(torch.bfloat16, 32)), "it was not tried"
    print("all fit")


if __name__ == "__main__":
    main(int(sys.argv[1]))
