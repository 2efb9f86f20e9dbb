"""The baseline: distillation one class at a time, written the way published code works, from docs/algorithms.md.

Class by class: real images chosen by permuting a host list of all indices, affine grids made one image at a time, the
synthetic images passed twice (embedding, then logits), one optimiser step, and the loss read back to the host. Plain
modules and ``torch.optim.SGD`` with PyTorch's own layers; nothing of the engine's loop.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bacon.distillation.real_images import RealImages
from bacon.settings.distillation import MatchingSettings
from bacon.settings.network import NetworkSettings


def plain_network(network: NetworkSettings, shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """ConvNet with instance norm, ReLU and average pooling from PyTorch's layers; the last two are flatten and linear."""
    channels, size, _ = shape
    side = size + 4 if size == 28 else size
    layers: list[nn.Module] = []
    for block in range(network.depth):
        padding = 3 if block == 0 and size == 28 else 1
        layers.append(nn.Conv2d(channels, network.width, 3, padding=padding))
        layers += [nn.GroupNorm(network.width, network.width), nn.ReLU(inplace=True), nn.AvgPool2d(2)]
        channels, side = network.width, side // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side * side, classes))


class PlainLoop:
    """A distillation that does everything when it comes to it.

    Args:
        real: the training set.
        settings: distillation settings with a queue of networks.
        network: architecture, with instance norm, ReLU and average pooling.
        ipc: stored images per class.
    """

    def __init__(self, real: RealImages, settings: MatchingSettings, network: NetworkSettings, *, ipc: int) -> None:
        self.settings, self.network, self.ipc = settings, network, ipc
        self.random = np.random.default_rng(0)
        self.images = real.batch(torch.arange(len(real.labels), device=real.device))
        self.labels, self.device = real.labels, real.device
        self.shape, self.classes = real.shape, real.classes
        self.indices_of = [np.flatnonzero(real.labels.cpu().numpy() == label).tolist() for label in range(self.classes)]
        self.x = torch.cat([self.some(label, ipc) for label in range(self.classes)]).requires_grad_()
        self.optimiser = torch.optim.SGD([self.x], lr=settings.lr_img, momentum=settings.momentum)
        self.queue: list[tuple[nn.Sequential, torch.optim.SGD, list[int]]] = []
        for _ in range(settings.networks.start if settings.networks.source == "queue" else 0):
            self.push()
        self.number = 0

    def some(self, label: int, count: int) -> Tensor:
        """``count`` different real images of a class."""
        return self.images[self.random.permutation(self.indices_of[label])[:count]]

    def push(self) -> None:
        """One more network in the queue."""
        queue = self.settings.networks
        assert queue.source == "queue"
        network = plain_network(self.network, self.shape, self.classes).to(self.device, self.images.dtype)
        optimiser = torch.optim.SGD(
            network.parameters(), lr=queue.lr_net, momentum=queue.momentum, weight_decay=queue.weight_decay
        )
        self.queue = [*self.queue, (network, optimiser, [0, 0])][-queue.capacity :]

    def iteration(self) -> None:
        """One iteration: match class by class, then train networks of the queue."""
        queue = self.settings.networks
        if queue.source == "queue":
            if self.number % queue.net_generate_interval == 0:
                self.push()
            network, _, meter = self.queue[self.random.integers(len(self.queue))]
            accuracy = 100 * meter[0] / max(meter[1], 1)
        else:
            network, accuracy = (
                plain_network(self.network, self.shape, self.classes).to(self.device, self.images.dtype),
                0.0,
            )
        for label in range(self.classes):
            self.optimiser.zero_grad()
            loss = self.class_loss(network, label, accuracy)
            loss.backward()
            self.optimiser.step()
            loss.item()
        if queue.source == "queue":
            self.train()
        self.number += 1

    def class_loss(self, network: nn.Sequential, label: int, accuracy: float) -> Tensor:
        """The loss of one class."""
        real = self.some(label, self.settings.batch_real)
        synthetic = unpacked(self.x[label * self.ipc : (label + 1) * self.ipc], self.settings.partition)
        seed = time.time_ns() % 100_000
        real, synthetic = (augmented(images, self.settings.dsa_strategy, seed) for images in (real, synthetic))
        embed = network[:-1]
        loss = match(self.settings, embed(real).detach(), embed(synthetic))
        if self.settings.networks.source == "queue":
            labels = torch.full((len(synthetic),), label, device=self.device)
            loss = loss + self.settings.networks.ce_weight * accuracy * F.cross_entropy(network(synthetic), labels)
        return loss

    def train(self) -> None:
        """A few steps of two networks."""
        queue = self.settings.networks
        assert queue.source == "queue"
        for position in self.random.permutation(len(self.queue))[: queue.networks_trained]:
            network, optimiser, meter = self.queue[position]
            for _ in range(queue.model_train_steps):
                flat = [index for members in self.indices_of for index in members]
                chosen = self.random.permutation(flat)[: queue.batch_train]
                logits, labels = network(self.images[chosen]), self.labels[chosen]
                optimiser.zero_grad()
                F.cross_entropy(logits, labels).backward()
                optimiser.step()
                meter[0] += int((logits.argmax(1) == labels).sum())
                meter[1] += len(labels)


def match(settings: MatchingSettings, real: Tensor, synthetic: Tensor) -> Tensor:
    """The matching loss of embeddings (B, D) and (n, D); the published CLIP is identically zero."""
    mean_real, mean_synthetic = real.mean(0), synthetic.mean(0)
    objective = settings.objective
    if objective.kind == "mean":
        return (mean_real - mean_synthetic).square().sum()
    sigma = real.std(0)
    llh = (0.5 * ((mean_synthetic - mean_real) / sigma.exp()) ** 2 + sigma + 0.5 * math.log(2 * math.pi)).sum()
    total: Tensor = llh + objective.lambda_ * 0.5 * (mean_synthetic - mean_real).abs().sum()
    return total


def unpacked(images: Tensor, factor: int) -> Tensor:
    """The images that a partitioned image holds, full size."""
    if factor == 1:
        return images
    side = images.shape[-1] // factor
    corners = [(row * side, column * side) for row in range(factor) for column in range(factor)]
    parts = [images[..., y : y + side, x : x + side] for y, x in corners]
    return torch.cat([F.interpolate(part, scale_factor=factor, mode="bilinear") for part in parts])


def augmented(images: Tensor, strategy: str, seed: int) -> Tensor:
    """One DSA operation with one draw for all images, its affine grids made image by image."""
    if strategy == "none":
        return images
    generator = torch.Generator().manual_seed(seed)
    names = strategy.split("_")
    name = names[int(torch.randint(len(names), (1,), generator=generator))]
    u: list[float] = torch.rand(3, generator=generator).tolist()
    height = images.shape[-1]
    if name == "color":
        images = images + (u[0] - 0.5)
        mean = images.mean(1, keepdim=True)
        images = (images - mean) * (2 * u[1]) + mean
        mean = images.mean((1, 2, 3), keepdim=True)
        return (images - mean) * (u[2] + 0.5) + mean
    if name == "crop":
        reach = int(height * 0.125 + 0.5)
        y, x = (int(value * (2 * reach + 1)) for value in u[:2])
        return F.pad(images, [reach] * 4)[..., y : y + height, x : x + height]
    if name == "cutout":
        mask = torch.ones_like(images)
        y, x = (int(value * (height + 1)) for value in u[:2])
        mask[..., max(0, y - height // 4) : y + height // 4, max(0, x - height // 4) : x + height // 4] = 0
        return images * mask
    if name == "flip":
        return images.flip(-1) if u[0] < 0.5 else images
    return warped(images, name, u)


def warped(images: Tensor, name: str, u: list[float]) -> Tensor:
    """Scale or rotation."""
    if name == "scale":
        matrix = [[u[0] * (1.2 - 1 / 1.2) + 1 / 1.2, 0, 0], [0, u[1] * (1.2 - 1 / 1.2) + 1 / 1.2, 0]]
    else:
        angle = (2 * u[0] - 1) * math.radians(15)
        matrix = [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]]
    theta = torch.stack([torch.tensor(matrix, dtype=images.dtype) for _ in range(len(images))]).to(images.device)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    sampled: Tensor = F.grid_sample(images, grid, align_corners=False)
    return sampled
