"""CAFE written from the paper: one forward pass of all images, PyTorch's optimisers, and the stop rules in place.

The network is in training mode throughout.
"""

import torch
import torch.nn.functional as F

from bacon.runtime.draws import device_permutation
from bacon.transforms.dsa import augment_batch, siamese_augment, siamese_draw
from tests.distillation.naive import build
from tests.methods.plain_convnet import blocks


class NaiveCafe:
    def __init__(self, real, settings, network, *, ipc, seed, initial):
        self.real, self.settings, self.network, self.ipc, self.seed = real, settings, network, ipc, seed
        self.x = initial.clone().requires_grad_()
        self.labels = torch.arange(real.classes).repeat_interleave(ipc)
        self.optimiser = torch.optim.SGD([self.x], lr=settings.lr_img, momentum=settings.momentum)

    def iteration(self, it):
        seen, s = self.x.detach().clone(), self.settings
        if it in [int(part * s.iterations) for part in s.lr_milestones]:
            self.optimiser.param_groups[0]["lr"] /= 2
        self.it, self.measured = it, 0
        self.net = build(self.real, self.network, self.seed, it)
        self.net_optimiser = torch.optim.SGD(self.net.parameters(), lr=s.lr_net)
        outer, epochs = [], 0
        for step in range(s.max_outer):
            self.optimiser.zero_grad()
            self.loss(it * s.max_outer + step).backward()
            self.optimiser.step()
            outer.append(self.accuracy(outer))
            last = outer[-s.window :]
            if (len(last) == s.window and max(last) - min(last) < s.outer_spread) or step + 1 == s.max_outer:
                break
            inner = []
            for _ in range(s.max_epochs):
                self.train(epochs)
                epochs += 1
                inner.append(self.accuracy(inner))
                last = inner[-s.window :]
                if len(last) == s.window and max(last) - min(last) > s.inner_spread:
                    break
        return seen

    def augmented(self, images, key, c):
        if not self.settings.augment:
            return images
        return siamese_augment(siamese_draw(self.settings.dsa_strategy, self.seed, key, [c]), images[None])[0]

    def loss(self, key):
        s, total, centres, reals = self.settings, 0.0, [], []
        of_classes = []
        for c in range(self.real.classes):
            size = min(s.batch_real, self.real.counts[c])
            indices = self.real.sample_classes(self.seed, "real-batch", iteration=key, classes=[c], size=size)[0]
            batches = self.real.batch(indices), self.x[self.labels == c]
            of_classes.append([self.augmented(images, key, c) for images in batches])
        real, synthetic = (self.features(list(batches)) for batches in zip(*of_classes, strict=True))
        for (maps_t, f_t), (maps_s, f_s) in zip(real, synthetic, strict=True):
            weights = [s.stage_weight] * (len(maps_t) - 1) + [s.last_weight]
            for weight, there, here in zip(weights, maps_t, maps_s, strict=True):
                total = total + weight * ((there.detach().mean(0) - here.mean(0)) ** 2).sum()
            total = total + (s.last_weight + 1) * ((f_t.detach().mean(0) - f_s.mean(0)) ** 2).sum()
            centres.append(f_s.mean(0))
            reals.append(f_t.detach())
        for c, f_t in enumerate(reals):
            logits = f_t @ torch.stack(centres).T
            labels = torch.full((len(f_t),), c)
            total = total + s.discrimination_weight * F.cross_entropy(logits, labels, reduction="sum")
        return total

    def features(self, batches):
        """Maps and embeddings of each class's images, from one forward pass of all."""
        maps, embeddings = blocks(self.net, torch.cat(batches))
        sizes = [len(images) for images in batches]
        maps_of_classes = zip(*(stage.split(sizes) for stage in maps), strict=True)
        return list(zip(maps_of_classes, embeddings.split(sizes), strict=True))

    def accuracy(self, before):
        shares = []
        for c in range(self.real.classes):
            size = min(self.settings.query, self.real.counts[c])
            seed = (self.seed, self.it)
            indices = self.real.sample_classes(seed, "cafe-query", iteration=self.measured, classes=[c], size=size)[0]
            shares.append(float((self.net(self.real.batch(indices)).argmax(1) == c).double().mean()))
        self.measured += 1
        value = sum(shares) / len(shares)
        if self.settings.accuracy == "published_code" and before:
            value += before[-1] / self.real.classes
        return value

    def train(self, epoch):
        s, seed, count = self.settings, (self.seed, self.it), len(self.x)
        order = device_permutation(seed, "cafe-order", count=count, device=self.x.device, iteration=epoch)
        for place, chosen in enumerate(order.split(s.batch_train)):
            images = self.x.detach()[chosen]
            if s.augment:
                images = augment_batch(s.dsa_strategy, images, seed, f"cafe-train-{place}", epoch)
            self.net_optimiser.zero_grad()
            F.cross_entropy(self.net(images), self.labels[chosen]).backward()
            self.net_optimiser.step()
