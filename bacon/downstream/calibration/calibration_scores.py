"""ECE, negative log-likelihood, Brier score and temperature scaling, from logits; float64 throughout."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from bacon.runtime.errors import BaconError

Numbers = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int64]

_LOG_TEMPERATURES = (math.log(1e-3), math.log(1e3))


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Test images in bins of their confidence.

    Attributes:
        edges: (B + 1,) of the bins, which are open below and closed above.
        counts: (B,) images.
        accuracy: (B,) of each bin in [0, 1]; 0 where it is empty.
        confidence: (B,) mean confidence; 0 where it is empty.
    """

    edges: Numbers
    counts: Classes
    accuracy: Numbers
    confidence: Numbers

    @property
    def error(self) -> float:
        """ECE (Guo et al., 2017, equation 5): the gaps' mean, weighted by the bins' counts."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float((self.counts * gaps).sum() / self.counts.sum())


def reliability(logits: Numbers, labels: Classes, bins: int) -> Reliability:
    """The reliability diagram of the largest softmax probability.

    Args:
        logits: (N, K).
        labels: (N,) in [0, K).
        bins: of equal width, ``((b - 1) / B, b / B]``.
    """
    probabilities = np.exp(log_softmax(logits, axis=1))
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    filled = np.maximum(counts, 1)
    return Reliability(
        edges=edges,
        counts=counts.astype(np.int64),
        accuracy=np.bincount(place, weights=correct, minlength=bins) / filled,
        confidence=np.bincount(place, weights=confidence, minlength=bins) / filled,
    )


def negative_log_likelihood(logits: Numbers, labels: Classes) -> float:
    """Mean of ``-log p(true class)`` in nats."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def brier_score(logits: Numbers, labels: Classes) -> float:
    """Mean squared distance of the probabilities from the one-hot class, summed over classes (Brier, 1950): 0 to 2."""
    probabilities = np.exp(log_softmax(logits, axis=1))
    probabilities[np.arange(len(labels)), labels] -= 1.0
    return float(np.square(probabilities).sum(axis=1).mean())


def best_temperature(logits: Numbers, labels: Classes) -> float:
    """The temperature, from 0.001 to 1000, that minimises :func:`negative_log_likelihood` of ``logits / temperature``.

    NLL is convex in the inverse temperature, so that there is one minimum; where every image is classified correctly it lies
    at 0, and the smallest temperature is given.

    Raises:
        BaconError: there are no images.
    """
    if not len(labels):
        raise BaconError("temperature scaling: the validation split holds no image")
    found = minimize_scalar(
        lambda log: negative_log_likelihood(logits / math.exp(log), labels),
        bounds=_LOG_TEMPERATURES,
        method="bounded",
        options={"xatol": 1e-6},
    )
    return math.exp(found.x)
