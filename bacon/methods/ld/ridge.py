"""LD's variant by ridge regression: the labels' gradient goes through a classifier that is solved for, not through a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from bacon.distillation.algorithm import Context
from bacon.distillation.recorded_steps import Given
from bacon.distillation.variables import AdamUpdate, Variable
from bacon.methods.ld.algorithm import LD, NETWORK
from bacon.networks.network import Network
from bacon.training.ridge_regression import linear_classifier

if TYPE_CHECKING:
    from bacon.methods.ld.record import LDSettings

CLASSIFIER, SCALE = "classifier", "scale"
"""Variables beside the network's: W (D + 1, K), whose last row is the bias, and the scalar s. Logits are features times s W."""


class RidgeLD(LD):
    """Label distillation by ridge regression; images, restarts and the choice of labels are those of :class:`LD`.

    In an iteration, with features F of a batch of the images and their labels Y, W becomes (1 - a) W + a W', where W' solves
    the ridge regression of Y on F. The labels learn from the loss on real images through W' alone; then the features and s
    learn from the images with their new labels, the features through W' too.

    Args:
        settings: the method's.
        context: what it is given.
    """

    def __init__(self, settings: LDSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._embedding = _Embedding(self._flat.network)

    def fresh(self, index: int, purpose: str) -> dict[str, Variable]:
        """An untrained network, W = 0 and s = 1."""
        real = self.context.real
        width = self._flat.network.embedding_size + 1
        classifier = torch.zeros(width, real.classes, device=real.device, dtype=real.dtype)
        scale = torch.ones((), device=real.device, dtype=real.dtype)
        return super().fresh(index, purpose) | {
            CLASSIFIER: Variable(classifier, None),
            SCALE: Variable(scale, AdamUpdate(self.settings.lr_scale)),
        }

    def move(self, gradients: Mapping[str, Tensor], given: Given) -> None:
        """Move the labels, then the features, W and s."""
        places = self.inner_places(given.number)
        before = self.labels.index_select(0, places)
        super().move(gradients, given)
        self._learn(self.variables.all, places, before, self.labels.index_select(0, places))

    def gradients(self, given: Given) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Gradient of the labels, and loss and error (0-d) on real images: no derivative goes through the network."""
        places, labels, state = self.inner_places(given.number), self.variables.leaves()["labels"], self.variables.all
        with torch.no_grad():
            features = self._embed(state[NETWORK].values, self.images.index_select(0, places))
        classifier = self._classifier(state, features, labels.index_select(0, places))
        cotangent, terms = self._by_classifier(classifier.detach(), *self.real_batch(given.number))
        (by_labels,) = torch.autograd.grad(classifier, labels, cotangent)
        return {"labels": by_labels}, terms

    def trained(self, iteration: int, steps: int) -> Tensor:
        """(P,): a new network after ``steps`` steps on the images with their current labels; its classifier is s W."""
        state = self.tried(iteration, steps)
        scaled = state[SCALE].values * state[CLASSIFIER].values
        named = {"classifier.weight": scaled[:-1].T, "classifier.bias": scaled[-1]}
        return self._flat.flat(self._flat.named(state[NETWORK].values) | named)

    def learn(self, state: Mapping[str, Variable], places: Tensor) -> None:
        """A step of features, W and s on images of the set with their current labels."""
        labels = self.labels.index_select(0, places)
        self._learn(state, places, labels, labels)

    def _classifier(self, state: Mapping[str, Variable], features: Tensor, labels: Tensor) -> Tensor:
        """W (D + 1, K) of an iteration, differentiable by features and labels."""
        share = self.settings.classifier_share
        return (1 - share) * state[CLASSIFIER].values + share * linear_classifier(features, labels, self.settings.ridge)

    def _learn(self, state: Mapping[str, Variable], places: Tensor, solved: Tensor, wanted: Tensor) -> None:
        """A step of features and s on images of the set, and the new W.

        Args:
            state: what is trained.
            places: (B,) int64, the images.
            solved: (B, K) float, the labels that W' is solved for.
            wanted: (B, K) float, those of the loss.
        """
        weights, scale = state[NETWORK].leaf(), state[SCALE].leaf()
        features = self._embed(weights, self.images.index_select(0, places))
        classifier = self._classifier(state, features, solved)
        loss = F.cross_entropy(_logits(features, scale * classifier), wanted)
        by_weights, by_scale = torch.autograd.grad(loss, (weights, scale))
        state[NETWORK].step(by_weights)
        state[SCALE].step(by_scale)
        state[CLASSIFIER].values.copy_(classifier.detach())

    def _by_classifier(self, classifier: Tensor, images: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient (D + 1, K) of the mean cross-entropy by W, with loss and error, in pieces that fit in memory."""
        leaf, gradient = classifier.requires_grad_(), torch.zeros_like(classifier)
        weights, scale = (self.variables.all[name].values for name in (NETWORK, SCALE))
        loss, wrong = (torch.zeros((), device=images.device, dtype=images.dtype) for _ in range(2))
        for some, their_labels in self.pieces(images, labels):
            with torch.no_grad():
                features = self._embed(weights, some)
            logits = _logits(features, scale * leaf)
            part = F.cross_entropy(logits, their_labels, reduction="sum") / len(images)
            gradient = gradient + torch.autograd.grad(part, leaf)[0]
            loss, wrong = loss + part.detach(), wrong + (logits.argmax(dim=1) != their_labels).sum()
        return gradient, {"real_loss": loss, "real_error": wrong / len(images)}

    def _embed(self, weights: Tensor, images: Tensor) -> Tensor:
        """(B, D): features of images (B, C, H, W) with the network's parameters (P,)."""
        named = {f"network.{name}": value for name, value in self._flat.named(weights).items()}
        features: Tensor = functional_call(self._embedding, named, (images,))
        return features


class _Embedding(nn.Module):
    """A network without its classifier.

    Args:
        network: the network.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(B, D): embeddings of images (B, C, H, W)."""
        return self.network.embed(images)


def _logits(features: Tensor, classifier: Tensor) -> Tensor:
    """(B, K) of features (B, D) and a classifier (D + 1, K)."""
    return torch.addmm(classifier[-1], features, classifier[:-1])
