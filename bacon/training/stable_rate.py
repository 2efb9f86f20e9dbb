"""The largest learning rate at which training a network on squared errors is stable, by its tangent kernel (KIP to NN)."""

from __future__ import annotations

from torch import Tensor
from torch.func import functional_call, jvp, vjp

from bacon.networks.network import Network
from bacon.runtime.draws import device_normal

IMAGES = 50
"""Images of which the tangent kernel is looked at, as published."""
_TURNS = 50
_SAME = 1e-4  # relative change of the largest eigenvalue from one turn to the next


def largest_stable_rate(network: Network, images: Tensor, *, momentum: float, weight: float) -> float:
    """Of SGD on ``weight`` times the mean squared error over images and classes.

    With the Jacobian J of all n C logits by the parameters, the tangent kernel is J J^T and the loss has the curvature
    2 weight lambda / (n C), lambda being its largest eigenvalue; heavy-ball momentum m is stable up to 2 (1 + m) over that
    (Polyak, 1964).

    Args:
        network: before training; in evaluation mode afterwards.
        images: (n, C, H, W) float, normalised.
        momentum: m, in [0, 1).
        weight: of the loss.

    Returns:
        The rate; the host waits for the device.
    """
    largest, count = _largest_eigenvalue(network.eval(), images)
    return (1 + momentum) * count / (weight * largest)


def _largest_eigenvalue(network: Network, images: Tensor) -> tuple[float, int]:
    """Of J J^T, by the power method, which never holds J; and the number of logits."""
    parameters = {name: each.detach() for name, each in network.named_parameters()}

    def logits(given: dict[str, Tensor]) -> Tensor:
        found: Tensor = functional_call(network, given, (images,))
        return found

    output, pull_back, *_ = vjp(logits, parameters)
    start = device_normal(0, "stable-rate", count=output.numel(), device=images.device, dtype=images.dtype).view_as(
        output
    )
    vector, largest = start / start.norm(), 0.0
    for _ in range(_TURNS):
        (gradient,) = pull_back(vector)
        product: Tensor = jvp(logits, (parameters,), (gradient,))[1]
        before, largest = largest, float(product.norm())
        if abs(largest - before) <= _SAME * largest:
            break
        vector = product / largest
    return largest, output.numel()
