"""What every network has: a part that embeds images and a linear classifier on top of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bacon.networks.arithmetic import Precision, arithmetic_of
from bacon.networks.convolution import Convolution
from bacon.networks.initial_weights import Initialisation, pytorch_default
from bacon.networks.stage_maps import stage_maps


class Network(nn.Module):
    """Images -> ``features`` -> embedding psi -> linear ``classifier`` -> logits.

    Args:
        features: images (N, C, H, W) to maps or vectors whose entries per image number ``embedding_size``.
        embedding_size: entries of an embedding.
        classes: number of classes.
        initialisation: of the parameters of ``features``.
        device: where the classifier is made; "meta" makes nothing (see ``bacon.networks.build``).
        dtype: of the classifier, float32 or float64.

    Attributes:
        precision: of the layers below the classifier (``network.precision``); the classifier is float32 in any.
        initialisation: how the parameters of ``features`` start.
        classifier_initialisation: how those of the classifier start: by PyTorch's default, unless an architecture says other.
    """

    def __init__(
        self,
        features: nn.Module,
        *,
        embedding_size: int,
        classes: int,
        initialisation: Initialisation = pytorch_default,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.precision: Precision = "fp32"
        self.initialisation = initialisation
        self.classifier_initialisation: Initialisation = pytorch_default
        self.features = features
        self.embedding_size = embedding_size
        self.classifier = nn.Linear(embedding_size, classes, device=device, dtype=dtype)

    def embed(self, x: Tensor) -> Tensor:
        """Embedding psi: the flattened output of the part below the classifier.

        Args:
            x: (N, C, H, W) float, normalised images.

        Returns:
            (N, embedding_size) float, in the dtype of ``x`` whatever the precision.
        """
        return self.embedded_maps(x).flatten(1).to(x.dtype)

    def embedded_maps(self, x: Tensor) -> Tensor:
        """:meth:`maps` in the network's precision and in the dtype of its layers: what :meth:`embed` flattens."""
        with arithmetic_of(self.precision, x.device):
            return self.maps(x)

    def embed_with_stages(self, x: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """:meth:`embed`, and the maps of each stage before they are pooled (``bacon.networks.stage_maps``).

        Args:
            x: (N, C, H, W) float, normalised images.

        Returns:
            Maps of each stage, (N, C', H', W'), first stage first, and the embedding (N, embedding_size); all in the dtype
            of ``x``.

        Raises:
            BaconError: the network has no stages that are known.
        """
        with arithmetic_of(self.precision, x.device):
            stages, maps = stage_maps(self.features, x)
        return tuple(stage.to(x.dtype) for stage in stages), maps.flatten(1).to(x.dtype)

    def maps(self, x: Tensor) -> Tensor:
        """What the part below the classifier makes of images (N, C, H, W), before it is flattened."""
        maps: Tensor = self.features(x)
        return maps

    def rounded_weights(self) -> list[Tensor]:
        """The weights that convolutions round to bfloat16 whenever they run: none unless the precision is bf16."""
        if self.precision != "bf16":
            return []
        weights = [layer.weight for layer in self.modules() if isinstance(layer, Convolution)]
        return [weight for weight in weights if weight.dtype == torch.float32 and weight.requires_grad]

    def classify(self, embedding: Tensor) -> Tensor:
        """Logits (N, classes) of embeddings (N, embedding_size)."""
        return F.linear(embedding, self.classifier.weight, self.classifier.bias)

    def classify_maps(self, maps: Tensor, dtype: torch.dtype) -> Tensor:
        """Logits (N, classes) of what :meth:`embedded_maps` gives, whose embeddings are in ``dtype``."""
        return self.classify(maps.flatten(1).to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W)."""
        return self.classify_maps(self.embedded_maps(x), x.dtype)
