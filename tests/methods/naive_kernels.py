"""KIP and FRePo as plain loops in float64: one autograd graph of everything, a direct inverse, no pieces."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from bacon.networks.build import build_network
from bacon.runtime.draws import uniform


def naive_ntk(x, y, depth, bias_std, *, nngp=False):
    """The kernel of flattened images pair by pair: its recursion with scalars, from Cho and Saul's arc-cosine kernels."""
    rows = []
    for one in x:
        row = []
        for other in y:
            cov = [2 * (a @ b) / len(one) + bias_std**2 for a, b in ((one, one), (one, other), (other, other))]
            theta = cov[1]
            for _ in range(depth):
                length = (cov[0] * cov[2]).sqrt()
                cosine = (cov[1] / length).clamp(-1 + 1e-12, 1 - 1e-12)
                angle = torch.acos(cosine)
                kappa = length / math.pi * (torch.sin(angle) + (math.pi - angle) * cosine) + bias_std**2
                theta = kappa + (math.pi - angle) / math.pi * theta
                cov = [cov[0] + bias_std**2, kappa, cov[2] + bias_std**2]
            row.append(kappa if nngp else theta)
        rows.append(torch.stack(row))
    return torch.stack(rows)


def regression(k_ts, k_ss, y, ridge):
    n = len(k_ss)
    return k_ts @ torch.linalg.inv(k_ss + ridge * k_ss.trace() / n * torch.eye(n, dtype=k_ss.dtype)) @ y


def centred(labels, classes):
    return torch.eye(classes, dtype=torch.float64)[labels] - 1 / classes


class NaiveKIP:
    """``iteration`` gives the images before its step."""

    def __init__(self, real, settings, network, *, ipc, seed, initial):
        self.real, self.settings, self.network, self.ipc, self.seed = real, settings, network, ipc, seed
        self.x = initial.clone().requires_grad_()
        self.y = centred(torch.arange(real.classes).repeat_interleave(ipc), real.classes)
        learned = [self.y.requires_grad_()] if settings.learn_labels else []
        self.adam = torch.optim.Adam([self.x, *learned], lr=settings.lr)
        self.nets = [self.network_number(index) for index in range(settings.kernel_networks)]

    def network_number(self, index):
        channels, size, _ = self.real.shape
        return build_network(
            self.network, channels=channels, size=size, classes=self.real.classes, seed=self.seed,
            purpose="kernel-network", index=index, device=self.real.device, dtype=torch.float64,
        ).eval()  # fmt: skip

    def kernel(self, a, b):
        if self.settings.kernel == "features":
            pairs = [(net.embed(a), net.embed(b)) for net in self.nets]
            return sum(one @ other.T / one.shape[1] for one, other in pairs) / len(pairs)
        kind = {"nngp": self.settings.kernel == "nngp"}
        return naive_ntk(a.flatten(1), b.flatten(1), self.settings.depth, self.settings.bias_std, **kind)

    def batch(self, it):
        each = max(1, self.settings.batch_real // self.real.classes)
        return torch.cat(
            [
                self.real.sample_classes(self.seed, "real-batch", iteration=it, classes=[c], size=min(each, count))[0]
                for c, count in enumerate(self.real.counts)
            ]
        )

    def iteration(self, it):
        before, places = self.x.detach().clone(), self.batch(it)
        images, targets = self.real.batch(places), centred(self.real.labels[places], self.real.classes)
        k_ss, k_ts = self.kernel(self.x, self.x), self.kernel(images, self.x)
        loss = 0.5 * (regression(k_ts, k_ss, self.y, self.settings.ridge) - targets).square().mean()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        return before


class NaiveLamb:
    """LAMB by its definition, one tensor."""

    def __init__(self, x, lr):
        self.x, self.lr, self.m, self.v, self.t = x, lr, torch.zeros_like(x), torch.zeros_like(x), 0

    def step(self, gradient, lr):
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * gradient
        self.v = 0.999 * self.v + 0.001 * gradient**2
        direction = (self.m / (1 - 0.9**self.t)) / ((self.v / (1 - 0.999**self.t)).sqrt() + 1e-6)
        with torch.no_grad():
            self.x -= lr * self.x.norm() / direction.norm() * direction


class PlainFRePoNet(nn.Module):
    """FRePo's network in PyTorch's own layers, with the weights of ours."""

    def __init__(self, ours):
        super().__init__()
        self.blocks, self.ours = [], ours
        layers = list(ours.features.children())
        for index, layer in enumerate(layers):
            if isinstance(layer, nn.Conv2d):
                norm = layers[index - 1] if index and isinstance(layers[index - 1], nn.BatchNorm2d) else None
                self.blocks.append((norm, layer))

    def embed(self, x):
        if not isinstance(self.ours.features[1], nn.ReLU):
            return self.ours.embed(x)  # the cell's network
        for norm, conv in self.blocks:
            x = conv(x if norm is None else norm(x))
            x = F.avg_pool2d(F.relu(x), 2)
        return x.flatten(1)

    def forward(self, x):
        return self.embed(x) @ self.ours.classifier.weight.T + self.ours.classifier.bias


class NaiveFRePo:
    """``iteration`` gives the images before its step."""

    def __init__(self, real, settings, network, *, ipc, seed, initial):
        self.real, self.settings, self.network, self.ipc, self.seed = real, settings, network, ipc, seed
        self.x = initial.clone().requires_grad_()
        start = centred(torch.arange(real.classes).repeat_interleave(ipc), real.classes)
        self.y = (start / math.sqrt(real.classes / 10)).requires_grad_()
        self.lambs = NaiveLamb(self.x, settings.lr), NaiveLamb(self.y, settings.lr)
        self.serial, self.nets, count = 0, [], settings.networks
        for number in range(count):
            self.nets.append(self.fresh(number * settings.network_steps // count))

    def fresh(self, age=0):
        channels, size, _ = self.real.shape
        chosen = self.network if self.settings.cell_network else self.settings.network
        ours = build_network(
            chosen, channels=channels, size=size,
            classes=self.real.classes, seed=self.seed, purpose="pool-network", index=self.serial,
            device=self.real.device, dtype=torch.float64,
        )  # fmt: skip
        self.serial += 1
        net = PlainFRePoNet(ours)
        return [net, torch.optim.Adam(ours.parameters(), lr=self.settings.lr_net), age]

    def iteration(self, it):
        before, s = self.x.detach().clone(), self.settings
        place = int(uniform(self.seed, "pool-draw", count=1, iteration=it)[0] * len(self.nets))
        net, adam, age = self.nets[place]
        size = min(s.batch_real, len(self.real.labels))
        places = self.real.sample_all(self.seed, "real-batch", iteration=it, lanes=1, size=size)[0]
        targets = centred(self.real.labels[places], self.real.classes)
        net.ours.eval()
        with torch.no_grad():
            f_t = net.embed(self.real.batch(places))
        x = torch.cat([self.x, self.x.flip(-1)]) if s.mirrored else self.x
        y = torch.cat([self.y, self.y]) if s.mirrored else self.y
        f_p = net.embed(x)
        predicted = regression(f_t @ f_p.T, f_p @ f_p.T, y, s.ridge)
        top = self.y.sort(dim=1, descending=True).values
        margin = -torch.minimum(top[:, 0] - top[:, 1], torch.tensor(1 / self.real.classes)).mean()
        loss = 0.5 * (predicted - targets).square().sum(1).mean() + margin
        gradients = torch.autograd.grad(loss, (self.x, self.y))
        lr = s.lr * (0.1 + 0.9 * (1 + math.cos(math.pi * it / s.iterations)) / 2)
        for lamb, gradient in zip(self.lambs[: 2 if s.learn_labels else 1], gradients, strict=False):
            lamb.step(gradient, lr)
        self.train(place, net, adam, age)
        return before

    def train(self, place, net, adam, age):
        if age >= self.settings.network_steps:
            self.nets[place] = self.fresh()
            return
        net.ours.train()
        adam.zero_grad()
        logits = net(self.x.detach())
        (0.5 * (logits - self.y.detach()).square().sum(1).mean()).backward()
        adam.step()
        self.nets[place][2] += 1
