"""``python -m tests.training.cross_entropy_on_gpu``: the kernel against PyTorch in float64, interpreted on a CPU."""

import torch
import torch.nn.functional as F

from bacon.training.cross_entropy_triton import gradient_and_correct
from tests.triton_kernels import loops_take_arguments

SIZES = [(7, 3), (16, 10), (5, 1), (300, 33), (3, 1000), (17, 1000)]


def check(device, count, classes):
    """Gradient, meters and totals; a second run has the same bits."""
    generator = torch.Generator().manual_seed(count)
    logits = 5 * torch.randn(count, classes, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)
    exact = logits.double().requires_grad_()
    loss = F.cross_entropy(exact, labels)
    (expected,) = torch.autograd.grad(loss, exact)
    runs = []
    for _ in range(2):
        totals = torch.tensor([1.0, 2.0], dtype=torch.float64, device=device)
        gradient, correct = gradient_and_correct(logits.to(device), labels.to(device), totals)
        torch.testing.assert_close(gradient.cpu().double(), expected, rtol=1e-5, atol=1e-6 / count)
        assert torch.equal(correct.cpu(), logits.argmax(dim=1) == labels)
        assert totals[1] == 2 + correct.sum()
        torch.testing.assert_close(totals[0].cpu(), 1 + count * loss.detach(), rtol=1e-6, atol=1e-6 * count)
        runs.append((gradient, correct, totals))
        uncounted = gradient_and_correct(logits.to(device), labels.to(device), None)
        assert all(torch.equal(one, other) for one, other in zip(runs[-1], uncounted, strict=False))
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


def check_ties_and_nan(device):
    """The first of equal logits counts, the first NaN before any number; infinities and NaN reach loss and gradient."""
    inf, nan = float("inf"), float("nan")
    rows = [
        [1, 3, 3, 0],
        [nan, 5, nan, inf],
        [-inf, -inf, -inf, -inf],
        [0, 2, nan, inf],
        [2, 2, 2, 2],
        [inf, 0, inf, 1],
    ]
    for label in range(4):
        logits, labels = torch.tensor(rows), torch.full((len(rows),), label)
        for each in range(len(rows)):
            row, own = logits[each : each + 1], labels[each : each + 1]
            totals = torch.zeros(2, dtype=torch.float64, device=device)
            gradient, correct = gradient_and_correct(row.to(device), own.to(device), totals)
            assert torch.equal(correct.cpu(), row.argmax(dim=1) == own)
            exact = row.clone().requires_grad_()
            loss = F.cross_entropy(exact, own)
            (expected,) = torch.autograd.grad(loss, exact)
            torch.testing.assert_close(totals[0].cpu(), loss.detach().double(), equal_nan=True)
            torch.testing.assert_close(gradient.cpu(), expected, equal_nan=True)


if __name__ == "__main__":
    loops_take_arguments()
    for size in SIZES:
        check(torch.device("cpu"), *size)
    check_ties_and_nan(torch.device("cpu"))
    print("all checks passed")
