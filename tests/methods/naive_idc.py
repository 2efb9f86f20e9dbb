"""IDC and DREAM as published: pixels in [0, 1], an optimiser step for each class after the other, plain layers.

Only the draws, the augmentation of a batch and CutMix are the toolkit's, which have tests of their own.
"""

import numpy as np
import torch
import torch.nn.functional as F

from bacon.distillation.real_images import draw_without_replacement
from bacon.settings.augmentations import Idc
from bacon.settings.recipe import CutMix
from bacon.transforms.augmentation import Stream
from bacon.transforms.idc import augmentation, siamese
from bacon.transforms.mixing import mix
from benchmarks.naive import plain_network
from tests.distillation.naive import build, split_and_enlarge


def nearest_members(points, first, steps):
    """K-means by loops, and the point nearest to each centroid."""
    points = np.asarray(points)
    centroids = [points[index].copy() for index in first]
    for _ in range(steps):
        owners = [nearest(point, centroids) for point in points]
        for number in range(len(centroids)):
            members = [point for point, owner in zip(points, owners, strict=True) if owner == number]
            if members:
                centroids[number] = sum(members) / len(members)
    margin = 1e-5 * ((points - points.mean(0)) ** 2).sum(1).mean()  # the two members of a pair are equally near
    distances = [((points - centroid) ** 2).sum(1) for centroid in centroids]
    return [int(np.flatnonzero(to_all <= to_all.min() + margin)[0]) for to_all in distances]


def nearest(point, centroids):
    return int(np.argmin([((point - centroid) ** 2).sum() for centroid in centroids]))


class NaiveIDC:
    """Arguments as ``NaiveLoop`` (tests/distillation/naive.py)."""

    def __init__(self, real, settings, network, *, ipc, seed, initial):
        self.real, self.settings, self.network, self.ipc, self.seed = real, settings, network, ipc, seed
        self.mean, self.std = real.pixel_mean, real.pixel_std
        self.x = (initial * self.std + self.mean).requires_grad_()
        rate = settings.lr_img * ipc / 10 * (real.shape[1] / settings.reference_size) ** 2
        self.optimiser = torch.optim.SGD([self.x], lr=rate, momentum=settings.momentum)
        self.chosen = []

    def iteration(self, it):
        """Run one iteration; return the images as they were before, in [0, 1], normalised."""
        self.x.data.clamp_(0, 1)
        before, own = (self.x.detach() - self.mean) / self.std, self.settings.networks
        net = plain_network(self.network, self.real.shape, self.real.classes).to(torch.float64)
        theirs = build(self.real, self.network, self.seed, it).state_dict()
        net.load_state_dict(dict(zip(net.state_dict(), theirs.values(), strict=True)))
        net_optimiser = torch.optim.SGD(
            net.parameters(), lr=own.lr, momentum=own.momentum, weight_decay=own.weight_decay
        )
        for step in range(self.settings.inner):
            occasion = it * self.settings.inner + step
            if self.settings.sampling == "clusters" and step % self.settings.refresh == 0:
                self.chosen = [self.representatives(net, c, occasion) for c in range(self.real.classes)]
            for c in range(self.real.classes):
                self.optimiser.zero_grad()
                self.class_loss(net, c, occasion).backward()
                self.optimiser.step()
            self.train(net, net_optimiser, occasion)
        return before

    def members(self, c):
        return [index for index, label in enumerate(self.real.labels.tolist()) if label == c]

    def draw(self, purpose, c, occasion, population, size):
        lanes, populations = torch.tensor([c]), torch.tensor([population])
        return draw_without_replacement(
            self.seed, purpose, iteration=occasion, lanes=lanes, populations=populations, largest=population, size=size
        )[0]

    def representatives(self, net, c, occasion):
        members = self.members(c)
        size = min(self.settings.batch_real, len(members))
        if size == len(members):
            return torch.tensor(members)
        first = self.draw("first-centroids", c, occasion, len(members), size).tolist()
        embedded = net[:-1](self.real.batch(torch.tensor(members))).detach()
        return torch.tensor(members)[nearest_members(embedded, first, self.settings.cluster_steps)]

    def class_loss(self, net, c, occasion):
        s, size = self.settings, min(self.settings.batch_real, self.real.counts[c])
        if s.sampling == "clusters":
            indices = self.chosen[c]
        else:
            indices = self.real.sample_classes(self.seed, "real-batch", iteration=occasion, classes=[c], size=size)[0]
        images = (self.x[c * self.ipc : (c + 1) * self.ipc] - self.mean) / self.std
        decoded = torch.stack([part for image in images for part in split_and_enlarge(image, s.partition)])
        if s.batch_synthetic < len(decoded):
            decoded = decoded[self.draw("synthetic-batch", c, occasion, len(decoded), s.batch_synthetic)]
        together = torch.cat([self.real.batch(indices), decoded])
        augmented = siamese(s.idc_strategy, self.seed, "idc", occasion, [c])(together[None])[0]
        real, synthetic = augmented[: len(indices)], augmented[len(indices) :]
        wanted = [
            weight for weight in net.parameters() if weight.ndim == 4 or (s.matched == "weights" and weight.ndim == 2)
        ]
        towards = torch.autograd.grad(F.cross_entropy(net(real.detach()), torch.full((len(real),), c)), wanted)
        found = torch.autograd.grad(
            F.cross_entropy(net(synthetic), torch.full((len(synthetic),), c)), wanted, create_graph=True
        )
        differences = [a - b for a, b in zip(found, towards, strict=True)]
        return sum((d**2 if s.distance == "squared" else d.abs()).sum() for d in differences)

    def train(self, net, optimiser, occasion):
        own, classes = self.settings.networks, self.real.classes
        steps = -(-min(own.images, len(self.real.labels)) // own.batch)
        size = min(steps * own.batch, len(self.real.labels))
        indices = self.real.sample_all(self.seed, "idc-training", iteration=occasion, lanes=1, size=size)[0]
        for number, some in enumerate(indices.split(own.batch)):
            stream = Stream(seed=(self.seed, occasion), purpose="idc-training", first_iteration=number)
            images = augmentation(Idc(strategy=own.idc_strategy))(self.real.batch(some), [len(some)], stream)
            shares = F.one_hot(self.real.labels[some], classes).double()
            if own.cutmix:
                images, partner, share = mix(CutMix(probability=own.cutmix), images, [len(some)], stream)
                shares = share[:, None] * shares + (1 - share[:, None]) * shares[partner]
            loss = -(shares * net(images).log_softmax(dim=1)).sum(dim=1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
