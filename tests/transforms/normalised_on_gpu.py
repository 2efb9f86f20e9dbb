"""``python -m tests.transforms.normalised_on_gpu``: the kernel against PyTorch's operations, interpreted on a CPU."""

import torch

from bacon.transforms import normalised_triton
from tests.triton_kernels import loops_take_arguments

SHAPES = [(3, 8, 8), (1, 5, 7), (2, 6, 6), (3, 1, 1)]
PIXELS = 16  # of the interpreted kernel, so that a small image is several programs


def check(device, shape, dtype):
    """Gathered, repeated and in order: the bits of gathering, multiplying and adding."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (6, *shape), dtype=torch.uint8, generator=generator).to(device)
    scale, shift = torch.randn(2, shape[0], 1, 1, dtype=dtype, generator=generator).to(device)
    for places in (torch.tensor([5, 0, 0, 3], device=device), torch.arange(6, device=device)[::2], None):
        chosen = images if places is None else images[places]
        found = normalised_triton.normalised(images, places, scale, shift)
        assert found.dtype == dtype
        assert torch.equal(found, chosen.to(dtype).mul_(scale).add_(shift))


if __name__ == "__main__":
    loops_take_arguments()
    normalised_triton._PIXELS = PIXELS
    for each in SHAPES:
        check(torch.device("cpu"), each, torch.float32)
    check(torch.device("cpu"), SHAPES[0], torch.float64)
    print("all checks passed")
