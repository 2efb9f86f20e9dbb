"""``python -m tests.transforms.affine_pass_on_gpu``: the kernel against PyTorch's operations, interpreted on a CPU."""

import numpy as np
import pytest
import torch

from bacon.transforms import affine_pass, affine_pass_triton, dsa, idc
from tests.networks.block_on_gpu import poisoned
from tests.triton_kernels import loops_take_arguments

DSA, IDC = "color_crop_cutout_flip_scale_rotate", "flip_color_crop_scale_rotate_cutout"
OPERATIONS = np.array(DSA.split("_"), dtype=object)


def numbers_of(shape, iteration):
    """Numbers of DSA (each operation in turn, then one of each group as drawn) and of IDC (several of a group)."""
    height, width = shape[1:]
    drawn = torch.rand(6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(iteration))
    geometric = np.array(["crop", "scale", "rotate"] * 2, dtype=object)
    yield dsa.numbers_of_codes(torch.from_numpy(dsa.operation_codes(OPERATIONS)), drawn[:, :3], height, width)
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
    """Shifts, mirror images and cut squares are exact, and so are their transposes."""
    images = torch.randn(2, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(device)
    drawn = torch.rand(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for name in ("crop", "flip", "cutout"):
        codes = torch.from_numpy(dsa.operation_codes(np.array([name] * 2, dtype=object)))
        numbers = dsa.numbers_of_codes(codes, drawn, 8, 8).to(device, torch.float32)
        for edge in (False, True):
            found = affine_pass_triton.forward(images, numbers, edge=edge)
            assert torch.equal(found, affine_pass.passed_forward(images, numbers, edge=edge))
        found = affine_pass_triton.transposed(images, numbers)
        assert torch.equal(found, affine_pass.passed_transposed(images, numbers))


def check_division(device, monkeypatch, shape, expected):
    """How many programs an image is divided among, at most ``expected``, changes no bit."""
    images, parts = torch.randn(6, 1, *shape, generator=torch.Generator().manual_seed(0)).to(device), []
    made = []
    for programs in (1, 12, 1000):
        monkeypatch.setattr(affine_pass_triton, "_PROGRAMS", programs)
        parts.append(affine_pass_triton.launch(images)[1][1])
        for exact in numbers_of(shape, 5):
            numbers = exact.to(device, torch.float32)
            both = affine_pass_triton.forward(images, numbers), affine_pass_triton.transposed(images, numbers)
            made.append(torch.stack(both))
    assert parts == [1, 2, expected]
    whole, *divided = torch.stack(made).unflatten(0, (3, -1))
    assert all(torch.equal(whole, others) for others in divided)


def check_not_numbers(device):
    """NaN in an image stays in that image, and stays where a square is cut out of it."""
    images = torch.randn(6, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(device)
    images[:, 0, 1] = float("nan")
    drawn = torch.rand(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    codes = torch.from_numpy(dsa.operation_codes(OPERATIONS))
    numbers = dsa.numbers_of_codes(codes, drawn, 8, 8).to(device, torch.float32)
    for kernel, plain in (
        (affine_pass_triton.forward, affine_pass.passed_forward),
        (affine_pass_triton.transposed, affine_pass.passed_transposed),
    ):
        cut = OPERATIONS.tolist().index("cutout")
        assert torch.equal(kernel(images, numbers)[cut].isnan(), plain(images, numbers)[cut].isnan())
        images[1:] = 0
        assert kernel(images, numbers)[1:].isfinite().all()
        images[1:, 0, 1] = float("nan")


def main():
    """All checks on the CPU; new tensors hold NaN, so a pixel that a kernel leaves out is seen."""
    cpu = torch.device("cpu")
    with pytest.MonkeyPatch.context() as patch:
        poisoned(patch)
        patch.setattr(affine_pass_triton, "_TILE", 2048)  # the interpreter takes as long for few pixels as for many
        patch.setattr(affine_pass_triton, "_MEAN_TILE", 4096)
        for shape, dtype, tolerance, together in (
            ((1, 28, 28), torch.float32, 1e-4, 1),
            ((3, 32, 32), torch.float32, 1e-4, 1),
            ((3, 64, 64), torch.float32, 1e-4, 1),
        ):
            check(cpu, shape, dtype, tolerance, together)
        # Small tiles, the last of an image not full.
        patch.setattr(affine_pass_triton, "_TILE", 16)
        patch.setattr(affine_pass_triton, "_MEAN_TILE", 32)
        check(cpu, (3, 6, 9), torch.float32, 1e-4, together=1)
        check(cpu, (1, 5, 5), torch.float64, 1e-11)
        check(cpu, (4, 7, 6), torch.float64, 1e-11, together=1)
        check_exact(cpu)
        check_division(cpu, patch, (3, 8, 6), 3)
        check_not_numbers(cpu)
    print("all checks passed")


if __name__ == "__main__":
    loops_take_arguments()
    main()
