"""Every check of the Triton kernels in Triton's interpreter: TRITON_INTERPRET=1 python -m tests.networks.triton_on_cpu."""

import numpy as np
import pytest
import torch
import triton.language as tl
from triton.runtime import interpreter

from bacon.networks.kernels import first_back_triton, first_moments_triton
from tests.networks import block_on_gpu, first_on_gpu, second_on_gpu
from tests.networks.block_on_gpu import LAYOUTS
from tests.runtime import draws_on_gpu
from tests.triton_kernels import loops_take_arguments

CPU = torch.device("cpu")


def bfloat16_products(monkeypatch):
    """The interpreter holds bfloat16 as 16-bit integers and would multiply these; here their values, as a GPU does."""
    multiply = interpreter.InterpreterBuilder.create_dot

    def widened(handle):
        if handle.dtype.scalar != tl.bfloat16:
            return handle
        return interpreter.TensorHandle((handle.data.astype(np.uint32) << 16).view(np.float32), tl.float32)

    def dot(self, a, b, *rest):
        return multiply(self, widened(a), widened(b), *rest)

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", dot)


def check_the_block():
    # Several turns of a program, the last of them not full.
    contiguous, last = LAYOUTS
    block_on_gpu.check_forward_and_backward(CPU, torch.float32, (40, 64), last, images=1, channels=3)
    block_on_gpu.check_forward_and_backward(CPU, torch.float32, (96, 128), contiguous, images=1, channels=1)
    for layout in LAYOUTS:
        for dtype in second_on_gpu.TOLERANCES:
            second_on_gpu.check_second(CPU, dtype, (6, 10), layout)
        for missing in (("dx",), ("dweight", "dbias")):
            second_on_gpu.check_second(CPU, torch.float32, (4, 4), layout, missing, images=2)
        second_on_gpu.check_second(CPU, torch.float32, (40, 64), layout, images=1, channels=2)
    second_on_gpu.check_derivatives_of_every_order(CPU)


def check_the_first_block():
    for layout in LAYOUTS:
        for shape in first_on_gpu.SHAPES:
            first_on_gpu.check_first_block(CPU, "fp32", shape, layout)
    first_on_gpu.check_first_block(CPU, "tf32", first_on_gpu.SEVERAL_TILES, LAYOUTS[0])
    for shape in first_on_gpu.SHAPES[:2]:
        first_on_gpu.check_first_block(CPU, "bf16", shape, LAYOUTS[0])
        first_on_gpu.check_first_block(CPU, "tf32", shape, LAYOUTS[1])
    for shape in first_on_gpu.WHOLE_TILES:
        first_on_gpu.check_first_block(CPU, "bf16", shape, LAYOUTS[1])
    for shape in first_on_gpu.WHOLE_TILES[:2]:  # of larger images the fp32 kernels only take more of the same turns
        first_on_gpu.check_first_block(CPU, "fp32", shape, LAYOUTS[0])
    first_on_gpu.check_second_derivatives_of_the_first_block(CPU, "fp32", first_on_gpu.SHAPES[0])
    first_on_gpu.check_each_gradient_alone(CPU, "fp32", first_on_gpu.SHAPES[0])
    first_on_gpu.check_nan_and_constant_images(CPU)
    for kind in ("bf16", "tf32"):
        first_on_gpu.check_each_gradient_alone(CPU, kind, first_on_gpu.SHAPES[0])
        first_on_gpu.check_nan_and_constant_images_of_few_digits(CPU, kind)
        first_on_gpu.check_moments_of_maps(CPU, kind)
    first_on_gpu.check_the_convolution_and_its_bias(CPU)
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # a GPU that works on few programs: each takes all images, one after another
        for module, held in (
            (first_back_triton, "_HELD"),
            (first_back_triton, "_HELD_FP32"),
            (first_moments_triton, "_HELD"),
        ):
            patch.setattr(module, held, 1)
        for kind in first_on_gpu.TOLERANCES:
            first_on_gpu.check_first_block(CPU, kind, first_on_gpu.SHAPES[0], LAYOUTS[1])


def main():
    """All checks; new tensors hold NaN, so an element that a kernel leaves out is seen."""
    loops_take_arguments()
    block_on_gpu.main()
    with pytest.MonkeyPatch.context() as patch:
        block_on_gpu.poisoned(patch)
        bfloat16_products(patch)
        check_the_block()
        check_the_first_block()
    draws_on_gpu.check_words(CPU)
    print("the first block too")


if __name__ == "__main__":
    main()
