"""Real and synthetic images in the space that distillation matches: embeddings by one untrained network, in two dimensions.

The network is the data set's distillation network with fresh weights (docs/statistics.md, Figures): light, the same for every
method, and of the kind that DM matches with. Embeddings are reduced by principal components (PCA), and by t-SNE of the first of
these.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py
import numpy as np
import numpy.typing as npt
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from bacon.artifacts.distilled_layout import read_classes
from bacon.datasets.store import open_store, read_whitening
from bacon.networks.build import build_network
from bacon.reporting.collect.distilled_files import open_distilled
from bacon.reporting.collect.evaluations import ExpectedDistilled, check_fingerprint
from bacon.reporting.collect.nearest import ExpectedDataset
from bacon.reporting.collect.shown_snapshots import spread
from bacon.transforms.partition import decode

if TYPE_CHECKING:
    from bacon.datasets.whitening import Whitening
    from bacon.settings.network import NetworkSettings

CLASSES, REAL, SYNTHETIC = 10, 50, 10
"""At most so many classes, and of each so many real and (per method) synthetic images: t-SNE takes seconds, not minutes."""
_COMPONENTS = 30
_PERPLEXITY = 30.0
_ITERATIONS = 500
Points = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class EmbeddedSet:
    """Images of one origin in two dimensions.

    Attributes:
        method: name of the method; ``None`` for real images.
        title: the method's title.
        labels: (N,) place of the class among the classes shown.
        pca: (N, 2) first principal components of the embeddings; the axes are those of the real images.
        tsne: (N, 2).
    """

    method: str | None
    title: str
    labels: npt.NDArray[np.int64]
    pca: Points
    tsne: Points


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """All clouds of a data set, the real images first.

    Attributes:
        clouds: real images, then the methods.
        class_names: of the classes shown.
        classes: classes of the data set.
        explained: shares of the real embeddings' variance in the two principal components.
    """

    clouds: tuple[EmbeddedSet, ...]
    class_names: tuple[str, ...]
    classes: int
    explained: tuple[float, float]


def embed(real: ExpectedDataset, distilled: Sequence[ExpectedDistilled], *, network: NetworkSettings) -> Embedding:
    """Embed some real training images and some synthetic images of each method.

    Args:
        real: the data set.
        distilled: one distilled set of it per method.
        network: the embedding network; its weights are drawn with seed 0.

    Raises:
        BaconError: a file is missing, damaged or of another fingerprint.
    """
    images, labels, names, shown, form = _real(real)
    parts = [images, *(_synthetic(one, shown, form) for one in distilled)]
    model = build_network(
        network, channels=images.shape[1], size=images.shape[2], classes=len(names), seed=0,
        purpose="embedding figure", device=torch.device("cpu"),
    ).eval()  # fmt: skip
    with torch.no_grad():
        features = [model.embed(part).double().numpy() for part in parts]
    flat, planes, explained = _planes(features)
    counts = [len(labels), *(len(part) for part in parts[1:])]
    every = [labels, *(np.repeat(np.arange(len(shown)), count // len(shown)) for count in counts[1:])]
    ends = np.cumsum(counts)[:-1]
    titles = [(None, "Real images"), *((one.method, one.method_title) for one in distilled)]
    clouds = tuple(
        EmbeddedSet(method=method, title=title, labels=own, pca=pca, tsne=tsne)
        for (method, title), own, pca, tsne in zip(
            titles, every, np.split(flat, ends), np.split(planes, ends), strict=True
        )
    )
    class_names = tuple(names[label] for label in shown)
    return Embedding(clouds=clouds, class_names=class_names, classes=len(names), explained=explained)


@dataclass(frozen=True, kw_only=True)
class _Form:
    """How networks see pixels in [0, 1]: whitened, or normalised with mean and standard deviation (1, C, 1, 1)."""

    whitening: Whitening | None
    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]

    @classmethod
    def of(cls, file: h5py.File) -> _Form:
        """That of an open data set or distilled set."""
        mean, std = (np.asarray(file.attrs[key], np.float32).reshape(1, -1, 1, 1) for key in ("mean", "std"))
        return cls(whitening=read_whitening(file), mean=mean, std=std)

    def seen(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Images (N, C, H, W) in [0, 1] as networks see them."""
        return (pixels - self.mean) / self.std if self.whitening is None else self.whitening.apply(pixels)

    def pixels(self, seen: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The other way round."""
        return seen * self.std + self.mean if self.whitening is None else self.whitening.invert(seen)


def _real(real: ExpectedDataset) -> tuple[torch.Tensor, npt.NDArray[np.int64], list[str], list[int], _Form]:
    """(images as networks see them, places of their classes, all class names, labels of the classes shown, their form)."""
    with open_store(real.path) as file:
        check_fingerprint(real.path, expected=real.fingerprint, found=file.attrs.get("fingerprint"))
        names, labels = json.loads(file.attrs["class_names"]), file["train/labels"][()]
        shown = spread(range(len(names)), CLASSES)
        rows = [np.array(spread(np.flatnonzero(labels == label).tolist(), REAL), np.int64) for label in shown]
        chosen = np.sort(np.concatenate(rows))
        places = np.searchsorted(shown, labels[chosen])
        form = _Form.of(file)
        pixels = file["train/images"][chosen].astype(np.float32) / np.float32(255)
        return torch.from_numpy(form.seen(pixels)), places, names, shown, form


def _synthetic(expected: ExpectedDistilled, shown: Sequence[int], form: _Form) -> torch.Tensor:
    """Decoded training images in the real images' form, class by class, the same number of each."""
    with open_distilled(expected) as file:
        labels, partition = read_classes(file), int(file.attrs["partition"])
        # Whole stored images: as many as hold the number of training images wanted.
        wanted = max(1, SYNTHETIC // partition**2)
        rows = np.concatenate([np.flatnonzero(labels == label)[:wanted] for label in shown])
        images, own = decode(torch.from_numpy(file["images"][rows]), partition).contiguous(), _Form.of(file)
        if (own.whitening is None) == (form.whitening is None):
            return images
        return torch.from_numpy(form.seen(own.pixels(images.numpy())))


def _planes(features: Sequence[Points]) -> tuple[Points, Points, tuple[float, float]]:
    """Principal components fitted to the real images, and t-SNE of all images together."""
    components = min(_COMPONENTS, *features[0].shape)
    pca = PCA(n_components=components, svd_solver="full").fit(features[0])
    reduced = np.concatenate([pca.transform(one) for one in features])
    perplexity = min(_PERPLEXITY, (len(reduced) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", max_iter=_ITERATIONS, random_state=0).fit_transform(reduced)
    first, second = (float(share) for share in pca.explained_variance_ratio_[:2])
    return reduced[:, :2], tsne.astype(np.float64), (first, second)
