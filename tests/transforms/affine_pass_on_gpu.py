"""``python -m tests.transforms.affine_pass_on_gpu``: the kernel against PyTorch's operations, interpreted on a CPU."""

import numpy as np
import torch

from bacon.transforms import affine_pass, affine_pass_triton, dsa, idc
from tests.triton_kernels import loops_take_arguments

DSA, IDC = "color_crop_cutout_flip_scale_rotate", "flip_color_crop_scale_rotate_cutout"
TILE_BYTES = 512  # of the interpreted kernel, so that a small image is several tiles


def numbers_of(shape, iteration):
    """Numbers of DSA (one operation of each group) and of IDC (several)."""
    height, width = shape[1:]
    drawn = torch.rand(6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(iteration))
    geometric = np.array(["crop", "scale", "rotate"] * 2, dtype=object)
    yield dsa.siamese_numbers(DSA, 0, iteration, torch.arange(6), height=height, width=width)
    yield idc.idc_numbers(IDC, geometric, drawn, height, width)


def check(device, shape, dtype, tolerance, together=2):
    """Both kernels, with poison around what they may read."""
    room = torch.full((6 * together + 2, *shape), float("nan"), dtype=dtype)
    room[1:-1] = torch.randn(6 * together, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    images = room.to(device)[1:-1].unflatten(0, (6, together))
    for exact in numbers_of(shape, 3):
        numbers = exact.to(device, dtype)
        for constant in (True, False):
            found = affine_pass_triton.forward(images, numbers, constant=constant)
            expected = affine_pass.passed_forward(images.double(), numbers.double(), constant=constant)
            torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
        found = affine_pass_triton.forward(images, numbers, edge=True)
        expected = affine_pass.passed_forward(images.double(), numbers.double(), edge=True)
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
        found = affine_pass_triton.transposed(images, numbers)
        expected = affine_pass.passed_transposed(images.double(), numbers.double())
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


def check_exact(device):
    """Shifts, mirror images and cut squares are exact."""
    images = torch.randn(2, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(device)
    drawn = torch.rand(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for name in ("crop", "flip", "cutout"):
        codes = torch.from_numpy(dsa.operation_codes(np.array([name] * 2, dtype=object)))
        numbers = dsa.numbers_of_codes(codes, drawn, 8, 8).to(device, torch.float32)
        assert torch.equal(affine_pass_triton.forward(images, numbers), affine_pass.passed_forward(images, numbers))


if __name__ == "__main__":
    loops_take_arguments()
    affine_pass_triton._TILE_BYTES = TILE_BYTES
    check(torch.device("cpu"), (3, 6, 9), torch.float32, 1e-4, together=1)
    check(torch.device("cpu"), (1, 5, 5), torch.float64, 1e-11)
    check_exact(torch.device("cpu"))
    print("all checks passed")
