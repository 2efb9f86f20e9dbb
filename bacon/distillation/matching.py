"""The distillation loop: match synthetic to real embeddings, all classes in one step (docs/algorithms.md).

The published code takes one momentum step per class over the whole tensor. The network is frozen and its norm has no batch
dependence, so the classes' gradients are independent of each other, and the loop over classes equals one step with the
recurrence in :func:`image_step`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.artifacts.snapshots import Snapshots
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.chunks import ClassChunk, class_chunks
from bacon.distillation.history import History
from bacon.distillation.initialisation import noise_images, real_images
from bacon.distillation.pools import Fresh, NetworkSource, Queue
from bacon.distillation.real_images import RealImages
from bacon.methods.base import RealStatistics
from bacon.networks.build import build_network
from bacon.networks.network import Network
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger
from bacon.runtime.progress import Progress
from bacon.training.steps import worth_recording
from bacon.transforms.dsa import SiameseDraw, siamese_augment, siamese_draw
from bacon.transforms.partition import decode

if TYPE_CHECKING:
    from bacon.settings.distillation import MatchingSettings
    from bacon.settings.network import NetworkSettings

log = get_logger(__name__)

_USUAL_PIXELS = 32 * 32
# First maps of a piece, per thread. A real batch of 1442 16x16 images, width 32, one core: 25 ms at once, 18 ms in pieces.
_CACHE_BYTES = 8 * 2**20


def image_step(
    images: Tensor, momentum_buffer: Tensor, gradient: Tensor, *, settings: MatchingSettings, classes: int
) -> None:
    """One step of the images, in place.

    ``joint`` is SGD with momentum m: b <- m b + g, x <- x - lr b. ``per_class`` is the published loop over C classes, seen
    from one turn of a class to its next: at its turn b <- m b + g and x <- x - lr b, and at each of the other C - 1 turns
    b <- m b and x <- x - lr b. With b the buffer at the turn: b <- m^C b + g, x <- x - lr b (1 - m^C) / (1 - m).
    """
    turns = classes if settings.update == "per_class" else 1
    decay = settings.momentum**turns
    momentum_buffer.mul_(decay).add_(gradient)
    images.sub_(momentum_buffer, alpha=settings.lr_img * (1 - decay) / (1 - settings.momentum))


def _std(x: Tensor, mean: Tensor) -> Tensor:
    """Unbiased standard deviation (K, D) over the batches of ``x`` (K, B, D) with means (K, D).

    In two passes of whole rows: at (10, 64, 128) on one core 0.05 ms, against 0.48 ms for ``x.std(dim=1)``.
    """
    squares = (x - mean[:, None]).square_().sum(dim=1)
    return squares.div_(x.shape[1] - 1).sqrt_()


@dataclass
class State:
    """Everything that changes from one iteration to the next, besides the network source."""

    images: Tensor
    momentum: Tensor
    iteration: int = 0
    snapshots: Snapshots | dict[int, SyntheticSet] = field(default_factory=dict)


class Engine:
    """Distils one cell.

    Args:
        real: the real training set on its device; its dtype is the engine's.
        settings: distillation settings.
        network: architecture of the embedding networks.
        ipc: stored images per class.
        seed: distillation seed, the key of every draw.
        chunk_images: images of 32x32 pixels embedded at a time, to bound memory; halved when it does not suffice.
    """

    def __init__(
        self,
        real: RealImages,
        settings: MatchingSettings,
        network: NetworkSettings,
        *,
        ipc: int,
        seed: int,
        chunk_images: int = 2048,
    ) -> None:
        self.real, self.settings, self.network, self.ipc, self.seed = real, settings, network, ipc, seed
        self.chunk(chunk_images)
        images = self.initial_images()
        self.state = State(images=images, momentum=torch.zeros_like(images))
        self.source = self._make_source()
        self.history = History(self.term_names(), settings.iterations, device=real.device)

    def chunk(self, images: int) -> None:
        """Embed at most ``images`` images of 32x32 pixels at a time, fewer larger ones, for the same memory."""
        self.chunk_images = images
        pixels = self.real.shape[1] * self.real.shape[2]
        self._limit = max(1, images * _USUAL_PIXELS // max(pixels, _USUAL_PIXELS))
        self.chunks = class_chunks(
            self.real.counts,
            batch_real=self.settings.batch_real,
            synthetic=self.ipc * self.settings.partition**2,
            limit=self._limit,
        )

    @property
    def labels(self) -> Tensor:
        """(classes * ipc,) int64, class order."""
        return torch.arange(self.real.classes, device=self.real.device).repeat_interleave(self.ipc)

    def initial_images(self) -> Tensor:
        """(classes * ipc, C, H, W): the images of iteration 0."""
        if self.settings.init == "noise":
            return noise_images(self.real, ipc=self.ipc, seed=self.seed)
        return real_images(self.real, ipc=self.ipc, partition=self.settings.partition, seed=self.seed)

    def term_names(self) -> tuple[str, ...]:
        """What the history records per iteration."""
        queue_terms = ("ce", "queue_accuracy") if self.settings.networks.source == "queue" else ()
        return (*self.settings.objective.weights(), *queue_terms, "loss")

    def build(self, index: int) -> Network:
        """The embedding network with serial number ``index``."""
        channels, size, _ = self.real.shape
        return build_network(
            self.network,
            channels=channels,
            size=size,
            classes=self.real.classes,
            seed=self.seed,
            purpose="embedding-network",
            index=index,
            device=self.real.device,
            dtype=self.real.dtype,
        )

    def _make_source(self) -> NetworkSource:
        networks = self.settings.networks
        if networks.source == "queue":
            steps = self.settings.iterations * networks.networks_trained * networks.model_train_steps
            shared = worth_recording(self.real.device, steps)
            return Queue(networks, self.build, self.real, seed=self.seed, shared=shared)
        return Fresh(self.build, device=self.real.device, dtype=self.real.dtype)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next iteration depends on, and what the artifact will hold: tensors, numbers, containers."""
        return {**vars(self.state), "source": self.source.state_dict(), "history": self.history.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken, with the same bits as if nothing had happened."""
        self.state = State(**{name: state[name] for name in vars(self.state)})
        self.source.load_state_dict(state["source"])
        self.history.load_state_dict(state["history"])

    def check(self) -> None:
        """Raise :class:`BaconError` when a loss term or an image is not finite."""
        self.history.check()
        if not bool(self.state.images.isfinite().all()):
            raise BaconError(
                f"iteration {self.state.iteration - 1}: the images are not finite after this step; lower lr_img or ce_weight"
            )

    def run(self, progress: Progress, after_iteration: Callable[[], None] = lambda: None) -> None:
        """Iterate to the end, keeping snapshots; ``after_iteration`` may save the state or end the run by an error."""
        keep = set(self.settings.snapshot_iterations())
        self._snapshot(keep)
        while self.state.iteration < self.settings.iterations:
            self.step()
            self._snapshot(keep)
            progress.advance()
            after_iteration()
        self.check()

    def _snapshot(self, keep: set[int]) -> None:
        if self.state.iteration in keep and self.state.iteration not in self.state.snapshots:
            self.state.snapshots[self.state.iteration] = self.synthetic()

    def synthetic(self) -> SyntheticSet:
        """A copy of the images as they are now, on the CPU, with their classes."""
        images = self.state.images.detach().to("cpu", torch.float32, copy=True)
        return SyntheticSet(images=images, classes=self.labels.cpu(), partition=self.settings.partition)

    def step(self) -> None:
        """One iteration: match, move the images, train the source's networks."""
        iteration = self.state.iteration
        self.source.begin(iteration)
        network, accuracy = self.source.draw(iteration)
        gradient, terms = self._gradient_in_memory(iteration, network, accuracy)
        image_step(self.state.images, self.state.momentum, gradient, settings=self.settings, classes=self.real.classes)
        self.source.train(iteration)
        self.history.record(iteration, terms)
        self.state.iteration += 1

    def _gradient_in_memory(
        self, iteration: int, network: Network, accuracy: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """:meth:`gradient`; where the device's memory does not suffice, once more with half the chunk."""
        try:
            return self.gradient(iteration, network, accuracy)
        except torch.OutOfMemoryError:
            if self.chunk_images == 1:
                raise
            self.chunk(self.chunk_images // 2)
            log.warning(
                "iteration %d: the device's memory does not suffice; run.chunk_images is now %d for the rest of this job",
                iteration,
                self.chunk_images,
            )
        # Out of the handler: the exception's frames hold the tensors that did not fit.
        if self.real.device.type == "cuda":
            torch.cuda.empty_cache()
        return self.gradient(iteration, network, accuracy)

    def gradient(self, iteration: int, network: Network, accuracy: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient of the loss with respect to the images, and each term's mean over classes.

        Args:
            iteration: key of the draws.
            network: frozen embedding network.
            accuracy: 0-d, its running training accuracy in percent, which weights the cross-entropy.

        Returns:
            (classes * ipc, C, H, W) gradient, and name -> 0-d tensor.
        """
        gradient = torch.empty_like(self.state.images)
        shaped = gradient.unflatten(0, (self.real.classes, self.ipc))
        totals = {name: accuracy.new_zeros(()) for name in self.term_names()}
        for chunk in self.chunks:
            chosen, terms = self._chunk_gradient(chunk, iteration, network, accuracy)
            shaped[self.real.index(chunk.classes)] = chosen
            for name, values in terms.items():
                totals[name] = totals[name] + values.detach().sum() / self.real.classes
        if "queue_accuracy" in totals:
            totals["queue_accuracy"] = accuracy
        return gradient, totals

    def _chunk_gradient(
        self, chunk: ClassChunk, iteration: int, network: Network, accuracy: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        draw = siamese_draw(self.settings.dsa_strategy, self.seed, iteration, chunk.classes)
        statistics = self.real_statistics(chunk, draw, iteration, network)
        images = self.state.images.unflatten(0, (self.real.classes, self.ipc))[self.real.index(chunk.classes)]
        images = images.detach().requires_grad_()
        terms = self._terms(chunk, draw, images, statistics, network, accuracy)
        (gradient,) = torch.autograd.grad(terms["loss"].sum(), images)
        return gradient, terms

    def _terms(
        self,
        chunk: ClassChunk,
        draw: SiameseDraw,
        images: Tensor,
        statistics: RealStatistics,
        network: Network,
        accuracy: Tensor,
    ) -> dict[str, Tensor]:
        """Loss and its terms per class of the chunk; ``images`` (K, ipc, C, H, W) carries the gradient."""
        decoded = siamese_augment(draw, decode(images, self.settings.partition))  # (K, n, C, H, W)
        embedding = network.embed(decoded.flatten(0, 1))  # (K n, D)
        terms = self.settings.objective.terms(statistics, embedding.unflatten(0, decoded.shape[:2]).mean(dim=1))
        weights = self.settings.objective.weights()
        loss = sum((weight * terms[name] for name, weight in weights.items()), start=accuracy.new_zeros(()))
        if self.settings.networks.source == "queue":
            labels = self.real.index(chunk.classes).repeat_interleave(decoded.shape[1])
            logits = network.classify(embedding)
            terms["ce"] = F.cross_entropy(logits, labels, reduction="none").unflatten(0, decoded.shape[:2]).mean(dim=1)
            loss = loss + self.settings.networks.ce_weight * accuracy * terms["ce"]
        return {**terms, "loss": loss}

    @torch.no_grad()
    def real_statistics(self, chunk: ClassChunk, draw: SiameseDraw, iteration: int, network: Network) -> RealStatistics:
        """Mean and, where needed, standard deviation of the embedded real batch of each class of the chunk."""
        indices = self.real.sample_classes(
            self.seed, "real-batch", iteration=iteration, classes=chunk.classes, size=chunk.batch_real
        )
        pieces = (piece for part in self._augmented(indices, draw) for piece in part.split(self._at_once()))
        embedded = torch.cat([network.embed(piece) for piece in pieces])
        shaped = embedded.unflatten(0, indices.shape)  # (K, B, D)
        mean = shaped.mean(dim=1)
        std = _std(shaped, mean) if self.settings.objective.needs_std else None
        return RealStatistics(mean=mean, std=std)

    def _at_once(self) -> int:
        """Images embedded at a time without a gradient: on the CPU as many as its cache holds first maps of."""
        if self.real.device.type != "cpu":
            return self._limit
        _, height, width = self.real.shape
        map_bytes = self.network.width * height * width * self.real.dtype.itemsize
        return min(self._limit, max(1, torch.get_num_threads() * _CACHE_BYTES // map_bytes))

    def _augmented(self, indices: Tensor, draw: SiameseDraw) -> Iterator[Tensor]:
        """The real images at ``indices`` (K, B), normalised and augmented, in pieces that memory has room for."""
        per_class = max(1, self._limit // len(indices))
        if per_class >= indices.shape[1]:
            yield siamese_augment(draw, self.real.batch(indices)).flatten(0, 1)
            return
        # One class exceeds the limit on its own; chunks of several classes never do.
        for piece in indices.split(per_class, dim=1):
            yield siamese_augment(draw, self.real.batch(piece)).flatten(0, 1)
