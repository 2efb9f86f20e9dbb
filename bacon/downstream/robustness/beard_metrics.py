"""BEARD's three numbers (Zhou et al., 2024, arXiv:2411.09265) as functions of accuracies in [0, 1] and seconds. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from bacon.evaluation.scores import check_fractions


def robustness_ratio(clean: float, attacked: Sequence[float]) -> float | None:
    """RR: ``1 - mean ASR / max ASR`` with ``ASR = clean - attacked`` of each attack; higher is better.

    Args:
        clean: accuracy without attack.
        attacked: accuracy under each attack, at least one.

    Returns:
        At most 1 where no attack raises the accuracy; ``None`` where no attack lowers it, so that the ratio is 0/0.
    """
    check_fractions(clean, *attacked)
    largest = clean - min(attacked)
    if largest <= 0:
        return None
    return 1 - (clean - sum(attacked) / len(attacked)) / largest


def attack_efficiency(clean: float, attacks: Sequence[float]) -> float | None:
    """AE: ``(mean attack time - clean time) / (longest attack time - clean time)``; higher: attacks cost more.

    Args:
        clean: seconds of testing without attack.
        attacks: seconds of each attack, at least one.

    Returns:
        ``None`` where no attack takes longer than testing.
    """
    largest = max(attacks) - clean
    if largest <= 0:
        return None
    return (sum(attacks) / len(attacks) - clean) / largest


def robustness_efficiency_index(rr: float, ae: float, *, alpha: float = 0.5) -> float:
    """CREI: ``alpha RR + (1 - alpha) AE``.

    Args:
        rr: robustness ratio.
        ae: attack efficiency ratio.
        alpha: weight of RR in [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha {alpha} is not in [0, 1]")
    return alpha * rr + (1 - alpha) * ae
