"""Gradient matching as the published program does it, class by class with plain layers; it uses the toolkit's draws only."""

import torch
import torch.nn.functional as F

from bacon.runtime.draws import device_permutation
from bacon.transforms.dsa import augment_batch, siamese_augment, siamese_draw
from benchmarks.naive import plain_network
from tests.distillation.naive import build


def distance(real, synthetic):
    """D of two lists of gradients, row by row."""
    total = 0.0
    for a, b in zip(real, synthetic, strict=True):
        if a.ndim > 1:
            for row, other in zip(a.flatten(1), b.flatten(1), strict=True):
                total = total + 1 - (row * other).sum() / (row.norm() * other.norm() + 1e-6)
    return total


class NaiveGradientMatching:
    """Arguments as ``NaiveLoop`` (tests/distillation/naive.py)."""

    def __init__(self, real, settings, network, *, ipc, seed, initial):
        self.real, self.settings, self.network, self.ipc, self.seed = real, settings, network, ipc, seed
        self.x = initial.clone().requires_grad_()
        self.labels = torch.arange(real.classes).repeat_interleave(ipc)
        self.optimiser = torch.optim.SGD([self.x], lr=settings.lr_img, momentum=settings.momentum)
        self.strategy, self.loss = getattr(settings, "dsa_strategy", "none"), 0.0

    def iteration(self, it):
        """Run one iteration; return the images as they were before."""
        before, outer, losses = self.x.detach().clone(), self.settings.loops(self.ipc).outer, []
        net = plain_network(self.network, self.real.shape, self.real.classes).to(torch.float64)
        theirs = build(self.real, self.network, self.seed, it).state_dict()
        net.load_state_dict(dict(zip(net.state_dict(), theirs.values(), strict=True)))
        for step in range(outer):
            loss = self.matching_loss(net, it, step, it * outer + step)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            losses.append(float(loss.detach()))
            if step < outer - 1:
                self.train(net, it, step)
        self.loss = sum(losses) / len(losses)
        return before

    def matching_loss(self, net, it, step, occasion):
        real, augmented = [], []
        for c in range(self.real.classes):
            draw = siamese_draw(self.strategy, self.seed, occasion, [c])
            size = min(self.settings.batch_real, self.real.counts[c])
            indices = self.real.sample_classes(self.seed, "real-batch", iteration=occasion, classes=[c], size=size)[0]
            images = siamese_augment(draw, self.real.batch(indices)[None])[0]
            loss = F.cross_entropy(net(images), torch.full((size,), c))
            real.append(torch.autograd.grad(loss, list(net.parameters())))
            augmented.append(siamese_augment(draw, self.x[None, c * self.ipc : (c + 1) * self.ipc])[0])
        warm = getattr(self.settings, "warmup_iterations", 10**9), getattr(self.settings, "warmup_steps", 10**9)
        if it >= warm[0] or step >= warm[1]:
            loss = F.cross_entropy(net(torch.cat(augmented)), self.labels)
            whole = torch.autograd.grad(loss, list(net.parameters()), create_graph=True)
            return distance([sum(each) / len(each) for each in zip(*real, strict=True)], whole)
        total = 0.0
        for c, images in enumerate(augmented):
            loss = F.cross_entropy(net(images), torch.full((self.ipc,), c))
            total = total + distance(real[c], torch.autograd.grad(loss, list(net.parameters()), create_graph=True))
        return total

    def train(self, net, it, step):
        optimiser, seed, number = torch.optim.SGD(net.parameters(), lr=self.settings.lr_net), (self.seed, it, step), 0
        for epoch in range(self.settings.loops(self.ipc).inner):
            order = device_permutation(
                seed, "inner-training-order", count=len(self.labels), device=self.real.device, lanes=epoch
            )
            for batch in order.split(self.settings.batch_train):
                images = augment_batch(self.strategy, self.x.detach()[batch], seed, "inner-training-dsa", number)
                optimiser.zero_grad()
                F.cross_entropy(net(images), self.labels[batch]).backward()
                optimiser.step()
                number += 1
