"""One network under every attack."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from bacon.downstream.membership.membership_scores import (
    ATTACKS,
    LIRA,
    AttackScores,
    attack_scores,
    logit_of_the_class,
    offline_likelihood_ratio,
)
from bacon.networks.network import Network
from bacon.training.image_set import ImageSet
from bacon.training.predictions import logits


def attacked(
    model: Network, members: ImageSet, others: ImageSet, shadows: Tensor | None = None
) -> dict[str, AttackScores]:
    """Name of each attack -> how well it tells members from others by what ``model`` says of them.

    Args:
        model: the network that is attacked.
        members: (M,) images that its training set was made from.
        others: (N,) images of the same kind that it was not.
        shadows: (S, M + N) float64 on the CPU, :func:`shadow_values` of members and then others; ``None``: without the attack
            lira.
    """
    said = [(logits(model, images), images.labels) for images in (members, others)]
    found = {}
    for name, score in ATTACKS.items():
        of_members, of_others = (score(*each).cpu().numpy() for each in said)
        found[name] = attack_scores(of_members, of_others)
    if shadows is not None:
        observed = torch.cat([logit_of_the_class(*each).cpu() for each in said])
        ratio = offline_likelihood_ratio(observed, shadows).numpy()
        found[LIRA] = attack_scores(ratio[: len(members)], ratio[len(members) :])
    return found


def shadow_values(networks: Iterable[Network], *targets: ImageSet) -> Tensor:
    """(S, N) float64 on the CPU: what each shadow network makes of ``targets``, in turn; some may be empty."""
    rows = [
        torch.cat(
            [logit_of_the_class(logits(network, images), images.labels).cpu() for images in targets if len(images)]
        )
        for network in networks
    ]
    return torch.stack(rows)
