"""Membership inference by what a network says of an image: the score of each attack, and how well it tells members apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor

Vector = npt.NDArray[np.float64]

LOW_RATE = 0.01
"""False positive rate at which the true positive rate is reported."""

SHARED_BELOW = 64
"""With fewer shadow networks all images share one variance (Carlini et al., S&P 2022)."""


def negative_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """(N,) float64: minus the cross-entropy of logits (N, K) with classes (N,) (Yeom et al., CSF 2018)."""
    return -F.cross_entropy(logits.double(), labels, reduction="none")


def confidence(logits: Tensor, _labels: Tensor) -> Tensor:
    """(N,) float64: the largest probability, which needs no label (Salem et al., NDSS 2019)."""
    return logits.double().softmax(dim=1).amax(dim=1)


def negative_modified_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(N,) float64: minus the modified entropy (Song and Mittal, USENIX Security 2021), 0 for certainty of the right class.

    ``-(1 - p_y) log p_y - sum_{i != y} p_i log(1 - p_i)``
    """
    log_p = logits.double().log_softmax(dim=1)
    p = log_p.exp()
    log_rest = _log_rest(logits.double())
    right = F.one_hot(labels, logits.shape[1]).bool()
    entropy = torch.where(right, -log_rest.exp() * log_p, -p * log_rest).sum(dim=1)
    return -entropy


def logit_of_the_class(logits: Tensor, labels: Tensor) -> Tensor:
    """(N,) float64: ``log(p_y / (1 - p_y))``, nearly Gaussian over networks (Carlini et al., S&P 2022)."""
    double = logits.double()
    return (double.log_softmax(dim=1) - _log_rest(double)).gather(1, labels[:, None]).squeeze(1)


def _log_rest(logits: Tensor) -> Tensor:
    """(N, K): log(1 - p_i); of the largest p_i, where 1 - p_i may round to 0, as log-sum-exp over the other classes."""
    p = logits.softmax(dim=1)
    first = p.argmax(dim=1, keepdim=True)
    others = logits.scatter(1, first, -torch.inf).logsumexp(dim=1, keepdim=True) - logits.logsumexp(dim=1, keepdim=True)
    return torch.log1p(-p.scatter(1, first, 0.0)).scatter(1, first, others)


def offline_likelihood_ratio(observed: Tensor, shadows: Tensor) -> Tensor:
    """The offline likelihood ratio attack (LiRA; Carlini et al., S&P 2022).

    Args:
        observed: (N,) float64, :func:`logit_of_the_class` of each image in the network that is attacked.
        shadows: (S, N) float64, that in S networks that were trained without any of these images; S at least 2.

    Returns:
        (N,) float64: standard deviations by which the observed value exceeds those of networks that did not see the image, a
        monotone function of the paper's ``1 - Pr[Z > observed]``. The deviation is each image's own from
        :data:`SHARED_BELOW` networks on, and below that the root mean square over images.
    """
    variance = shadows.var(dim=0, unbiased=True)
    if len(shadows) < SHARED_BELOW:
        variance = variance.mean().expand_as(variance)
    return (observed - shadows.mean(dim=0)) / variance.clamp_min(torch.finfo(torch.float64).tiny).sqrt()


ATTACKS = {"loss": negative_loss, "confidence": confidence, "entropy": negative_modified_entropy}
"""Attacks that need the attacked network alone: name -> score, the larger the more likely a member."""

LIRA = "lira"
"""Name of the attack with shadow networks."""


@dataclass(frozen=True, kw_only=True)
class AttackScores:
    """How well a score tells members from others; 0.5, 0 and about 0.01 are guessing.

    Attributes:
        auc: area under the ROC curve: how often a random member scores above a random other, equals counting half.
        advantage: the largest true positive rate less false positive rate of any threshold (Yeom et al., CSF 2018): the
            attacker is given the best one.
        tpr_at_low_fpr: the largest true positive rate of any threshold with a false positive rate of at most :data:`LOW_RATE`.
    """

    auc: float
    advantage: float
    tpr_at_low_fpr: float


def attack_scores(members: Vector, others: Vector) -> AttackScores:
    """Judge an attack by its scores (M,) of members and (N,) of images that are not; larger means member."""
    truth = np.concatenate([np.ones(len(members)), np.zeros(len(others))])
    found = np.concatenate([members, others])
    false_rate, true_rate, _ = roc_curve(truth, found, drop_intermediate=False)
    return AttackScores(
        auc=float(roc_auc_score(truth, found)),
        advantage=float((true_rate - false_rate).max()),
        tpr_at_low_fpr=float(true_rate[false_rate <= LOW_RATE].max()),
    )
