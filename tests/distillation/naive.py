"""Published-style distillation, one class at a time, written from the formulas and sharing no loop code with the engine.

It uses the engine's draws (which network, which images, which augmentation), ordinary modules and ``torch.optim.SGD``.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

from bacon.networks.build import build_network
from bacon.runtime.draws import uniform, words
from bacon.transforms.dsa import siamese_augment, siamese_draw


def build(real, network, seed, index):
    channels, size, _ = real.shape
    return build_network(
        network,
        channels=channels,
        size=size,
        classes=real.classes,
        seed=seed,
        purpose="embedding-network",
        index=index,
        device=real.device,
        dtype=torch.float64,
    )


def split_and_enlarge(image, factor):
    """(C, H, W) -> list of factor^2 images, each a part enlarged to the full size."""
    height, width = image.shape[1] // factor, image.shape[2] // factor
    parts = []
    for row in range(factor):
        for column in range(factor):
            part = image[:, row * height : (row + 1) * height, column * width : (column + 1) * width]
            parts.append(F.interpolate(part[None], size=image.shape[1:], mode="bilinear")[0] if factor > 1 else part)
    return parts


def match(kind, real, synthetic, lam, clip):
    """The loss of one class from its embeddings (B, D) and (n, D)."""
    mean_t, mean_s = real.mean(0), synthetic.mean(0)
    if kind == "mean":
        return ((mean_t - mean_s) ** 2).sum()
    sigma = real.std(0, unbiased=True)
    llh = (0.5 * ((mean_s - mean_t) / sigma.exp()) ** 2 + sigma + 0.5 * math.log(2 * math.pi)).sum()
    tv = 0.5 * (mean_s - mean_t).abs().sum()
    u = (mean_s - mean_t) / sigma
    clip_term = ((u - u.clamp(0, 1)) ** 2).mean() if clip == "per_dimension" else 0.0
    return llh + lam * tv + (1 - lam) * clip_term


class NaiveLoop:
    def __init__(self, real, settings, network, *, ipc, seed, initial):
        self.real, self.settings, self.network, self.ipc, self.seed = real, settings, network, ipc, seed
        self.x = initial.clone().requires_grad_()
        self.optimiser = torch.optim.SGD([self.x], lr=settings.lr_img, momentum=settings.momentum)
        self.queue, self.serial = [], 0
        if settings.networks.source == "queue":
            for _ in range(settings.networks.start):
                self.push()

    def push(self):
        q = self.settings.networks
        net = build(self.real, self.network, self.seed, self.serial)
        opt = torch.optim.SGD(net.parameters(), lr=q.lr_net, momentum=q.momentum, weight_decay=q.weight_decay)
        if len(self.queue) == q.capacity:
            self.queue.pop(0)
        self.queue.append({"net": net, "opt": opt, "hits": 0, "seen": 0})
        self.serial += 1

    def iteration(self, it):
        """Run one iteration; return the images of each class at the moment its gradient is taken."""
        q, seed = self.settings.networks, self.seed
        accuracy, net = 0.0, None
        if q.source == "queue":
            if it % q.meter_interval == 0:
                for member in self.queue:
                    member["hits"] = member["seen"] = 0
            if it % q.net_generate_interval == 0:
                self.push()
            member = self.queue[int(uniform(seed, "queue-draw", count=1, iteration=it)[0] * len(self.queue))]
            net, accuracy = member["net"], 100 * member["hits"] / max(member["seen"], 1)
        else:
            net = build(self.real, self.network, seed, it)
        seen, joint = [], []
        for c in range(self.real.classes):
            seen.append(self.x.detach()[c * self.ipc : (c + 1) * self.ipc].clone())
            loss = self.class_loss(c, it, net, accuracy)
            if self.settings.update == "joint":
                joint.append(loss)
                continue
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        if joint:
            self.optimiser.zero_grad()
            sum(joint).backward()
            self.optimiser.step()
        if q.source == "queue":
            self.train_queue(it)
        return torch.cat(seen)

    def class_loss(self, c, it, net, accuracy):
        s = self.settings
        draw = siamese_draw(s.dsa_strategy, self.seed, it, [c])
        size = min(s.batch_real, self.real.counts[c])
        indices = self.real.sample_classes(self.seed, "real-batch", iteration=it, classes=[c], size=size)[0]
        real = siamese_augment(draw, self.real.batch(indices)[None])[0]
        own = self.x[c * self.ipc : (c + 1) * self.ipc]
        decoded = torch.stack([part for image in own for part in split_and_enlarge(image, s.partition)])
        synthetic = siamese_augment(draw, decoded[None])[0]
        objective = s.objective
        extra = (objective.lambda_, objective.clip) if objective.kind == "bacon" else (None, None)
        loss = match(objective.kind, net.embed(real).detach(), net.embed(synthetic), *extra)
        if s.networks.source == "queue":
            labels = torch.full((len(synthetic),), c)
            loss = loss + s.networks.ce_weight * accuracy * F.cross_entropy(net(synthetic), labels)
        return loss

    def train_queue(self, it):
        q, count = self.settings.networks, len(self.queue)
        order = np.argsort(words(self.seed, "queue-train", count=count, iteration=it), kind="stable")
        for slot, position in enumerate(order[: q.networks_trained]):
            member = self.queue[position]
            for step in range(q.model_train_steps):
                size = min(q.batch_train, len(self.real.labels))
                lane = slot * q.model_train_steps + step
                indices = self.real.sample_all(self.seed, "queue-batch", iteration=it, lanes=lane + 1, size=size)[-1]
                logits = member["net"](self.real.batch(indices))
                labels = self.real.labels[indices]
                member["opt"].zero_grad()
                F.cross_entropy(logits, labels).backward()
                member["opt"].step()
                member["hits"] += int((logits.argmax(1) == labels).sum())
                member["seen"] += len(labels)
